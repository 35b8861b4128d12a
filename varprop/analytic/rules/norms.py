"""Normalisations. Forward they set the second moment; backward they divide by what they divided by.

For a gradient that is isotropic, the projections that a normalisation makes cost two of its N directions (one for the
mean, one for the length), one for RMSNorm: E|g|² = |delta|² gamma² (1 - 2/N)/variance. For a batch normalisation
between linear layers and ReLU that gives the growth pi/(pi - 1) a layer of Yang et al. 2019 (arXiv 1902.08129).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from varprop.analytic.rules.signal import Array, Facts, ParameterFact, Signal, reasons, uniform
from varprop.spec.traced import Node

_COST = 1.2
"""Directions of the batch that a batch normalisation's two projections cost a gradient.

Two if the gradient is isotropic. One that has passed a batch normalisation above sums to zero over the
batch; after ReLU's
mask the two cost 2[(1/2 - E 1(z_1 > 0) 1(z_2 > 0)) + (1/2 - E relu(z_1) relu(z_2))] = 2[1/4 + 1/2 - 1/(2 pi)] = 1.18.
With the chi-square above this is the growth [B/2 - 1/2 + mu - a]/[a (B - 3)] of Yang et al., eq. 25 (a:
the second bracket,
mu: the expectation in the first).
"""
_EPS = "one variance in place of each one's own beside eps"
_RANDOM = "random scales taken as one number"
_UNIT, _NONE = ParameterFact(1.0, 1.0), ParameterFact(0.0, 0.0)


def batch_norm(node: Node, inputs: list[Signal], facts: Facts) -> Signal | None:
    """Batch statistics: every channel gets variance gamma² v/(v + eps) and mean beta; running ones: a fixed factor."""
    before, (gamma, beta) = inputs[0], _affine(node, facts)
    if not node.attributes["from_batch"]:
        square = node.attributes.get("scale_square")
        if square is None:
            return None
        factor = square * gamma.second_moment
        return replace(
            before,
            second=before.second * factor + beta.second_moment,
            mean=before.mean * np.sqrt(square) * gamma.mean + beta.mean,
            data=None if before.data is None else before.data * factor,
            spread=None if before.spread is None else before.spread * factor,
            tail=before.tail if _fixed(gamma) and _fixed(beta) else reasons(before.tail, _RANDOM),
        )
    variance = _spread(node, before, facts)
    if variance is None:
        return None
    kept = variance / (variance + node.attributes["eps"])
    level = gamma.second_moment * kept
    examples = before.second.shape[0]
    exact_data = len(node.shape) == 2 and examples > 1
    data = level * examples / (examples - 1) if exact_data else None
    if not exact_data and before.data is not None and variance > 0:
        data = before.data * level / variance
    return uniform(
        before,
        level + beta.second_moment,
        mean=np.full_like(before.second, beta.mean),
        data=data,
        spread=level,
        fresh=before.fresh and beta.mean == 0.0,
        order="approximate",
        mean_order="approximate",
        spread_order="approximate",
        why=_EPS,
    )


def batch_norm_back(node: Node, gradient: Array, inputs: list[Signal], facts: Facts) -> Array | None:
    """Gradient before a batch normalisation."""
    gamma, _ = _affine(node, facts)
    if not node.attributes["from_batch"]:
        square = node.attributes.get("scale_square")
        return None if square is None else gradient * (square * gamma.second_moment)
    variance = _spread(node, inputs[0], facts)
    if variance is None:
        return None
    count = max(int(np.prod(node.shape)) // node.shape[1], 1)
    if count <= 3:
        return None
    # A channel's batch variance is a chi-square of count - 1: the mean of its inverse is (count -
    # 1)/(count - 3) over its mean.
    inverse = (count - 1) / ((count - 3) * variance + (count - 1) * node.attributes["eps"])
    return np.asarray(gradient * (gamma.second_moment * max(1 - _COST / count, 0.0) * inverse))


def layer_norm(node: Node, inputs: list[Signal], facts: Facts) -> Signal | None:
    """Every example gets mean zero and variance one over its features."""
    return _normalised(node, inputs[0], _feature_variance(inputs[0], node.attributes["size"]), facts)


def layer_norm_back(node: Node, gradient: Array, inputs: list[Signal], facts: Facts) -> Array | None:
    """Gradient before a layer normalisation."""
    size = node.attributes["size"]
    return _divided(node, gradient, _feature_variance(inputs[0], size), 1 - 2 / size, facts)


def rms_norm(node: Node, inputs: list[Signal], facts: Facts) -> Signal | None:
    """Every example gets second moment one over its features."""
    found = _normalised(node, inputs[0], inputs[0].second, facts)
    return replace(found, mean=inputs[0].mean / np.sqrt(np.maximum(inputs[0].second, 1e-300)))


def rms_norm_back(node: Node, gradient: Array, inputs: list[Signal], facts: Facts) -> Array | None:
    """Gradient before an RMS normalisation."""
    return _divided(node, gradient, inputs[0].second, 1 - 1 / node.attributes["size"], facts)


def group_norm(node: Node, inputs: list[Signal], facts: Facts) -> Signal | None:
    """Every group of channels of an example gets mean zero and variance one, its sites included."""
    before = inputs[0]
    variance = _feature_variance(before.flat(), before.units // node.attributes["groups"])
    # Sites keep their share of the group's variance, zero padding's dark edges included.
    share = before.second / np.maximum(before.flat().second, 1e-300).reshape((-1,) + (1,) * len(before.sites))
    found = _normalised(node, before.flat(), variance, facts)
    second = share * found.second.reshape((-1,) + (1,) * len(before.sites))
    return replace(found, second=second, mean=np.zeros_like(second))


def group_norm_back(node: Node, gradient: Array, inputs: list[Signal], facts: Facts) -> Array | None:
    """Gradient before a group normalisation."""
    size = inputs[0].units // node.attributes["groups"]
    variance = _feature_variance(inputs[0].flat(), size).reshape((-1,) + (1,) * (gradient.ndim - 1))
    return _divided(node, gradient, variance, 1 - 2 / size, facts)


def _affine(node: Node, facts: Facts) -> tuple[ParameterFact, ParameterFact]:
    return facts.of(node, "weight") or _UNIT, facts.of(node, "bias") or _NONE


def _fixed(fact: ParameterFact) -> bool:
    return fact.variance <= 1e-12 * fact.second_moment


def _spread(node: Node, before: Signal, facts: Facts) -> float | None:
    if before.spread is not None:
        return before.spread
    return facts.measured.get((node.index, "batch_variance"))


def _feature_variance(before: Signal, size: int) -> Array:
    # Entries of a fresh signal are uncorrelated, so their sample mean has variance E h²/size.
    own = before.second / max(size, 1) if before.fresh else 0.0
    return np.asarray(np.maximum(before.second - before.mean**2 - own, 0.0))


def _normalised(node: Node, before: Signal, variance: Array, facts: Facts) -> Signal:
    gamma, beta = _affine(node, facts)
    second = gamma.second_moment * variance / (variance + node.attributes["eps"]) + beta.second_moment
    level = float(variance.mean())
    share = None if before.data is None or level == 0 else before.data / level
    return replace(
        before,
        second=second,
        mean=np.full_like(second, beta.mean),
        shape=node.shape,
        data=None if share is None else share * float(second.mean()),
        spread=None,
        order="approximate",
        mean_order="approximate",
        spread_order="approximate",
        fresh=before.fresh and beta.mean == 0.0,
        why=_EPS,
    )


def _divided(node: Node, gradient: Array, variance: Array, kept: float, facts: Facts) -> Array | None:
    gamma, _ = _affine(node, facts)
    factor = gamma.second_moment * max(kept, 0.0) / (variance + node.attributes["eps"])
    if factor.ndim != gradient.ndim:
        factor = (
            factor.reshape(factor.shape[:1] + (1,) * (gradient.ndim - 1))
            if factor.ndim == 1
            else factor.mean()
        )
    return np.asarray(gradient * factor)
