"""Pair moments by Mehler's expansion: E phi(u) phi(v) = sum over k of a_k(q1) a_k(q2) rho^k.

a_k(q) = E phi(sqrt(q) g) h_k(g) with h_k the normalised Hermite polynomials. All pairs among B variances
share B coefficient vectors, so a covariance matrix costs little more than one entry. The remainder is known
from Parseval's identity, E phi² minus the sum of squares; where it is too large, `accepts` says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from varprop.moments.rule import Array, nodes_of

TERMS = 256
_ROUNDING = 4e-15
_NEGLIGIBLE = 1e-10  # trailing coefficients below this share of the root norm: their squares do not count
_EDGES = np.concatenate([[0.0], 0.5 / 2.0 ** np.arange(26, 0, -1), np.arange(0.5, 13.25, 0.5)])


@cache
def _grid() -> tuple[Array, Array, Array]:
    """Return g > 0, shape (N,), and weight · density · h_k(g) for even and odd k, each (TERMS/2, N).

    Half-unit panels follow the oscillation of the polynomials (frequency sqrt(k) <= 16); towards 0 panels
    shrink geometrically, so that phi(sqrt(q) g) with its features around 0 is resolved for large q too.
    """
    g, w = (x.ravel() for x in nodes_of(_EDGES[:-1], _EDGES[1:]))
    bell = w * np.exp(-0.25 * g * g) / np.sqrt(2 * np.pi)
    rows = np.stack(list(_damped_hermite(g))) * bell
    return g, np.ascontiguousarray(rows[0::2]), np.ascontiguousarray(rows[1::2])


def _damped_hermite(g: Array) -> Iterator[Array]:
    """Yield h_k(g) exp(-g²/4), k = 0..TERMS-1: bounded, so nothing overflows.

    sqrt(k+1) h_{k+1} = g h_k - sqrt(k) h_{k-1}.
    """
    before, row = 0.0 * g, np.exp(-0.25 * g * g)
    for k in range(TERMS):
        yield row
        before, row = row, (g * row - np.sqrt(k) * before) / np.sqrt(k + 1)


def coefficients(function: Callable[[Array], Any], q: Array, kinks: Sequence[float] = ()) -> Array:
    """Return a_0..a_{TERMS-1} of `function` for every variance, shape (len(q), TERMS)."""
    g, even, odd = _grid()
    result = np.empty((q.size, TERMS))
    for start in range(0, q.size, 256):
        z = np.sqrt(q[start : start + 256, None]) * g
        right, left = np.asarray(function(z)), np.asarray(function(-z))
        result[start : start + 256, 0::2] = (right + left) @ even.T
        result[start : start + 256, 1::2] = (right - left) @ odd.T
    return result + _at_kinks(function, q, kinks) if any(kinks) else result


def _at_kinks(function: Callable[[Array], Any], q: Array, kinks: Sequence[float]) -> Array:
    """Return what splitting the fixed panels at the kinks other than 0 adds to the coefficients."""
    low, high, owner, side, sign = [], [], [], [], []
    for i, s in enumerate(np.sqrt(q)):
        for direction in (1.0, -1.0):
            cuts = np.sort([direction * k / s for k in kinks if 0 < direction * k < s * _EDGES[-1]])
            places = np.searchsorted(_EDGES, cuts, side="right") - 1
            for place in np.unique(places):
                a, b = _EDGES[place], _EDGES[place + 1]
                inner = [a, *cuts[places == place], b]
                low += [*inner[:-1], a]
                high += [*inner[1:], b]
                sign += [1.0] * (len(inner) - 1) + [-1.0]  # the pieces replace the whole panel
                owner += [i] * len(inner)
                side += [direction] * len(inner)
    result = np.zeros((q.size, TERMS))
    if not low:
        return result
    g, w = nodes_of(np.array(low), np.array(high))
    sides = np.array(side)[:, None]
    bell = w * np.array(sign)[:, None] * np.exp(-0.25 * g * g) / np.sqrt(2 * np.pi)
    values = np.asarray(function(sides * np.sqrt(q)[owner, None] * g)) * bell
    for k, row in enumerate(_damped_hermite(g)):
        panel = (values * row).sum(axis=1) * (sides[:, 0] if k % 2 else 1.0)
        result[:, k] = np.bincount(owner, weights=panel, minlength=q.size)
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
            (np.abs(first) > _NEGLIGIBLE * np.sqrt(norm1)[:, None]).any(axis=0)
            | (np.abs(second) > _NEGLIGIBLE * np.sqrt(norm2)[:, None]).any(axis=0)
        )
        count = int(needed[-1]) + 1 if needed.size else 1
        self._terms = np.ascontiguousarray((first[:, :count] * second[:, :count]).T)
        self._rest = np.sqrt(_remainder(first, norm1) * _remainder(second, norm2))
        self._size = np.sqrt(norm1 * norm2)

    def __call__(self, rho: Array, pairs: Any = slice(None)) -> Array:
        """Return the series at correlations `rho`, one per pair (Horner)."""
        terms = self._terms[:, pairs]
        total: Array = terms[-1].copy()
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
