"""From signals and gradients to the entries of the table: every quantity of a site, with its label."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from varprop.activations import Activation
from varprop.analytic.entries import Entry, moment, number, unpredicted
from varprop.analytic.propagation.propagate import Propagated
from varprop.analytic.propagation.rules.attend import Heads
from varprop.analytic.propagation.rules.embedding import Tied
from varprop.analytic.propagation.signal import Array, Gradient, Signal, merged
from varprop.analytic.propagation.walk import Walk
from varprop.analytic.sets import Interval, tails
from varprop.analytic.silent_units import silent_share
from varprop.analytic.unit_sets import gaussian_probability
from varprop.spec.graph import Node, Site
from varprop.spec.ops import Convolution, Dense, Embedding, Unembedding, Weighted

Table = dict[str, Entry]

_MOST_ORTHANT = 64
"""Columns up to which the chance that a unit is inactive in all of them is integrated; beyond, features are drawn."""


def site_entries(found: Propagated, site: Site, share: float) -> Table:
    """Return the entries of one site."""
    walk = found.walk
    node, signal = walk.graph.nodes[site.node], walk.signals[site.node]
    examples, positions = walk.network.input.batch, node.shape.count
    table = _forward(found, node, signal, examples, positions)
    if site.activated != site.node:
        table |= _activated(walk, site, share)
    table |= _backward(found, node, examples, positions)
    if isinstance(signal.kept, Heads):
        table |= _attention(signal)
    return table


def loss_entry(found: Propagated) -> Table:
    """Return the expected loss, if the head has one."""
    start = found.start
    if start.loss is None:
        return {}
    if start.gradient.unknown:
        return {"initial_loss": unpredicted(start.gradient.unknown)}
    return {"initial_loss": number(start.loss, start.exact_loss, start.gradient.reasons)}


def _forward(found: Propagated, node: Node, signal: Signal, examples: int, positions: int) -> Table:
    names = ["preactivation_mean", "preactivation_second_moment"]
    if isinstance(node.op, Weighted | Embedding | Unembedding):
        names.append("preactivation_variance")
    if examples * positions > 1:
        names.append("data_variance")
    if examples > 1:
        names.append("correlation")
    if positions > 1:
        names.append("token_correlation")
    if signal.unknown:
        return {name: unpredicted(signal.unknown) for name in names}
    why, blocks = signal.reasons, np.repeat(np.arange(examples), positions)
    same = blocks[:, None] == blocks
    other = ~np.eye(blocks.size, dtype=bool)
    made = {
        "preactivation_mean": lambda: number(
            signal.mean, signal.exact_mean, why, scale=float(np.sqrt(np.mean(signal.diagonal)))
        ),
        "preactivation_second_moment": lambda: moment_entry(signal.diagonal, signal.exact_diagonal, why),
        "preactivation_variance": lambda: moment_entry(
            signal.diagonal - _square_of_means(found, node, signal),
            signal.exact_diagonal and signal.exact_mean,
            why,
        ),
        "data_variance": lambda: moment_entry(
            np.array([_variance_over_columns(signal.second)]), signal.exact, why
        ),
        "correlation": lambda: _correlation(signal, ~same),
        "token_correlation": lambda: _correlation(signal, same & other),
    }
    return {name: made[name]() for name in names}


def _square_of_means(found: Propagated, node: Node, signal: Signal) -> Array:
    """Return the mean over units of their squared means, shape (N,); a tied output's own token has another mean."""
    if isinstance(signal.kept, Tied):
        units, own = node.shape.features, signal.kept.own
        return np.asarray(np.square(own) / units + np.square(signal.mean - own / units))
    return np.square(_mean_of_weights(found, node, signal))


