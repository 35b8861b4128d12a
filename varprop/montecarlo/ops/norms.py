"""Normalizations: y = (x - m) / sqrt(v + eps) over some of the axes, factors at 1 and shifts at 0.

With g the gradient at y, that at x is ``(g - mean g - y · mean(g y)) / sqrt(v + eps)``, for any eps; without the
mean's term where none is subtracted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from varprop.montecarlo.ops._rule import Context, Place, Rule, column_dots, column_sums, register
from varprop.montecarlo.samplers.reductions import Columns
from varprop.spec.ops import BatchNorm, GroupNorm, LayerNorm, RMSNorm

Array = NDArray[Any]
Sums = Callable[[Array], Array]
Dots = Callable[[Array, Array], Array]


def _normalized(x: Array, eps: float, count: int, sums: Sums | None, dots: Dots) -> tuple[Array, Any]:
    """Return y, and what `_back` needs; `count` numbers share a mean and a variance."""
    dtype = x.dtype.type
    centred = x if sums is None else x - sums(x) / dtype(count)
    inverse = 1 / np.sqrt(dots(centred, centred) / dtype(count) + dtype(eps))
    y = centred * inverse
    return y, (y, inverse)


def _back(saved: Any, g: Array, count: int, sums: Sums | None, dots: Dots) -> Array:
    y, inverse = saved
    dtype = g.dtype.type
    result: Array = g - y * (dots(g, y) / dtype(count))
    if sums is not None:
        result -= sums(g) / dtype(count)
    result *= inverse
    return result


def _layer(place: Place, inputs: Sequence[Columns], context: Context) -> tuple[Array, Any]:
    return _normalized(inputs[0].array, place.op.eps, place.output.features, column_sums, column_dots)


def _layer_back(place: Place, saved: Any, gradient: Columns, context: Context) -> Sequence[Array]:
    return [_back(saved, gradient.array, place.output.features, column_sums, column_dots)]


def _rms(place: Place, inputs: Sequence[Columns], context: Context) -> tuple[Array, Any]:
    return _normalized(inputs[0].array, place.op.eps, place.output.features, None, column_dots)


def _rms_back(place: Place, saved: Any, gradient: Columns, context: Context) -> Sequence[Array]:
    return [_back(saved, gradient.array, place.output.features, None, column_dots)]


def _row_sums(x: Array) -> Array:
    return x.sum(axis=2, keepdims=True)  # type: ignore[no-any-return]


def _row_dots(x: Array, y: Array) -> Array:
    return np.einsum("rij,rij->ri", x, y)[:, :, None]  # type: ignore[no-any-return]


def _batch(place: Place, inputs: Sequence[Columns], context: Context) -> tuple[Array, Any]:
    x = inputs[0].array
    return _normalized(x, place.op.eps, x.shape[2], _row_sums, _row_dots)


def _batch_back(place: Place, saved: Any, gradient: Columns, context: Context) -> Sequence[Array]:
    return [_back(saved, gradient.array, gradient.array.shape[2], _row_sums, _row_dots)]


def _grouped(place: Place, x: Array) -> Array:
    """Return x of shape (draws, features, B T) as (draws · groups, features / groups, B, T)."""
    groups, (draws, features, _) = place.op.groups, x.shape
    return x.reshape(draws * groups, features // groups, place.examples, -1)


def _group_sums(x: Array) -> Array:
    return x.sum(axis=(1, 3), keepdims=True)  # type: ignore[no-any-return]


def _group_dots(x: Array, y: Array) -> Array:
    return np.einsum("rcbt,rcbt->rb", x, y)[:, None, :, None]  # type: ignore[no-any-return]


def _size(place: Place) -> int:
    return place.output.features // place.op.groups * place.output.count  # type: ignore[no-any-return]


def _group(place: Place, inputs: Sequence[Columns], context: Context) -> tuple[Array, Any]:
    x = inputs[0].array
    y, saved = _normalized(_grouped(place, x), place.op.eps, _size(place), _group_sums, _group_dots)
    return y.reshape(x.shape), saved


def _group_back(place: Place, saved: Any, gradient: Columns, context: Context) -> Sequence[Array]:
    g = gradient.array
    result = _back(saved, _grouped(place, g), _size(place), _group_sums, _group_dots)
    return [result.reshape(g.shape)]


register(LayerNorm, Rule(_layer, _layer_back))
register(RMSNorm, Rule(_rms, _rms_back))
register(BatchNorm, Rule(_batch, _batch_back))
register(GroupNorm, Rule(_group, _group_back))
