"""Nearest-neighbour interpolation: columns repeated, and their gradients added up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from varprop.montecarlo.ops._rule import Context, Place, Rule, register
from varprop.montecarlo.ops.reshapes import by_example
from varprop.montecarlo.samplers.reductions import Columns
from varprop.spec.ops import Upsample

Array = NDArray[Any]


def _origins(place: Place) -> Array:
    return np.array(place.op.origins(place.inputs[0].positions))


def _upsample(place: Place, inputs: Sequence[Columns], context: Context) -> tuple[Array, Any]:
    x = by_example(inputs[0].array, place.examples)
    return x[..., _origins(place)].reshape(*x.shape[:2], -1), None


def _upsample_back(place: Place, saved: Any, gradient: Columns, context: Context) -> Sequence[Array]:
    g = by_example(gradient.array, place.examples)
    origins = _origins(place)
    # Every position is repeated equally often: sorted by origin, its repetitions stand side by side.
    order = np.argsort(origins, kind="stable")
    sums = g[..., order].reshape(*g.shape[:3], place.inputs[0].count, -1).sum(axis=-1)
    return [sums.reshape(*g.shape[:2], -1)]


register(Upsample, Rule(_upsample, _upsample_back))
