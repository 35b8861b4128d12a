"""Nodes that multiply by parameters: dense layers, convolutions, embeddings, scales.

For weights W that are iid with mean zero and independent of their input h, exactly and at any width,

    E z² = n s E h² + E b²,    E (Wᵀ delta)² = n_out s E delta²,

where delta is independent of W (that independence is what is assumed backward; it is exact in the mean for
positively homogeneous activations without biases, and holds to 1/n otherwise).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from varprop.analytic.rules.signal import Array, Facts, ParameterFact, Signal, reasons, worst
from varprop.analytic.rules.windows import output_sites, spread_back, window_sum
from varprop.spec.traced import Node

_NONE = ParameterFact(0.0, 0.0)
_ZERO_MEAN = 1e-3
"""Share of the squared weight mean in the second moment above which the mean cannot be left out."""
_MEAN = "the mean of the weights left out"
_OTHER = "the law of the biases taken as Gaussian"
_ALIKE = "sites taken as alike"


def linear(node: Node, inputs: list[Signal], facts: Facts) -> Signal | None:
    """Dense layer on the last axis."""
    weight = _centred(node, facts)
    if weight is None or len(inputs) != 1:
        return None
    before = inputs[0].flat()
    found = _weighted(
        node, before, before.second * (before.shape[-1] * weight.variance), before.shape[-1], facts
    )
    whole = len(inputs[0].shape) == 2  # flattened before: every unit sees all sites
    return found if whole else replace(found, tail=reasons(found.tail, _sites_alike(inputs[0])))


def linear_back(node: Node, gradient: Array, inputs: list[Signal], facts: Facts) -> Array | None:
    """Gradient at the input of a dense layer."""
    weight = _centred(node, facts)
    return None if weight is None else gradient * (node.shape[-1] * weight.variance)


def convolution(node: Node, inputs: list[Signal], facts: Facts) -> Signal | None:
    """Convolution: zero padding's loss at the edges is followed site by site."""
    weight = _centred(node, facts)
    if weight is None:
        return None
    before, at = _with_sites(inputs[0]), node.attributes
    channels = at["inputs_per_group"]
    summed = window_sum(before.second, at, wrap=not at["zero_padding"])
    second = summed * (channels * weight.variance)
    # The share of a full window that is inside, for the variances that are not followed by site.
    inside = float(summed.mean()) / (np.prod(at["kernel"]) * before.level) if before.level else 1.0
    found = _weighted(node, before, second, channels * np.prod(at["kernel"]) * inside, facts)
    if at["zero_padding"] or not _sites_alike(before):
        return found  # Whatever pads a uniform signal without zeros is uniform too.
    why = reasons(found.why, "padding taken as circular")
    return replace(found, order="approximate", spread_order="approximate", why=why)


def convolution_back(node: Node, gradient: Array, inputs: list[Signal], facts: Facts) -> Array | None:
    """Gradient at the input of a convolution, by the adjoint of the windows."""
    weight, at = _centred(node, facts), node.attributes
    sites = inputs[0].shape[2:]
    if weight is None or gradient.shape[1:] != output_sites(sites, at) or not at["zero_padding"]:
        return None
    return np.asarray(spread_back(gradient, sites, at) * (at["outputs_per_group"] * weight.variance))


def transposed_convolution(node: Node, inputs: list[Signal], facts: Facts) -> Signal | None:
    """Transposed convolution: the windows read backwards, so that stride divides the terms of a sum."""
    weight, at = _centred(node, facts), node.attributes
    if weight is None or output_sites(node.shape[2:], at) != inputs[0].shape[2:]:
        return None
    before, channels = _with_sites(inputs[0]), at["inputs_per_group"]
    second = spread_back(before.second, node.shape[2:], at) * (channels * weight.variance)
    taps = float(second.mean()) / (before.level * weight.variance) if before.level * weight.variance else 0.0
    return _weighted(node, before, second, taps, facts)


