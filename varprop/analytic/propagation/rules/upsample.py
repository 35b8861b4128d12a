"""Nearest-neighbour interpolation: every column repeated; moments are repeated with it, exactly."""

from __future__ import annotations

import numpy as np

from varprop.analytic.propagation.rules.shapes import picked, sent_back
from varprop.analytic.propagation.signal import Gradient, Index, Signal
from varprop.analytic.propagation.walk import Place, Rule, kept_roots
from varprop.spec.ops import Upsample


def _columns(place: Place) -> Index:
    """Return for every column of the output the one that it repeats."""
    op, before = place.node.op, place.before[0]
    assert isinstance(op, Upsample)
    origins = np.array(op.origins(before.positions))
    found: Index = np.add.outer(np.arange(place.examples) * before.count, origins).ravel()
    return found


def _upsample(place: Place, inputs: list[Signal]) -> Signal:
    return picked(inputs[0], _columns(place))


def _upsample_back(place: Place, gradient: Gradient, inputs: list[Signal]) -> list[Gradient]:
    return [sent_back(gradient, _columns(place), inputs[0].mean.size)]


RULE = Rule(_upsample, _upsample_back, roots=kept_roots)
