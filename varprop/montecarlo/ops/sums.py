"""Sums and products of values, entry by entry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from varprop.montecarlo.ops._rule import Context, Place, Rule, register
from varprop.montecarlo.samplers.reductions import Columns
from varprop.spec.ops import Add, Multiply

Array = NDArray[Any]


def _add(place: Place, inputs: Sequence[Columns], context: Context) -> tuple[Array, Any]:
    parts = [_times(value.array, scale) for scale, value in zip(place.op.scales, inputs, strict=True)]
    if len(parts) == 1:
        return parts[0], None
    total: Array = parts[0] + parts[1]
    for part in parts[2:]:
        total += part
    return total, None


def _add_back(place: Place, saved: Any, gradient: Columns, context: Context) -> Sequence[Array]:
    return [_times(gradient.array, scale) for scale in place.op.scales]


def _times(array: Array, scale: float) -> Array:
    return array if scale == 1.0 else array * array.dtype.type(scale)


def _multiply(place: Place, inputs: Sequence[Columns], context: Context) -> tuple[Array, Any]:
    one, two = (value.array for value in inputs)
    return np.asarray(one * two), (one, two)


def _multiply_back(place: Place, saved: Any, gradient: Columns, context: Context) -> Sequence[Array]:
    one, two = saved
    return [gradient.array * two, gradient.array * one]


register(Add, Rule(_add, _add_back))
register(Multiply, Rule(_multiply, _multiply_back))
