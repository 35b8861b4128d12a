"""Sums over one draw's units and inputs, kept accurate and in range.

Products are summed by BLAS in the arrays' own precision over at most 16k elements at a time and then in double
precision: in single precision the relative error of a sum of squares stays below about 1e-6.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from varprop.montecarlo.samplers import products
from varprop.montecarlo.scaled import Power, shifted

Array = NDArray[Any]

_PIECE = 1 << 14
# Rows of booleans from here on are worth a call each.
_LONG = 1 << 12
_SAFE = {np.dtype(np.float32): (1e-30, 1e30), np.dtype(np.float64): (1e-280, 1e280)}


class NeedsDouble(ArithmeticError):
    """Single precision does not hold these numbers; the group is drawn again in double precision."""


def _rowwise(a: Array, b: Array) -> Array:
    product: Array = np.matmul(a[:, None, :], b[:, :, None])[:, 0, 0]
    return product


_vecdot = getattr(np, "vecdot", _rowwise)


def dot(a: Array, b: Array) -> Array:
    """Return each draw's sum of products, float64 of shape (draws,); a, b of shape (draws, …), contiguous."""
    a, b = a.reshape(len(a), -1), b.reshape(len(b), -1)
    if a.shape[1] <= _PIECE:
        return np.asarray(_vecdot(a, b), np.float64)
    starts = range(0, a.shape[1], _PIECE)
    parts = (_vecdot(a[:, s : s + _PIECE], b[:, s : s + _PIECE]) for s in starts)
    return sum(parts, np.zeros(len(a)))


def total(a: Array) -> Array:
    """Return each draw's sum, float64 of shape (draws,)."""
    a = a.reshape(len(a), -1)
    ones = np.ones(min(a.shape[1], _PIECE), a.dtype)
    if a.shape[1] <= _PIECE:
        return np.asarray(a @ ones, np.float64)
    starts = range(0, a.shape[1], _PIECE)
    parts = (a[:, s : s + _PIECE] for s in starts)
    return sum((part @ ones[: part.shape[1]] for part in parts), np.zeros(len(a)))


def count(mask: NDArray[np.bool_]) -> Array:
    """Return how many entries of each draw are True, float64 of shape (draws,)."""
    flat = mask.reshape(len(mask), -1)
    if flat.shape[1] < _LONG:
        # Bytes added as 16-bit numbers: five times as fast as counting booleans along an axis.
        return np.add.reduce(flat.view(np.uint8), axis=1, dtype=np.uint16).astype(np.float64)  # type: ignore[no-any-return]
    return np.array([np.count_nonzero(row) for row in flat], np.float64)


def square_sum(a: Array) -> tuple[Array, Power]:
    """Return each draw's sum of squares as (value, binary exponent), exact zeros for zeros only.

    Raises
    ------
    NeedsDouble
        If `a` is float32 and a sum leaves the range in which it is accurate.
    """
    value = dot(a, a)
    if _in_range(value, a.dtype):
        return value, 0
    least, greatest = _SAFE[a.dtype]
    unsafe = ~((value > least) & (value < greatest))
    flat = a.reshape(len(a), -1)
    unsafe[unsafe] = [row.any() for row in flat[unsafe]]
    if not unsafe.any():
        return value, 0
    if a.dtype == np.float32:
        raise NeedsDouble
    exponent = np.zeros(len(a), np.int64)
    for row in np.flatnonzero(unsafe):
        largest = float(np.abs(flat[row]).max())
        if np.isfinite(largest):
            power = int(np.frexp(largest)[1])
            part = shifted(flat[row], -power)
            value[row], exponent[row] = part @ part, 2 * power
        else:
            value[row] = np.inf
    return value, exponent


def _in_range(sums: Array, dtype: np.dtype[Any]) -> bool:
    least, greatest = _SAFE[dtype]
    return bool(least < sums.min() and sums.max() < greatest)


class Columns:
    """The column vectors of a group, with their inner products worked out once.

    Parameters
    ----------
    array : array of shape (draws, n, B)
        A stack of one matrix repeated without copying is recognised.

    Attributes
    ----------
    factors : varprop.montecarlo.samplers.factors.Factors or None
        Its orthonormal factors, once somebody has worked them out.
    """

    def __init__(self, array: Array) -> None:
        self.array = array
        self.distinct = array[:1] if array.strides[0] == 0 else array
        self.factors: Any = None

    @functools.cached_property
    def squares(self) -> tuple[Array, Power]:
        """Each draw's sum of squares, as `square_sum` gives it."""
        _, units, batch = self.array.shape
        # The inner products of few columns are wanted anyway.
        if 1 < batch <= units / 4 and units <= _PIECE:
            sums: Array = products.diagonal(self.gram).sum(axis=1)
            if _in_range(sums, self.array.dtype):
                return np.repeat(sums, len(self.array) // len(sums)), 0
        return square_sum(self.array)

    def accept_squares(self, sums: Array) -> None:
        """Take sums of squares that were worked out elsewhere, if they are in range."""
        if _in_range(sums, self.array.dtype):
            self.squares = sums, 0

    @property
    def length(self) -> Array:
        """Root of each draw's sum of squares, float64 of shape (draws,)."""
        return np.sqrt(shifted(*self.squares))

    @functools.cached_property
    def gram(self) -> Array:
        """Inner products, float64 of shape (draws or 1, B, B), summed in the precision of the array."""
        return products.gram(self.distinct).astype(np.float64)

    @functools.cached_property
    def exact_gram(self) -> Array:
        """Inner products summed in double precision."""
        if self.array.dtype == np.float64:
            return self.gram
        return products.gram(self.distinct.astype(np.float64))
