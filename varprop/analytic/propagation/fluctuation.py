"""How strongly the Gram matrix of a stream's features fluctuates, behind a residual sum.

What attention makes of a finite width (`varprop.analytic.attention.fluctuation`) starts from a number c that every
branch changes: one that ends in attention by its values, one that ends in an activation by how its output answers to
its input.
"""

from __future__ import annotations

from varprop.analytic.attention import advance_fluctuation_attention, advance_fluctuation_mlp
from varprop.analytic.propagation.signal import Signal
from varprop.analytic.propagation.slopes import Activated
from varprop.analytic.propagation.walk import Place
from varprop.spec.ops import Activate, Add, Dense, Multiply


def fluctuation_behind_sum(place: Place, inputs: list[Signal]) -> float:
    """Return c behind a sum: of a stream and a branch that ends in a dense layer; else the larger of what is added."""
    op, walk, sources = place.node.op, place.walk, place.node.sources
    most = max(x.fluctuation for x in inputs)
    if not isinstance(op, Add) or len(inputs) != 2 or place.node.shape.count == 1:
        return most
    for branch, stream in ((1, 0), (0, 1)):
        last = walk.graph.nodes[sources[branch]]
        if not isinstance(last.op, Dense) or not walk.depends(last.index, sources[stream]):
            continue
        added = op.scales[branch] ** 2 * inputs[branch].second
        kept = op.scales[stream] ** 2 * inputs[stream].second
        c, b = inputs[stream].fluctuation, place.examples
        middle = walk.graph.nodes[last.sources[0]]
        gate = middle
        if isinstance(middle.op, Multiply):
            gate = next(
                (walk.graph.nodes[i] for i in middle.sources if isinstance(walk.graph.nodes[i].op, Activate)),
                gate,
            )
        if not isinstance(gate.op, Activate):
            return advance_fluctuation_attention(c, kept, added, b)
        slopes = walk.signals[gate.index].kept
        assert isinstance(slopes, Activated)
        hidden = (
            walk.signals[gate.sources[0]].second,
            walk.signals[gate.index].second,
            slopes.slopes,
        )
        n, m = place.node.shape.features, middle.shape.features
        return advance_fluctuation_mlp(c, kept, added, hidden, n, m, b)
    return most
