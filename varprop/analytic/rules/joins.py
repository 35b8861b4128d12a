"""Nodes that put signals together, take them apart or only turn them round."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from varprop.analytic.rules.signal import Array, Facts, Signal, reasons, worst
from varprop.spec.traced import Node


def add(node: Node, inputs: list[Signal], facts: Facts) -> Signal | None:
    """X ± y. Where one of the two is fresh their product has mean zero, and second moments add exactly."""
    constant = _constant(node, facts)
    if len(inputs) == 1 and constant is not None:
        before, (mean, second) = inputs[0], constant
        return replace(
            before,
            second=before.second + second + 2 * mean * before.mean,
            mean=before.mean + mean,
            gaussian=before.gaussian,
            fresh=before.fresh and mean == 0.0 and "parameter" in node.attributes,
            order=worst(before.order, "exact" if before.fresh or mean == 0.0 else "approximate"),
        )
    if len(inputs) != 2:
        return None
    sign = float(node.attributes.get("sign", 1.0))
    first, second_input = _aligned(inputs)
    if first.second.shape != second_input.second.shape:
        return None  # a table of positions, that all examples share
    if len(set(node.sources)) == 1:
        factor = (1 + sign) ** 2
        return replace(
            first, second=first.second * factor, mean=first.mean * (1 + sign), data=None, spread=None
        )
    if not (first.fresh or second_input.fresh):
        return None
    return Signal(
        first.second + second_input.second,
        first.mean + sign * second_input.mean,
        node.shape,
        data=_both(first.data, second_input.data),
        spread=_both(first.spread, second_input.spread),
        gaussian=first.gaussian and second_input.gaussian,
        order=worst(first.order, second_input.order),
        mean_order=worst(first.mean_order, second_input.mean_order),
        spread_order=worst(first.spread_order, second_input.spread_order),
        why=reasons(first.why, second_input.why),
        spread_why=reasons(first.spread_why, second_input.spread_why),
        tail=reasons(first.tail, second_input.tail),
    )


def add_back(node: Node, gradient: Array, inputs: list[Signal], facts: Facts) -> Array | None:
    """An addition hands its gradient to both; what was broadcast has no rule."""
    same = all(before.shape == node.shape for before in inputs)
    doubled = len(inputs) == 2 and len(set(node.sources)) == 1
    return gradient if same and not doubled else None


def concatenate(node: Node, inputs: list[Signal], facts: Facts) -> Signal | None:
    """Side by side: the mean over all entries."""
    examples = {before.second.shape[0] for before in inputs}
    if not inputs or len(inputs) != len(node.sources) or len(examples) != 1:
        return None
    flat = [before.flat() for before in inputs]
    weights = np.array([before.units for before in flat], dtype=np.float64)
    weights /= weights.sum()
    levels = [before.second for before in flat]
    alike = all(np.allclose(level, levels[0], rtol=1e-2, atol=0) for level in levels)
    same = all(np.allclose(level, levels[0], rtol=1e-9, atol=0) for level in levels)
    second = sum((w * level for w, level in zip(weights, levels, strict=True)), np.zeros_like(levels[0]))
    sites = inputs[0].sites
    spread_over = (
        (slice(None), *(None,) * len(sites)) if all(b.sites == sites for b in inputs) else (slice(None),)
    )
    shape = (*levels[0].shape, *sites) if len(spread_over) > 1 else levels[0].shape
    mean = sum((w * b.mean for w, b in zip(weights, flat, strict=True)), np.zeros_like(levels[0]))
    return Signal(
        np.broadcast_to(second[spread_over], shape).copy(),
        np.broadcast_to(mean[spread_over], shape).copy(),
        node.shape,
        fresh=all(before.fresh for before in inputs),
        gaussian=alike and all(before.gaussian for before in inputs),
        order=worst(*(before.order for before in inputs)),
        mean_order=worst(*(before.mean_order for before in inputs)),
        why=reasons(*(before.why for before in inputs)),
        tail=reasons(
            *(before.tail for before in inputs), "" if same else "parts of different variance taken as one"
        ),
    )


def concatenate_back(node: Node, gradient: Array, inputs: list[Signal], facts: Facts) -> Array | None:
    """Every part gets its own piece of the gradient."""
    return gradient


def reshape(node: Node, inputs: list[Signal], facts: Facts) -> Signal | None:
    """The same numbers in another shape; sites are told apart only while the shape stays."""
    if len(inputs) != 1:
        return None
    before = inputs[0]
    if before.shape == node.shape:
        return before
    flat = before.flat()
    return replace(flat, shape=node.shape, spread=flat.spread if not before.sites else None)


def reshape_back(node: Node, gradient: Array, inputs: list[Signal], facts: Facts) -> Array | None:
    """The same numbers back."""
    return _on_sites(gradient, inputs[0])


def take(node: Node, inputs: list[Signal], facts: Facts) -> Signal | None:
    """Part of a signal: like the whole where units are alike, which a fresh signal's are."""
    if len(inputs) != 1 or not inputs[0].fresh:
        return None
    flat = inputs[0].flat()
    return replace(
        flat, shape=node.shape, spread=None, data=None,
        order=worst(flat.order, "approximate"), why=reasons(flat.why, "a part taken for the whole"),
    )  # fmt: skip


def take_back(node: Node, gradient: Array, inputs: list[Signal], facts: Facts) -> Array | None:
    """A part's gradient, spread over the whole it came from; the other entries got none from here."""
    if int(node.attributes.get("outputs", 1)) > 1:
        return np.asarray(gradient.reshape(gradient.shape[0], -1).mean(1))
    share = math.prod(node.shape) / max(math.prod(inputs[0].shape), 1)
    return np.asarray(gradient.reshape(gradient.shape[0], -1).mean(1) * share)


def _constant(node: Node, facts: Facts) -> tuple[float, float] | None:
    if "parameter" in node.attributes:
        fact = facts.of(node, "weight")
        return None if fact is None else (fact.mean, fact.second_moment)
    if "constant_mean" in node.attributes:
        return float(node.attributes["constant_mean"]), float(node.attributes["constant_second_moment"])
    return None


def _aligned(inputs: list[Signal]) -> tuple[Signal, Signal]:
    first, second = inputs
    if first.sites != second.sites or first.shape != second.shape:
        return first.flat(), second.flat()
    return first, second


def _both(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else first + second


def _on_sites(gradient: Array, before: Signal) -> Array:
    """Lay a gradient without sites over those of the signal before; average it over sites the signal has not."""
    if gradient.shape[1:] == before.sites:
        return gradient
    flat = gradient.reshape(gradient.shape[0], -1).mean(1)
    return np.broadcast_to(flat.reshape(-1, *(1,) * len(before.sites)), (flat.shape[0], *before.sites)).copy()
