"""Quadratic forms of attention's Jacobian, for stacks of attention matrices that are block diagonal over examples.

With J_t = diag A_t - A_t A_t^T, B = A S and C = A S A^T,

    over keys      F[t, t'] = tr(J_t S J_t'^T M)             = Z + Z^T + C * (A M A^T),
                   Z = (A (S * M) / 2 - B * (A M)) A^T
    over queries   G[s, s'] = sum_tt' H[t, t'] (J_t S J_t'^T)[s, s']
                            = S * (A^T H A) + W + W^T,       W = A^T ((H * C) A / 2 - B * (H A))

so that all pairs cost a few products of N x N matrices. Where M (or H) is antisymmetric, the transposed terms change
sign; where S is too, they change it back.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def left(a: Array, x: Array) -> Array:
    """Return A X for A of shape (..., B, T, T), block diagonal, and X of shape (..., N, M)."""
    blocks, size = a.shape[-3:-1]
    product = a @ x.reshape(*x.shape[:-2], blocks, size, x.shape[-1])
    return product.reshape(*product.shape[:-3], blocks * size, x.shape[-1])


def right(x: Array, a: Array) -> Array:
    """Return X A for X of shape (..., M, N) and A of shape (..., B, T, T), block diagonal."""
    blocks, size = a.shape[-3:-1]
    product = x.reshape(*x.shape[:-1], blocks, size).swapaxes(-3, -2) @ a
    product = product.swapaxes(-3, -2)
    return product.reshape(*product.shape[:-2], blocks * size)


def transposed(x: Array) -> Array:
    """Return X^T of each matrix."""
    return x.swapaxes(-1, -2)


def symmetrized(x: Array) -> Array:
    """Return X + X^T of each matrix."""
    return x + x.swapaxes(-1, -2)


def centred(x: Array, blocks: int) -> Array:
    """Return (..., N, N) less its means over the columns and over the rows of each example.

    J annihilates what is common to all keys, so forms do not change; of nearly identical tokens, whose second moments
    differ in their last digits, it keeps the differences.
    """
    size = x.shape[-1] // blocks
    cells = x.reshape(*x.shape[:-2], blocks, size, blocks, size)
    cells = cells - cells.mean(axis=-1, keepdims=True)
    return np.asarray((cells - cells.mean(axis=-3, keepdims=True)).reshape(x.shape))


class Forms:
    """Both forms for a stack of attention matrices and one second moment S.

    Parameters
    ----------
    attention : ndarray
        Shape (..., B, T, T).
    value : ndarray
        S, shape (N, N), symmetric or antisymmetric.
    """

    def __init__(self, attention: Array, value: Array) -> None:
        self._a = attention
        self._s = centred(value, attention.shape[-3])
        self._b = left(attention, self._s)
        self._c = right(self._b, transposed(attention))

    def over_keys(self, gram: Array, sign: float = 1.0) -> Array:
        """Return F, shape (..., N, N); `sign` is -1 where exactly one of S and `gram` is antisymmetric."""
        m = centred(gram, self._a.shape[-3])
        am, back = left(self._a, m), transposed(self._a)
        z = right(0.5 * left(self._a, self._s * m) - self._b * am, back)
        return np.asarray(z + sign * transposed(z) + self._c * right(am, back))

    def over_queries(self, weight: Array, sign: float = 1.0) -> Array:
        """Return G, shape (..., N, N); `sign` is -1 where exactly one of S and `weight` is antisymmetric."""
        ha, back = right(weight, self._a), transposed(self._a)
        w = left(back, 0.5 * right(weight * self._c, self._a) - self._b * ha)
        return np.asarray(self._s * left(back, ha) + w + sign * transposed(w))
