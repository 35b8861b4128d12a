"""Ops that put the same numbers elsewhere: flatten, transpose, select, concatenate; and the input itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from varprop.montecarlo.ops._rule import Context, Place, Rule, register
from varprop.montecarlo.samplers.reductions import Columns
from varprop.spec.ops import Concatenate, Flatten, Select, Transpose

Array = NDArray[Any]


def by_example(x: Array, examples: int) -> Array:
    """Return x of shape (draws, features, B T) as (draws, features, B, T)."""
    return x.reshape(*x.shape[:2], examples, -1)


def _flatten(place: Place, inputs: Sequence[Columns], context: Context) -> tuple[Array, Any]:
    x = by_example(inputs[0].array, place.examples)
    return x.transpose(0, 1, 3, 2).reshape(len(x), -1, place.examples), None


def _flatten_back(place: Place, saved: Any, gradient: Columns, context: Context) -> Sequence[Array]:
    g = gradient.array.reshape(len(gradient.array), place.inputs[0].features, -1, place.examples)
    return [g.transpose(0, 1, 3, 2).reshape(*g.shape[:2], -1)]


def _transposed(x: Array, examples: int) -> Array:
    """Swap features and positions within each example."""
    wide = by_example(x, examples)
    return wide.transpose(0, 3, 2, 1).reshape(len(x), wide.shape[3], -1)


def _transpose(place: Place, inputs: Sequence[Columns], context: Context) -> tuple[Array, Any]:
    return _transposed(inputs[0].array, place.examples), None


def _transpose_back(place: Place, saved: Any, gradient: Columns, context: Context) -> Sequence[Array]:
    return [_transposed(gradient.array, place.examples)]


def _select(place: Place, inputs: Sequence[Columns], context: Context) -> tuple[Array, Any]:
    x = by_example(inputs[0].array, place.examples)
    return np.ascontiguousarray(x[:, :, :, place.op.position]), None


def _select_back(place: Place, saved: Any, gradient: Columns, context: Context) -> Sequence[Array]:
    g = gradient.array
    result = np.zeros((*g.shape, place.inputs[0].count), g.dtype)
    result[:, :, :, place.op.position] = g
    return [result.reshape(*g.shape[:2], -1)]


def _concatenate(place: Place, inputs: Sequence[Columns], context: Context) -> tuple[Array, Any]:
    return np.concatenate([value.array for value in inputs], axis=1), None


def _concatenate_back(place: Place, saved: Any, gradient: Columns, context: Context) -> Sequence[Array]:
    ends = np.cumsum([shape.features for shape in place.inputs])[:-1]
    return [np.ascontiguousarray(part) for part in np.split(gradient.array, ends, axis=1)]


register(Flatten, Rule(_flatten, _flatten_back))
register(Transpose, Rule(_transpose, _transpose_back))
register(Select, Rule(_select, _select_back))
register(Concatenate, Rule(_concatenate, _concatenate_back))
