"""Averages over two inputs by Mehler's series, for all pairs of a batch, with bounds of what the series leaves out.

For one unit and inputs a, b the pre-activations are jointly Gaussian about a common bias, with correlation
rho = 1 - eps. Mehler's expansion in normalised Hermite polynomials h_k gives, with a_k = E phi(m + sqrt(q_a) g) h_k(g),

    E phi_a phi_b           = sum_k a_k b_k rho^k
    E (phi_a - phi_b)² / 2  = sum_k (a_k - b_k)²/2 + eps sum_j rho^j sum_{k>j} a_k b_k,

the second because 1 - rho^k = eps (1 + rho + ... + rho^{k-1}): nothing cancels as rho goes to 1. A batch needs one
vector of coefficients per input. What T terms leave out is known from Parseval's identity but for the powers of rho:
with r = E phi² - sum_k<T a_k² and R = q E phi'² - sum_k<T k a_k² (the same of the derivative) the rest of the distance
lies within

    (r_a + r_b)/2 ± sqrt(r_a r_b) |rho|^T                                 always,
    sqrt(r_a r_b) (1 - rho^T) to min(sqrt(r_a r_b), eps sqrt(R_a R_b))    for rho >= 0 and equal laws,

and the middle of the narrower interval is taken. Coefficients whose squares add up to more than E phi² are wrong (the
function is not resolved on the nodes): nothing is known then, and the error is infinite.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from varprop.activations import Activation
from varprop.moments.hermite import TERMS, coefficients

Array = NDArray[np.float64]
Index = NDArray[np.intp]

_CHUNK = 1 << 14
_ROUNDING = 1e-13
"""Share of E phi² that the sum of squares may miss by rounding alone."""
_WRONG = 1e-10
_UNIT = 0.25 * float(np.finfo(np.float64).eps)
"""Rounding of a coefficient, a sum over hundreds of nodes, as a share of the root of E phi²."""
_SMALL = 1e-8
_PHASE = 50.0
"""How fast coefficients beyond T drift apart with the logarithm of the standard deviation (kinks within 3 of them)."""


class Found(NamedTuple):
    """E (phi_a - phi_b)²/2 and E phi'_a phi'_b, with bounds of their absolute errors; shape (pairs,) each."""

    distance: Array
    slopes: Array
    distance_error: Array
    slopes_error: Array


class _Side(NamedTuple):
    """One function of every input: coefficients (terms, B), E f², and what Parseval's identity leaves (B,)."""

    table: Array
    norm: Array
    rest: Array