def _mean_of_weights(found: Propagated, node: Node, signal: Signal) -> Array:
    """Return the mean over weights and biases at a fixed input, whose square the variance does not contain."""
    if not isinstance(node.op, Weighted):
        return signal.mean
    law = node.op.weight_law(*found.walk.graph.inputs(node))
    if law.mean == 0.0 or not isinstance(node.op, Dense):
        return signal.mean
    before = found.walk.signals[node.sources[0]]
    bias = node.op.bias_law(*found.walk.graph.inputs(node)).mean
    n = before.features
    sums = np.diagonal(before.feature_means) * n**2
    square = law.mean**2 * sums + 2.0 * law.mean * n * before.mean * bias + bias**2
    return np.sqrt(np.maximum(square, 0.0))


def moment_entry(values: Array, exact: bool, why: tuple[str, ...]) -> Entry:
    """Return the entry of a mean square, the mean over `values`."""
    with np.errstate(divide="ignore"):
        return moment(np.log(np.maximum(values, 0.0)), exact, why)


def _variance_over_columns(second: Array) -> float:
    n = second.shape[0]
    return float((np.trace(second) - second.sum() / n) / (n - 1))


def _correlation(signal: Signal, pairs: NDArray[np.bool_]) -> Entry:
    """Return the mean cosine of pairs of columns: a draw's own fluctuates about it, so that it holds in the limit."""
    scale = np.sqrt(np.maximum(signal.diagonal, 0.0))
    usable = pairs & np.outer(scale > 0.0, scale > 0.0)
    if not usable.any():
        return unpredicted("all pre-activations are 0: no correlation is defined")
    safe = np.where(scale > 0.0, scale, 1.0)
    values = (signal.second / np.outer(safe, safe))[usable]
    return number(np.array([float(np.mean(np.clip(values, -1.0, 1.0)))]), False, signal.reasons)


def _activated(walk: Walk, site: Site, share: float) -> Table:
    before, behind = walk.signals[site.node], walk.signals[site.activated]
    names = (
        "activation_mean",
        "activation_second_moment",
        "saturated_fraction",
        "inactive_fraction",
        "derivative_second_moment",
        *(("dead_fraction",) if before.mean.size > 1 or before.unknown else ()),
    )
    why = behind.unknown or before.unknown
    if why:
        return {name: unpredicted(why) for name in names}
    phi = site.activation
    linear = phi.slopes is not None and phi.slopes[0] == phi.slopes[1]
    ends = phi.saturation(share)
    return {
        "activation_mean": number(
            behind.mean, behind.exact_mean, behind.reasons, scale=float(np.sqrt(np.mean(behind.diagonal)))
        ),
        "activation_second_moment": moment_entry(behind.diagonal, behind.exact_diagonal, behind.reasons),
        "derivative_second_moment": moment_entry(
            np.diagonal(behind.kept.slopes), before.law or linear, behind.reasons
        ),
        "saturated_fraction": _fraction(walk, site, before, tails(ends.low, ends.high)),
        "inactive_fraction": _fraction(walk, site, before, phi.inactive),
        **({"dead_fraction": _dead(walk, site, before, phi)} if "dead_fraction" in names else {}),
    }


def _inside(walk: Walk, site: Site, intervals: tuple[Interval, ...]) -> NDArray[np.bool_]:
    """Say which of the features drawn at a site lie in a set, shape (N, R)."""
    z = walk.sample(site.node)
    found = np.zeros(z.shape, dtype=bool)
    for low, high in intervals:
        found |= (z >= low) & (z <= high)
    return found


def _fraction(walk: Walk, site: Site, signal: Signal, intervals: tuple[Interval, ...]) -> Entry:
    if not intervals:
        return number(np.zeros(1), True, ())
    why = signal.reasons
    if not signal.gaussian:
        return number(_inside(walk, site, intervals).mean(axis=1), False, why)
    variance = np.maximum(np.diagonal(signal.covariance), 0.0)
    with np.errstate(divide="ignore"):
        logs = np.log(variance)
    shares = gaussian_probability(intervals, signal.mean, logs)
    return number(shares, signal.law, why, bounds=(0.0, 1.0))


