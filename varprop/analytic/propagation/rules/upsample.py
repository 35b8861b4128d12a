"""Nearest-neighbour interpolation: every column repeated; moments are repeated with it, exactly."""

from __future__ import annotations

import numpy as np

from varprop.analytic.propagation.rules.maps import Known
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
    (before,) = inputs
    at = _columns(place)
    both = np.ix_(at, at)
    return Signal(
        **{
            **vars(before),
            "second": before.second[both],
            "mean": before.mean[at],
            "common": None if before.common is None else before.common[both],
            "token": None if before.token is None else before.token[at],
            "kept": before.kept if isinstance(before.kept, Known) else None,
        }
    )


def _upsample_back(place: Place, gradient: Gradient, inputs: list[Signal]) -> list[Gradient]:
    """Return what arrives at a column: the sum over its repetitions, so that all their products count."""
    copies = np.zeros((gradient.second.shape[0], inputs[0].mean.size))
    copies[np.arange(len(copies)), _columns(place)] = 1.0
    return [Gradient(copies.T @ gradient.second @ copies, gradient.exact, gradient.reasons)]


RULE = Rule(_upsample, _upsample_back, roots=kept_roots)