def series(phi: Activation, mean: Array, variance: Array, eps: Array, first: Index, second: Index) -> Found:
    """Return the averages of all pairs.

    Parameters
    ----------
    phi : Activation
    mean, variance : ndarray
        Of the pre-activation at each input, shape (B,).
    eps : ndarray
        1 - correlation, shape (pairs,).
    first, second : ndarray of int
        The inputs of each pair.
    """
    value, slope = _sides(phi, mean, variance)
    beyond = variance * slope.rest
    std = np.sqrt(variance)
    count = value.table.shape[0]
    # k a_k² belongs to phi'² only if phi has no jumps, and if both are resolved.
    gap = np.sqrt(np.arange(1, count))[:, None] * value.table[1:] - std * slope.table[: count - 1]
    jump = np.square(gap).sum(axis=0) > _SMALL * np.maximum(variance * slope.norm, value.norm)
    beyond = np.where(jump, np.inf, beyond)
    parts: list[tuple[Array, ...]] = []
    for start in range(0, eps.size, _CHUNK):
        part = slice(start, start + _CHUNK)
        i, j, e = first[part], second[part], eps[part]
        rho = 1.0 - e
        a, b = value.table[:, i], value.table[:, j]
        tails = np.cumsum((a * b)[::-1], axis=0)[::-1]
        inside = 0.5 * np.square(a - b).sum(axis=0) + e * _horner(tails[1:], rho)
        level, error = _left_out(value.rest, beyond, mean, std, e, i, j)
        differ = (std[i] != std[j]) | (mean[i] != mean[j])
        error = error + _noise(value, a, b, inside, np.where(differ, 1.0, e), i, j)
        with np.errstate(under="ignore", invalid="ignore"):
            last = np.abs(rho) ** TERMS
            most = np.sqrt(slope.rest[i] * slope.rest[j]) * last
        slopes = _horner(slope.table[:, i] * slope.table[:, j], rho)
        positive = np.where(rho > 0.0, 0.5, 0.0)
        parts.append((inside + level, slopes + positive * most, error, most))
    return Found(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _left_out(
    rest: Array, beyond: Array, mean: Array, std: Array, eps: Array, i: Index, j: Index
) -> tuple[Array, Array]:
    """Return the middle of the narrower interval of the module's text, and half its width."""
    rho = 1.0 - eps
    with np.errstate(under="ignore", invalid="ignore", divide="ignore", over="ignore"):
        last = np.abs(rho) ** TERMS
        both, mid = np.sqrt(rest[i] * rest[j]), 0.5 * (rest[i] + rest[j])
        wide = both * last
        low = both * -np.expm1(TERMS * np.log1p(-np.minimum(eps, 1.0)))
        bent = np.where(eps > 0.0, eps * np.sqrt(beyond[i]) * np.sqrt(beyond[j]), 0.0)
        high = np.maximum(np.minimum(both, bent), low)
        drift = np.log(std[i] / std[j]) + np.abs(mean[i] - mean[j]) / np.minimum(std[i], std[j])
        alike = np.where(
            (std[i] == std[j]) & (mean[i] == mean[j]), 0.0, np.abs(np.nan_to_num(drift, nan=np.inf))
        )
        # Coefficients of different laws drift apart: sum (a_k - b_k)²/2 beyond T.
        apart = np.where(alike > 0.0, mid * np.minimum(2.0, 0.5 * np.square(_PHASE * alike)), 0.0)
        narrow = np.where(rho > 0.0, 0.5 * (high - low) + 0.5 * apart, np.inf)
    near = narrow < wide
    level = np.where(near, 0.5 * (low + high) + 0.5 * apart, mid)
    error = np.where(near, narrow, wide)
    known = np.isfinite(both)
    return np.where(known, level, 0.0), np.where(known, error, np.inf)


def _noise(side: _Side, a: Array, b: Array, inside: Array, size: Array, i: Index, j: Index) -> Array:
    """Return what the rounding of coefficients, in proportion to the root of E phi², leaves in doubt of a distance.

    Their squares enter it with eps as a factor, or with 1 if the laws differ: `size`.
    """
    spread = np.maximum(np.square(side.table[1:]).sum(axis=0), np.finfo(np.float64).tiny)
    share = np.sqrt(side.norm / spread)
    norm = np.maximum(side.norm[i], side.norm[j])
    laws = np.sqrt(np.square(a - b).sum(axis=0) * norm)
    return np.asarray(_UNIT * (np.maximum(share[i], share[j]) * np.abs(inside) + laws + _UNIT * size * norm))


def _horner(terms: Array, x: Array) -> Array:
    total = np.zeros_like(x)
    for row in terms[::-1]:
        total *= x
        total += row
    return total


def _sides(phi: Activation, mean: Array, variance: Array) -> tuple[_Side, _Side]:
    level = mean[0]
    if any(kink != level for kink in phi.kinks) or np.any(mean != level) or level != 0.0:
        tables, norms = _split_coefficients(phi, mean, variance)
    else:
        tables = (coefficients(phi, variance).T, coefficients(phi.derivative, variance).T)
        moments = phi.moments(variance, fields=("second_moment", "derivative_second_moment"))
        norms = (np.asarray(moments.second_moment), np.asarray(moments.derivative_second_moment))
    rests = [_rest(table, norm) for table, norm in zip(tables, norms, strict=True)]
    # Trailing coefficients below this size do not count, if nothing is left beyond them either.
    small = max(float(np.max(r, initial=0.0)) for r in rests) == 0.0
    used = np.flatnonzero((_size(tables[0]) > _SMALL) | (_size(tables[1]) > _SMALL)) if small else np.zeros(0)
    count = (int(used[-1]) + 1 if used.size else 1) if small else TERMS
    sides = (
        _Side(np.ascontiguousarray(table[:count]), norm, rest)
        for table, norm, rest in zip(tables, norms, rests, strict=True)
    )
    value, slope = sides
    return value, slope


def _size(table: Array) -> Array:
    return np.asarray((np.abs(table) / np.maximum(np.abs(table).max(axis=0), 1e-300)).max(axis=1))


def _rest(table: Array, norms: Array) -> Array:
    rest = norms - np.square(table).sum(axis=0)
    rest = np.where(rest > _ROUNDING * norms, rest, np.where(rest < -_WRONG * norms, np.inf, 0.0))
    return np.where(np.isnan(rest), np.inf, rest)


_DENSITY = np.arange(-13.0, 13.25, 0.5)
_BENDS = np.array([0.3, 0.7, 1.2, 2.0, 3.2, 5.0, 8.0, 13.0, 21.0, 34.0, 80.0, 200.0, 500.0, 1250.0, 3125.0])
_T, _W = np.polynomial.legendre.leggauss(12)


def _split_coefficients(
    phi: Activation, mean: Array, variance: Array
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Return the coefficients on panels that end at the kinks and bends of each input, and E phi² and E phi'².

    Half a unit resolves the polynomials, whose frequency is at most sqrt(T) = 16.
    """
    places = np.unique(np.concatenate([-_BENDS, [0.0], _BENDS, np.asarray(phi.kinks, dtype=np.float64)]))
    std = np.sqrt(variance)
    safe = np.where(std == 0.0, 1.0, std)
    moving = np.clip((places[:, None] - mean) / safe, _DENSITY[0], _DENSITY[-1])
    fixed = np.broadcast_to(_DENSITY[:, None], (_DENSITY.size, mean.size))
    edges = np.sort(np.concatenate([fixed, moving]), axis=0)
    half = 0.5 * np.diff(edges, axis=0)
    used = (half > 0.0).any(axis=1)
    half, left = half[used], edges[:-1][used]
    g = (left[:, None] + half[:, None] * (1.0 + _T[:, None])).reshape(-1, mean.size)
    weights = (half[:, None] * _W[:, None]).reshape(-1, mean.size) * np.exp(-0.5 * np.square(g))
    weights /= np.sqrt(2.0 * np.pi)
    z = mean + std * g
    return _projected(phi, z, g, weights), _norms(phi, z, weights)


def _projected(phi: Activation, z: Array, g: Array, weights: Array) -> tuple[Array, Array]:
    value, slope = weights * phi(z), weights * phi.derivative(z)
    table, slopes = np.empty((TERMS, z.shape[1])), np.empty((TERMS, z.shape[1]))
    before, now = np.zeros_like(g), np.ones_like(g)
    for k in range(TERMS):
        table[k], slopes[k] = np.einsum("nb,nb->b", value, now), np.einsum("nb,nb->b", slope, now)
        before, now = now, (g * now - np.sqrt(k) * before) / np.sqrt(k + 1)
    return table, slopes


def _norms(phi: Activation, z: Array, weights: Array) -> tuple[Array, Array]:
    functions: tuple[Callable[[Array], Array], ...] = (phi, phi.derivative)
    first, second = (np.asarray(np.einsum("nb,nb->b", weights, np.square(f(z)))) for f in functions)
    return first, second
