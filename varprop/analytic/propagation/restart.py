"""Where a walk starts again from what was measured, because no rule leads on from there.

What rests on a restart is marked: a signal's sizes, until a normalization divides by them, and what it says of pairs of
columns; a gradient, from where it was measured down.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from varprop.analytic.propagation.signal import Gradient, Signal, merged
from varprop.analytic.propagation.walk import Place, Rule
from varprop.spec import ops
from varprop.spec.ops import Op, Shape

_NORMS = (ops.LayerNorm, ops.RMSNorm, ops.GroupNorm, ops.BatchNorm)
"""Ops that divide by the size of their input."""
_MIXING = (ops.Attend, ops.MeanPool, ops.MaxPool, ops.Flatten, ops.Transpose)
"""Ops that make sizes of what pairs of columns have in common."""
_LINEAR = (
    ops.Dense,
    ops.Convolution,
    ops.Unembedding,
    ops.Positions,
    ops.ClassToken,
    ops.Add,
    ops.Dropout,
    ops.Select,
    ops.Flatten,
    ops.Transpose,
    ops.Concatenate,
    ops.MeanPool,
    ops.Upsample,
)
"""Ops whose gradient does not depend on values."""


@dataclass(frozen=True)
class Restart(Op):
    """Whatever has no rule: any inputs, and an output of which only measurements are known.

    Attributes
    ----------
    value : Shape
        Of the output.
    """

    kind: ClassVar[str] = "restart"
    arity: ClassVar[int] = 0
    value: Shape = field(default_factory=lambda: Shape(1))

    def shape(self, *inputs: Shape) -> Shape:
        """Return the shape that was seen."""
        return self.value


@dataclass(frozen=True, eq=False)
class Restarts:
    """What was measured of a network.

    Attributes
    ----------
    signals : mapping
        From the index of a `Restart` to its output's signal.
    gradients : mapping
        From the index of a node to the mean square of the gradient at its output.
    start : float or None
        The same at the network's output, where its head is not known.
    """

    signals: Mapping[int, Signal] = field(default_factory=dict)
    gradients: Mapping[int, float] = field(default_factory=dict)
    start: float | None = None

    def rule(self) -> Rule:
        """Return the rule of a `Restart`."""
        return Rule(self._forward, self._backward)

    def _forward(self, place: Place, inputs: list[Signal]) -> Signal:
        return self.signals[place.node.index]

    def _backward(self, place: Place, gradient: Gradient, inputs: list[Signal]) -> list[Gradient]:
        return [
            measured_gradient(self.gradients.get(source), x.second.shape[0], f"behind {place.node.name}")
            for source, x in zip(place.node.sources, inputs, strict=True)
        ]


def measured_gradient(square: float | None, columns: int, where: str) -> Gradient:
    """Return the whole gradient at a node from its measured mean square, columns taken as uncorrelated."""
    if square is None:
        return Gradient(np.full((1, 1), np.nan), unknown=f"no gradient was measured {where}", total=True)
    why = (f"restarted from the gradient measured {where}",)
    return Gradient(square * np.eye(columns), restarted=why, total=True)


def mark(op: Op, found: Signal, inputs: list[Signal]) -> Signal:
    """Return the output of an op with the restarts on which its sizes, and its pairs of columns, rest."""
    if isinstance(op, Restart):
        return found
    sizes = merged(*(x.restarted for x in inputs))
    pairs = merged(sizes, *(x.restarted_pairs for x in inputs))
    if isinstance(op, _NORMS) and not found.mean.any():
        sizes = ()
    elif isinstance(op, _MIXING):
        sizes = pairs
    return replace(found, restarted=sizes, restarted_pairs=pairs) if pairs else found


def mark_back(op: Op, parts: list[Gradient], here: Gradient, inputs: list[Signal]) -> list[Gradient]:
    """Return what an op sends back with the restarts on which it rests."""
    if isinstance(op, Restart):
        return parts
    values = () if isinstance(op, _LINEAR) else merged(*(x.restarted for x in inputs))
    if isinstance(op, ops.Attend | ops.BatchNorm):
        values = merged(*(x.restarted_pairs for x in inputs), values)
    marks = merged(here.restarted, values)
    return [replace(part, restarted=marks) for part in parts] if marks else parts
