"""What a walk holds in memory, and where a graph may be cut so that it holds less.

On the way back every op needs something that it saw on the way forward. Where keeping all of it is too much, only the
values at some nodes are kept that every path passes, and each piece between two of them is worked out again, from the
same random numbers, when the way back reaches it. The memory is then that of one piece.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from varprop.spec.ops import Activate, Attend, Convolution, Dense, Embedding, Source, Unembedding

if TYPE_CHECKING:
    from varprop.spec.graph import Graph, Node


@dataclass(frozen=True)
class Segment:
    """Consecutive nodes of a graph.

    Attributes
    ----------
    first, last : int
        Indices of its first and last node; every path through it ends in the last.
    """

    first: int
    last: int


def held_numbers(graph: Graph, node: Node, examples: int) -> int:
    """Return how many numbers one draw keeps of a node for the way back, its output included."""
    out = node.shape.features * node.shape.count * examples
    op = node.op
    if isinstance(op, Source):
        return 0 if node.shape.vocabulary else out
    if isinstance(op, Attend):
        keys = graph.inputs(node)[1].count
        return 2 * out + op.heads * node.shape.count * keys * examples
    if isinstance(op, Convolution):
        (before,) = graph.inputs(node)
        positions = before.count if op.transposed else node.shape.count
        return 2 * out + before.features * graph.window(node) * positions * examples
    if isinstance(op, Embedding):
        return 2 * out
    return (2 if isinstance(op, Dense | Unembedding | Activate) else 1) * out


def held_bytes(graph: Graph, examples: int) -> int:
    """Return how many bytes one draw keeps for the way back in single precision if nothing is worked out again."""
    return 4 * sum(held_numbers(graph, node, examples) for node in graph.nodes)


def cut(graph: Graph, examples: int) -> tuple[Segment, ...]:
    """Cut a graph where a single value passes, into pieces of about the size of the largest that cannot be cut."""
    sizes = [held_numbers(graph, node, examples) for node in graph.nodes]
    ends = sorted(graph.dominators | {len(sizes) - 1})
    gaps = [sum(sizes[a + 1 : b + 1]) for a, b in zip([-1, *ends], ends, strict=False)]
    values = [graph.nodes[i].shape.features * graph.nodes[i].shape.count * examples for i in ends]
    # As many pieces as values kept between them: the sum of both is least about there.
    target = max(*gaps, math.isqrt(sum(sizes) * max(values)))
    segments, first, held = [], 0, 0
    for end, gap, following in zip(ends, gaps, [*gaps[1:], math.inf], strict=True):
        held += gap
        if held + following > target:
            segments.append(Segment(first, end))
            first, held = end + 1, 0
    return tuple(segments)


def segmented_bytes(graph: Graph, segments: tuple[Segment, ...], examples: int) -> int:
    """Return how many bytes one draw keeps at most if the segments are worked out again one by one."""
    sizes = [held_numbers(graph, node, examples) for node in graph.nodes]
    ends = [graph.nodes[segment.last].shape for segment in segments]
    kept = sum(shape.features * shape.count * examples for shape in ends)
    return 4 * (kept + max(sum(sizes[s.first : s.last + 1]) for s in segments))
