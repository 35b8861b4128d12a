"""Dense layers, at every position."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from varprop.analytic.propagation.rules.maps import back, map_roots, through
from varprop.analytic.propagation.signal import Array, Gradient, Signal
from varprop.analytic.propagation.walk import Place, Rule
from varprop.spec.ops import Dense


@dataclass(frozen=True, eq=False)
class Read:
    """What weights meet: second moment of what arrives, mean over the entries of one output unit's weights."""

    second: Array


def _forward(place: Place, inputs: list[Signal]) -> Signal:
    op = place.node.op
    assert isinstance(op, Dense)
    (before,) = inputs
    n = before.features
    gathered = (n * before.second, n * before.mean, float(n) ** 2 * before.feature_means)
    weights, biases = op.weight_law(*place.before), op.bias_law(*place.before)
    return through(place, before, weights, biases, gathered, Read(before.second))


def _backward(place: Place, gradient: Gradient, inputs: list[Signal]) -> list[Gradient]:
    op = place.node.op
    assert isinstance(op, Dense)
    return [back(gradient, op.width, op.weight_law(*place.before), place.node.name, np.asarray)]


RULE = Rule(_forward, _backward, roots=map_roots)
