"""Means and maxima over all positions, or over windows of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from varprop.montecarlo.ops._rule import Context, Place, Rule, register
from varprop.montecarlo.ops.windows import Windows
from varprop.montecarlo.samplers.reductions import Columns
from varprop.spec.ops import MaxPool, MeanPool

Array = NDArray[Any]


def _windows(place: Place) -> Windows:
    before = place.inputs[0].positions
    number = place.output.positions if place.op.window else (1,) * len(before)
    return Windows(before, number, **place.op.geometry(before))


def _mean(place: Place, inputs: Sequence[Columns], context: Context) -> tuple[Array, Any]:
    x = inputs[0].array
    if not place.op.window:
        return x.reshape(*x.shape[:2], place.examples, -1).mean(axis=3, dtype=x.dtype), None
    return _windows(place).gather(x, place.examples).mean(axis=2, dtype=x.dtype), None


def _mean_back(place: Place, saved: Any, gradient: Columns, context: Context) -> Sequence[Array]:
    g = gradient.array
    if not place.op.window:
        count = place.inputs[0].count
        return [np.repeat(g / g.dtype.type(count), count, axis=2)]
    windows = _windows(place)
    shape = (*g.shape[:2], windows.size, g.shape[2])
    spread = np.broadcast_to((g / g.dtype.type(windows.size))[:, :, None], shape)
    return [windows.scatter(spread, place.examples)]


def _max(place: Place, inputs: Sequence[Columns], context: Context) -> tuple[Array, Any]:
    values = _windows(place).gather(inputs[0].array, place.examples, -np.inf)
    best = values.argmax(axis=2)[:, :, None]
    return np.take_along_axis(values, best, axis=2)[:, :, 0], best.astype(np.int32)


def _max_back(place: Place, saved: Any, gradient: Columns, context: Context) -> Sequence[Array]:
    windows, g = _windows(place), gradient.array
    spread = np.zeros((*g.shape[:2], windows.size, g.shape[2]), g.dtype)
    np.put_along_axis(spread, saved, g[:, :, None], axis=2)
    return [windows.scatter(spread, place.examples)]


register(MeanPool, Rule(_mean, _mean_back))
register(MaxPool, Rule(_max, _max_back))