def _dead(walk: Walk, site: Site, signal: Signal, phi: Activation) -> Entry:
    if not phi.inactive:
        return number(np.zeros(1), True, ())
    why = signal.reasons
    if signal.mean.size > _MOST_ORTHANT or not signal.gaussian:
        return number(np.array([float(_inside(walk, site, phi.inactive).all(axis=0).mean())]), False, why)
    share, error = silent_share(phi.inactive, signal.mean, signal.covariance)
    exact = signal.law and error == 0.0
    if not exact and not why and signal.law:
        why = (f"orthant probability by a lattice rule, to about {2.0 * error:.1e}",)
    return number(np.array([share]), exact, why)


def _backward(found: Propagated, node: Node, examples: int, positions: int) -> Table:
    gradient = found.gradients[node.index]
    numbers = isinstance(node.op, Weighted | Unembedding)
    names = ["gradient_preactivation", "gradient_squared_norm"]
    if numbers:
        names += ["gradient_weight", "gradient_weight_batch", "gradient_input"]
    biased = isinstance(node.op, Weighted) and node.op.bias
    if biased:
        names.append("gradient_bias")
    if gradient is None:
        return {name: moment(np.full(1, -np.inf), True, ()) for name in names}
    if gradient.unknown:
        return {name: unpredicted(gradient.unknown) for name in names}
    diagonal, why = np.diagonal(gradient.second), gradient.reasons
    table = {
        "gradient_preactivation": moment_entry(diagonal, gradient.exact, why),
        "gradient_squared_norm": moment_entry(
            diagonal * (node.shape.features * positions), gradient.exact, why
        ),
    }
    if not numbers:
        return table
    signal, before = found.walk.signals[node.index], found.walk.signals[node.sources[0]]
    excess = _excess(found, node, gradient)
    products = gradient.second * signal.kept.second
    blocks = _within_examples(products, examples)
    share = float(np.sum(blocks)) / float(np.sum(products)) if np.sum(products) > 0.0 else 1.0
    weight = merged(why, before.reasons)
    whole = positions == 1 and not isinstance(node.op, Convolution)
    exact = gradient.exact and (before.exact_diagonal if whole else before.exact)
    single = not isinstance(node.op, Unembedding)
    table["gradient_weight"] = moment_entry(blocks + excess * share / examples, exact and single, weight)
    table["gradient_weight_batch"] = moment_entry(
        np.array([(float(np.sum(products)) + excess) / examples**2]),
        gradient.exact and before.exact and single,
        weight,
    )
    if biased:
        table["gradient_bias"] = moment_entry(
            _within_examples(gradient.second, examples), gradient.exact, why
        )
    sent = found.sent[node.index]
    assert sent is not None
    table["gradient_input"] = moment_entry(sent.diagonal, sent.exact, sent.reasons)
    return table


def _within_examples(products: Array, examples: int) -> Array:
    """Return the sum over pairs of columns of each example, shape (B,); what only rounding leaves of it is 0."""
    t = products.shape[0] // examples
    cells = products.reshape(examples, t, examples, t)
    found, size = np.einsum("atas->a", cells), np.einsum("atat->a", np.abs(cells))
    return np.asarray(np.where(np.abs(found) <= _ROUNDING * t * size, 0.0, found))


_ROUNDING = 1e-13


def _excess(found: Propagated, node: Node, gradient: Gradient) -> float:
    """Return what finite width adds to the sum over columns: see `Gradient.excess`."""
    if gradient.excess == 0.0 or not isinstance(node.op, Dense):
        return 0.0
    shapes = found.walk.graph.inputs(node)
    gain = shapes[0].features * node.op.weight_law(*shapes).variance
    return gradient.excess / gain if gain > 0.0 else 0.0


def _attention(signal: Signal) -> Table:
    heads = signal.kept.attended
    exact = heads.order == "exact"
    table = {
        "attention_concentration": moment_entry(np.array([heads.concentration]), exact, signal.reasons),
    }
    if np.isfinite(heads.logit_variance):
        table["logit_variance"] = moment_entry(np.array([heads.logit_variance]), False, signal.reasons)
    return table
