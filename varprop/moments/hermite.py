"""Pair moments by Mehler's expansion: E phi(u) phi(v) = sum over k of a_k(q1) a_k(q2) rho^k.

a_k(q) = E phi(sqrt(q) g) h_k(g) with h_k the normalised Hermite polynomials. All pairs among B variances
share B coefficient vectors, so a covariance matrix costs little more than one entry. The remainder is known
from Parseval's identity, E phi² minus the sum of squares; where it is too large, `accepts` says so.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from varprop.moments.rule import Array, nodes_of

TERMS = 256
_ROUNDING = 4e-15


@cache
def _grid() -> tuple[Array, Array, Array]:
    """Return g > 0, shape (N,), and weight · density · h_k(g) for even and odd k, each (TERMS/2, N).

    Half-unit panels follow the oscillation of the polynomials (frequency sqrt(k) <= 16); towards 0 panels
    shrink geometrically, so that phi(sqrt(q) g) with its features around 0 is resolved for large q too.
    """
    small = 0.5 / 2.0 ** np.arange(26, 0, -1)
    edges = np.concatenate([[0.0], small, np.arange(0.5, 13.25, 0.5)])
    g, w = (x.ravel() for x in nodes_of(edges[:-1], edges[1:]))
    bell = w * np.exp(-0.25 * g * g) / np.sqrt(2 * np.pi)
    # h_k exp(-g²/4) stays bounded, so nothing overflows: sqrt(k+1) h_{k+1} = g h_k - sqrt(k) h_{k-1}
    rows = np.empty((TERMS, g.size))
    rows[0] = np.exp(-0.25 * g * g)
    rows[1] = g * rows[0]
    for k in range(1, TERMS - 1):
        rows[k + 1] = (g * rows[k] - np.sqrt(k) * rows[k - 1]) / np.sqrt(k + 1)
    rows *= bell
    return g, np.ascontiguousarray(rows[0::2]), np.ascontiguousarray(rows[1::2])


def coefficients(function: Callable[[Array], Any], q: Array) -> Array:
    """Return a_0..a_{TERMS-1} of `function` for every variance, shape (len(q), TERMS)."""
    g, even, odd = _grid()
    result = np.empty((q.size, TERMS))
    for start in range(0, q.size, 256):
        z = np.sqrt(q[start : start + 256, None]) * g
        right, left = np.asarray(function(z)), np.asarray(function(-z))
        result[start : start + 256, 0::2] = (right + left) @ even.T
        result[start : start + 256, 1::2] = (right - left) @ odd.T
    return result


class Expansion:
    """Mehler's series of many pairs.

    Parameters
    ----------
    first, second : ndarray, shape (pairs, TERMS)
        Hermite coefficients for the two variances of each pair.
    norm1, norm2 : ndarray, shape (pairs,)
        E f² at the two variances, by other means.
    """

    def __init__(self, first: Array, second: Array, norm1: Array, norm2: Array) -> None:
        needed = np.flatnonzero(
            (np.abs(first) > 1e-18 * np.sqrt(norm1)[:, None]).any(axis=0)
            | (np.abs(second) > 1e-18 * np.sqrt(norm2)[:, None]).any(axis=0)
        )
        count = int(needed[-1]) + 1 if needed.size else 1
        self._terms = np.ascontiguousarray((first[:, :count] * second[:, :count]).T)
        self._rest = np.sqrt(_remainder(first, norm1) * _remainder(second, norm2))
        self._size = np.sqrt(norm1 * norm2)

    def __call__(self, rho: Array, pairs: Any = slice(None)) -> Array:
        """Return the series at correlations `rho`, one per pair (Horner)."""
        terms = self._terms[:, pairs]
        total = terms[-1].copy()
        for row in terms[-2::-1]:
            total *= rho
            total += row
        return total

    def accepts(self, rho: Array, value: Array) -> npt.NDArray[np.bool_]:
        """Say where what the series leaves out is below 1e-13 of the value."""
        left_out = np.abs(rho) ** TERMS * self._rest
        resolved = self._rest < np.inf
        return np.asarray(resolved & (left_out <= 1e-13 * np.abs(value) + 1e-17 * self._size))


def _remainder(coefficient: Array, norm: Array) -> Array:
    """Return E f² minus the sum of squares; infinite where Parseval shows the coefficients to be wrong."""
    rest = norm - np.square(coefficient).sum(axis=1)
    rounding = _ROUNDING * norm
    return np.where(rest < -10 * rounding, np.inf, np.where(rest < rounding, _tail(coefficient), rest))


def _tail(coefficient: Array) -> Array:
    """Bound what lies beyond the last terms by the last terms, when the remainder drowns in rounding."""
    last = np.square(coefficient[:, -TERMS // 4 :]).sum(axis=1)
    bound: Array = 4 * last
    return bound
