"""An activation, entry by entry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from varprop.montecarlo.ops._rule import Context, Place, Rule, register
from varprop.montecarlo.samplers.reductions import Columns, dot
from varprop.spec.ops import Activate

if TYPE_CHECKING:
    from varprop.activations import Activation

Array = NDArray[Any]

_STEEP = 1e-2
"""Mean squared slope from which an absolute error of 1e-7 in each slope is below 1e-5 of the mean."""

_PIECE = 1 << 14
"""Entries at a time, so that what an activation works out on the way stays in the cache."""


def _forward(place: Place, inputs: Sequence[Columns], context: Context) -> tuple[Array, Any]:
    z = np.ascontiguousarray(inputs[0].distinct)
    phi: Activation = place.op.activation
    value, slope = _both(phi, z, context.bare)
    if not context.bare and slope is None:
        slope = in_pieces(phi.derivative, z)
    return _repeated(value, inputs[0]), None if slope is None else _repeated(slope, inputs[0])


def _both(phi: Activation, z: Array, bare: bool) -> tuple[Array, Array | None]:
    """Return phi(z), and phi'(z) where it comes cheaply and with enough digits."""
    if z.dtype != np.float32:
        return in_pieces(phi, z), None
    if phi.quick is not None:
        value, slope = _quick(phi.quick, z, bare)
    else:
        value = in_pieces(phi, z)
        slope = None if bare or phi.slope_of_value is None else phi.slope_of_value(value)
    # Where all units are far out in the tails, 1 - tanh² and its like have no digits left.
    if slope is not None and dot(slope, slope).min() <= _STEEP * slope[0].size:
        slope = None
    return value, slope


def _vjp(place: Place, saved: Any, gradient: Columns, context: Context) -> Sequence[Array]:
    return [gradient.array * saved]


def in_pieces(function: Any, z: Array) -> Array:
    """Return function(z), worked out piece by piece."""
    if z.size <= 2 * _PIECE:
        return np.asarray(function(z))
    flat, result = z.reshape(-1), np.empty(z.shape, z.dtype)
    out = result.reshape(-1)
    for start in range(0, flat.size, _PIECE):
        out[start : start + _PIECE] = function(flat[start : start + _PIECE])
    return result


def _quick(function: Any, z: Array, bare: bool) -> tuple[Array, Array | None]:
    flat, value, slope = z.reshape(-1), np.empty_like(z), None if bare else np.empty_like(z)
    for start in range(0, flat.size, _PIECE):
        piece = slice(start, start + _PIECE)
        value.reshape(-1)[piece], steep = function(flat[piece])
        if slope is not None:
            slope.reshape(-1)[piece] = steep
    return value, slope


def _repeated(array: Array, like: Columns) -> Array:
    return array if len(array) == len(like.array) else np.broadcast_to(array, like.array.shape)


register(Activate, Rule(_forward, _vjp))
