"""Softmax attention: `varprop.analytic.attention` at its place in a graph."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from varprop.analytic.attention import Attended, AttentionShape, attend, causal, unmasked
from varprop.analytic.propagation.signal import Array, Gradient, Signal, merged
from varprop.analytic.propagation.walk import Place, Roots, Rule, Walk
from varprop.spec.graph import Node
from varprop.spec.ops import Attend, Dense


@dataclass(frozen=True, eq=False)
class Heads:
    """What an attention keeps: its averages over heads."""

    attended: Attended


def _forward(place: Place, inputs: list[Signal]) -> Signal:
    op = place.node.op
    assert isinstance(op, Attend)
    query, key, value = inputs
    tokens = place.node.shape.count
    mask = (causal if op.causal else unmasked)(tokens, place.examples)
    rotary = np.tile(np.arange(tokens, dtype=np.float64), place.examples) if op.rotary else None
    shape = AttentionShape(op.head_size(*place.before), mask, op.heads // op.kv_heads, rotary)
    width, fluctuation, gram = _shared(place)
    found = attend(
        query.second,
        key.second,
        value.second,
        shape,
        width=width,
        fluctuation=fluctuation,
        key_value_gram=gram,
        seed=place.node.index,
    )
    why = (found.reason.text,) if found.order == "approximate" else ()
    exact = found.order == "exact" and value.exact
    uniform = mask / mask.sum(axis=1, keepdims=True)
    return Signal(
        0.5 * (found.output + found.output.T),
        uniform @ value.mean,
        place.node.shape.features,
        exact_mean=value.exact_mean and not value.mean.any(),
        exact_diagonal=exact,
        exact=exact,
        reasons=merged(*(x.reasons for x in inputs), why),
        fluctuation=value.fluctuation,
        kept=Heads(found),
    )


def _shared(place: Place) -> tuple[int | None, float, Array | None]:
    """Return width and fluctuation of the tokens that keys and values read, and the part of both that they share."""
    walk = place.walk
    maps = [walk.graph.nodes[source] for source in place.node.sources[1:]]
    n = place.walk.signals[maps[0].index].mean.size
    if not all(isinstance(node.op, Dense) for node in maps) or maps[0].sources != maps[1].sources:
        return None, 0.0, np.zeros((n, n))
    before = walk.signals[maps[0].sources[0]]
    gains = []
    for node in maps:
        assert isinstance(node.op, Dense)
        gains.append(before.features * node.op.weight_law(*walk.graph.inputs(node)).variance)
    return before.features, before.fluctuation, np.sqrt(gains[0] * gains[1]) * before.second


def _backward(place: Place, gradient: Gradient, inputs: list[Signal]) -> list[Gradient]:
    kept = place.walk.signals[place.node.index].kept
    assert isinstance(kept, Heads)
    found = kept.attended.backward(gradient.second)
    why = (found.reason.text,) if found.order == "approximate" else ()
    reasons = merged(gradient.reasons, *(x.reasons for x in inputs), why)
    exact = gradient.exact and found.order == "exact"
    query, key, value = (0.5 * (g + g.T) for g in (found.query, found.key, found.value))
    op = place.node.op
    assert isinstance(op, Attend)
    if not op.rotary:
        # What all keys have in common drops out of the softmax: the sum of their gradients is 0 in every draw.
        key = _centred(key, place.examples)
    return [
        Gradient(query, exact, reasons),
        Gradient(key, exact, reasons, excess=found.key_excess),
        Gradient(value, exact, reasons),
    ]


def _centred(second: Array, examples: int) -> Array:
    """Take what is left of sums over an example's columns, rounding errors, out of both indices."""
    t = second.shape[0] // examples
    cells = second.reshape(examples, t, examples, t)
    cells = cells - cells.mean(axis=1, keepdims=True)
    return np.asarray((cells - cells.mean(axis=3, keepdims=True)).reshape(second.shape))


def _roots(walk: Walk, node: Node) -> Roots:
    """Return what the values are linear in and neither queries nor keys depend on."""
    query, key, value = node.sources
    own = walk.roots[value]
    free = [w for w in own.any if not (walk.depends(query, w) or walk.depends(key, w))]
    return Roots(own.linear & frozenset(free), own.odd & frozenset(free))


RULE = Rule(_forward, _backward, roots=_roots)