def transposed_convolution_back(
    node: Node, gradient: Array, inputs: list[Signal], facts: Facts
) -> Array | None:
    """Gradient at the input of a transposed convolution: an ordinary convolution."""
    weight, at = _centred(node, facts), node.attributes
    if weight is None or gradient.shape[1:] != node.shape[2:]:
        return None
    found = window_sum(gradient, at) * (at["outputs_per_group"] * weight.variance)
    return found if found.shape[1:] == inputs[0].shape[2:] else None


def embedding(node: Node, inputs: list[Signal], facts: Facts) -> Signal | None:
    """Look-up: a row of the table is drawn like any other."""
    weight = facts.of(node, "weight")
    if weight is None:
        return None
    ones = np.ones(node.shape[0] if node.shape else 1)
    return Signal(ones * weight.second_moment, ones * weight.mean, node.shape, fresh=weight.mean == 0.0)


def scale(node: Node, inputs: list[Signal], facts: Facts) -> Signal | None:
    """Multiply by a number, or by a parameter entry by entry."""
    factor = _factor(node, facts)
    if factor is None or len(inputs) != 1:
        return None
    square, mean = factor
    before = inputs[0]
    return replace(
        before,
        second=before.second * square,
        mean=before.mean * mean,
        data=None if before.data is None else before.data * square,
        spread=None if before.spread is None else before.spread * square,
        gaussian=before.gaussian and square == mean**2,
    )


def scale_back(node: Node, gradient: Array, inputs: list[Signal], facts: Facts) -> Array | None:
    """Gradient before a factor."""
    factor = _factor(node, facts)
    return None if factor is None else gradient * factor[0]


def _factor(node: Node, facts: Facts) -> tuple[float, float] | None:
    """Return mean square and mean of what a scale multiplies by."""
    if "parameter" in node.attributes:
        fact = facts.of(node, "weight")
        return None if fact is None else (fact.second_moment, fact.mean)
    factor = node.attributes.get("factor")
    return None if factor is None else (float(factor) ** 2, float(factor))


def _centred(node: Node, facts: Facts) -> ParameterFact | None:
    """Facts of a weight with mean zero; None (no rule) if its mean counts."""
    weight = facts.of(node, "weight")
    if weight is None or weight.mean**2 > _ZERO_MEAN * weight.second_moment:
        return None
    return weight


def _with_sites(before: Signal) -> Signal:
    """Tell sites apart; where nothing is known of them, alike."""
    sites = before.shape[2:]
    if before.sites == sites:
        return before
    grown = (-1, *(1,) * len(sites))
    whole = (before.second.shape[0], *sites)
    return replace(
        before,
        second=np.broadcast_to(before.flat().second.reshape(grown), whole).copy(),
        mean=np.broadcast_to(before.flat().mean.reshape(grown), whole).copy(),
        order="approximate",
        why=reasons(before.why, _ALIKE),
    )


def _weighted(node: Node, before: Signal, second: Array, fan_in: float, facts: Facts) -> Signal:
    weight, bias = facts.of(node, "weight") or _NONE, facts.of(node, "bias") or _NONE
    gain = fan_in * weight.variance
    shared = "shared weights taken as fresh" if node.call > 1 else ""
    mean = _MEAN if weight.mean != 0.0 else ""
    other = _OTHER if bias.variance > 0.0 and not bias.gaussian else ""
    return Signal(
        second + bias.second_moment,
        np.zeros_like(second) + bias.mean,
        node.shape,
        # A bias is common to all examples and sites: it adds to the second moment, not to these variances.
        data=None if before.data is None else before.data * gain,
        spread=None if before.spread is None else before.spread * gain,
        fresh=bias.mean == 0.0 and (bias.symmetric or bias.variance == 0.0),
        gaussian=True,
        order=worst("exact", before.order, "approximate" if shared or mean else "exact"),
        mean_order="approximate" if mean else "exact",
        spread_order=worst(before.spread_order, "exact" if not before.sites else "approximate"),
        why=reasons(before.why, shared, mean),
        spread_why=before.spread_why,
        tail=other,
    )


def _sites_alike(before: Signal) -> str:
    """Say so where positions of different variance are given one: what a nonlinear function makes of it is not."""
    mean = before.flat().second.reshape(-1, *(1,) * len(before.sites))
    return "" if np.allclose(before.second, mean, rtol=1e-9, atol=0.0) else _ALIKE
