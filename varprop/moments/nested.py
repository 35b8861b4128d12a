"""Pair moments by nested quadrature: E phi(s1 g) M(s2 rho g) with M(x) = E phi(x + sigma h).

Here u = s1 g and v = s2 (rho g + sqrt(1 - rho²) h) with independent standard normal g, h. The inner mean M is
phi smoothed over sigma = s2 sqrt(1 - rho²): a closed form for piecewise polynomials and exponentials,
panels otherwise. Its kinks are images of phi's, smeared over tau = sqrt(1 - rho²)/|rho| in g; the outer
panels are cut there, at phi's own kinks, and geometrically towards 0 where phi bends on the scale of z. At
correlation ±1 the smearing is 0 and M is phi itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from varprop.moments.closed import Pair
from varprop.moments.rule import Array, nodes_of, relative_error, roughness

_GRID = np.array([0.0, 0.5, 0.75, 1.1, 1.6, 2.3, 3.2, 4.5, 6.0, 8.5, 12.0])
_SMEAR = np.array([-9.0, -5.0, -2.5, 0.0, 2.5, 5.0, 9.0])
_RATIO = 1.5
_BENDS = 0.5 * _RATIO ** np.arange(11)  # up to 29; beyond, an activation is as good as straight
_CHUNK = 1 << 14  # panels at a time


@dataclass(frozen=True)
class Smooth:
    """A function of z, where it is not smooth, and its mean under a Gaussian if that is known in closed form.

    Attributes
    ----------
    function : callable
        Of z.
    kinks : tuple of float
        Where it is not smooth.
    smoothed : callable or None
        ``smoothed(m, s)`` is E f(z) for z ~ N(m, s²), s > 0.
    """

    function: Callable[[Array], Any]
    kinks: tuple[float, ...]
    smoothed: Callable[[Array, Array], Any] | None = None


def pair_mean(f: Smooth, pair: Pair) -> tuple[Array, Array]:
    """Return E f(u) f(v) and its estimated absolute error, one per pair (one-dimensional arrays)."""
    s1, s2 = np.sqrt(pair.q1), np.sqrt(pair.q2)
    rho, share = 1 - pair.eps, np.sqrt(pair.eps * (2 - pair.eps))
    item, low, high = _outer_panels(f, s1, s2, rho, share)
    total, error = np.zeros(s1.size), np.zeros(s1.size)
    for start in range(0, item.size, _CHUNK // 16):
        part = slice(start, start + _CHUNK // 16)
        i = item[part]
        g, w = nodes_of(low[part], high[part])
        left = np.asarray(f.function(s1[i, None] * g)) * np.exp(-0.5 * g * g) / np.sqrt(2 * np.pi)
        alive = left.any(axis=1)  # a clipped unit's slope is 0 on whole panels
        i, g, w, left = i[alive], g[alive], w[alive], left[alive]
        x, sigma = (s2 * rho)[i, None] * g, np.broadcast_to((s2 * share)[i, None], g.shape)
        inner, inner_error = _inner(f, x.ravel(), sigma.ravel())
        values = left * inner.reshape(g.shape)
        size = (np.abs(values) * w).sum(axis=1)
        doubt = (np.abs(left) * inner_error.reshape(g.shape) * w).sum(axis=1)
        total += np.bincount(i, weights=(values * w).sum(axis=1), minlength=s1.size)
        doubt += size * relative_error(roughness(values))
        error += np.bincount(i, weights=doubt, minlength=s1.size)
    return total, error


def squared_gap(f: Smooth, q1: Array, q2: Array) -> Array:
    """Return E (f(s1 g) - f(s2 g))², what is left of the squared difference at correlation 1."""
    s1, s2 = np.sqrt(q1), np.sqrt(q2)
    item, low, high = _outer_panels(f, s1, s2, np.ones_like(s1), np.zeros_like(s1))
    total = np.zeros(s1.size)
    for start in range(0, item.size, _CHUNK):
        part = slice(start, start + _CHUNK)
        i = item[part]
        g, w = nodes_of(low[part], high[part])
        gap = np.asarray(f.function(s1[i, None] * g)) - np.asarray(f.function(s2[i, None] * g))
        weight = w * np.exp(-0.5 * g * g) / np.sqrt(2 * np.pi)
        total += np.bincount(i, weights=(gap * gap * weight).sum(axis=1), minlength=s1.size)
    return total


def _outer_panels(f: Smooth, s1: Array, s2: Array, rho: Array, share: Array) -> tuple[Any, Array, Array]:
    reach = _GRID[-1]
    steep = max(1.0, float(max(s1.max(), s2.max())))
    fine = 0.5 / _RATIO ** np.arange(1, 2 + int(np.ceil(np.log(2 * steep) / np.log(_RATIO))))
    base = np.concatenate([-_GRID[:0:-1], -fine, fine, _GRID])
    columns = [np.broadcast_to(base, (s1.size, base.size))]
    if f.kinks:
        kinks = np.array(f.kinks)
        columns.append(kinks / s1[:, None])
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            images = kinks / (s2 * rho)[:, None]
            smear = (share / np.abs(rho))[:, None, None] * _SMEAR
            edges = (images[:, :, None] + smear).reshape(s1.size, -1)
        columns.append(np.nan_to_num(edges, nan=reach, posinf=reach, neginf=-reach))
    return _panels(np.concatenate(columns, axis=1), reach)


def _panels(edges: Array, reach: float) -> tuple[Any, Array, Array]:
    edges = np.sort(np.clip(edges, -reach, reach), axis=1)
    low, high = edges[:, :-1], edges[:, 1:]
    keep = high - low > 1e-15 * (1e-8 + np.abs(low))
    item = np.broadcast_to(np.arange(edges.shape[0])[:, None], keep.shape)
    return item[keep], low[keep], high[keep]


def _inner(f: Smooth, x: Array, sigma: Array) -> tuple[Array, Array]:
    """Return E f(x + sigma h) and an error estimate, elementwise."""
    result, error = np.empty(x.size), np.zeros(x.size)
    sharp = sigma == 0
    result[sharp] = f.function(x[sharp])
    rest = np.flatnonzero(~sharp)
    if f.smoothed is not None:
        result[rest] = f.smoothed(x[rest], sigma[rest])
        return result, error
    for start in range(0, rest.size, _CHUNK // 16):
        part = rest[start : start + _CHUNK // 16]
        result[part], error[part] = _inner_panels(f, x[part], sigma[part])
    return result, error


def _inner_panels(f: Smooth, x: Array, sigma: Array) -> tuple[Array, Array]:
    reach = _GRID[-1]
    far = float(np.max(np.abs(x) + reach * sigma))
    scale = np.concatenate([_BENDS, 32.0 * 2.0 ** np.arange(0, max(0, int(np.ceil(np.log2(far / 16 + 1)))))])
    places = np.concatenate([-scale, scale, np.array(f.kinks, dtype=float)])
    with np.errstate(over="ignore"):
        edges = (places - x[:, None]) / sigma[:, None]
    grid = np.concatenate([-_GRID[:0:-1], _GRID])
    edges = np.concatenate([np.broadcast_to(grid, (x.size, grid.size)), edges], axis=1)
    item, low, high = _panels(edges, reach)
    h, w = nodes_of(low, high)
    bell = np.exp(-0.5 * h * h) / np.sqrt(2 * np.pi)
    values = np.asarray(f.function(x[item, None] + sigma[item, None] * h)) * bell
    panel = (values * w).sum(axis=1)
    doubt = (np.abs(values) * w).sum(axis=1) * relative_error(roughness(values))
    totals = (np.bincount(item, weights=part, minlength=x.size) for part in (panel, doubt))
    mean, error = (np.asarray(total, dtype=np.float64) for total in totals)
    return mean, error
