"""Two Gaussian inputs of one function in rotated coordinates: nothing cancels at correlation 1, nothing is sampled.

For jointly Gaussian u, v with means m, standard deviations s and correlation rho = 1 - eps >= 0,

    u = m_1 + s_1 (c w + d t),   v = m_2 + s_2 (c w - d t),   c² = 1 - eps/2,   d² = eps/2,

with independent standard normal w, t (for rho < 0 the second function is reflected instead). In these coordinates

    D = E (f(u) - f(v))²/2,   P = E f'(u) f'(v)

are integrals of smooth functions between known lines: f bends near its kinks and near 0, on the scale of z. For fixed
t that gives places in w; over t the integral bends where a place of u meets one of v, on the scale 1/(s d). Panels of
16 Gauss-Legendre nodes end at all of them and at fixed places of the density. Every panel of either direction
estimates its own error (`varprop.moments.rule`): a function that oscillates too fast for them, or
bends where it does not say so, shows up there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from varprop.moments.rule import Array, nodes_of, relative_error, roughness

_REACH = 11.0
_DENSITY = np.array([0.0, 1.0, 2.0, 3.2, 4.8, 6.8, 9.0, _REACH])
_DENSITY = np.concatenate([-_DENSITY[:0:-1], _DENSITY])
_BENDS = (1.0, 2.5, 5.0, 10.0, 20.0)  # beyond, what is not straight bends on the scale of z itself
_FAR = 2.5
_LINES = 1 << 14  # inner panels at a time
_ROOT_TWO_PI = np.sqrt(2 * np.pi)


class RotatedPairs(NamedTuple):
    """E (f(u) - f(v))²/2 and E f'(u) f'(v), with estimates of their absolute errors; one-dimensional arrays."""

    distance: Array
    slopes: Array
    distance_error: Array
    slopes_error: Array


def rotated_pairs(
    value: Callable[[Array], Any], slope: Callable[[Array], Any], kinks: Sequence[float],
    mean: tuple[Array, Array], std: tuple[Array, Array], eps: Array,
) -> RotatedPairs:  # fmt: skip
    """Return the pair averages of one function under many Gaussian pairs.

    Parameters
    ----------
    value, slope : callable
        The function and its derivative, vectorised.
    kinks : sequence of float
        Where they are not smooth.
    mean, std : pair of ndarray
        Of u and of v, shape (pairs,) each; a standard deviation may be 0.
    eps : ndarray
        1 - correlation, from 0 to 2.

    Examples
    --------
    >>> one = np.ones(1)
    >>> found = rotated_pairs(lambda z: z, np.ones_like, (), (0 * one, 0 * one), (one, 2 * one), 0.25 * one)
    >>> [round(float(x[0]), 12) for x in found[:2]]  # (1 + 4 - 2·2·0.75)/2
    [1.0, 1.0]
    """
    rows = [_one(value, slope, tuple(kinks), *pair) for pair in zip(*mean, *std, eps, strict=True)]
    return RotatedPairs(*np.array(rows, dtype=np.float64).reshape(-1, 4).T)


def _one(
    value: Callable[[Array], Any], slope: Callable[[Array], Any], kinks: tuple[float, ...],
    m1: float, m2: float, s1: float, s2: float, eps: float,
) -> tuple[float, float, float, float]:  # fmt: skip
    turned = eps > 1.0
    gap = 2.0 - eps if turned else eps
    c, d, sign = float(np.sqrt(1.0 - 0.5 * gap)), float(np.sqrt(0.5 * gap)), -1.0 if turned else 1.0
    # places of u and of sign·v that matter, standardized
    reach = max(abs(m1) + _REACH * s1, abs(m2) + _REACH * s2)
    places = _places(kinks, reach)
    first, second = (_standard(p, m, s) for p, m, s in ((places, m1, s1), (sign * places, sign * m2, s2)))
    t, tw = _outer(m1, m2 * sign, s1, s2, d, [kinks, [sign * k for k in kinks]])
    totals, errors = np.zeros(2), np.zeros(2)
    step = max(1, _LINES // (first.size + second.size + _DENSITY.size))
    lines: list[tuple[Array, Array]] = []
    for start in range(0, t.size, step):
        lines.append(_lines(value, slope, t[start : start + step], first, second, m1, m2, s1, s2, c, d, sign))
    inner, doubt = (np.concatenate([part[i] for part in lines], axis=1) for i in (0, 1))
    weight = tw * np.exp(-0.5 * t * t) / _ROOT_TWO_PI
    shaped = (inner * np.exp(-0.5 * t * t)).reshape(2, -1, 16)
    sizes = np.abs(inner * weight).reshape(2, -1, 16).sum(axis=2)
    totals = (inner * weight).sum(axis=1)
    errors = (sizes * relative_error(roughness(shaped))).sum(axis=1) + (doubt * weight).sum(axis=1)
    return 0.5 * totals[0], totals[1], 0.5 * errors[0], errors[1]


def _places(kinks: tuple[float, ...], reach: float) -> Array:
    far = [_BENDS[-1] * _FAR]
    while far[-1] < reach:
        far.append(far[-1] * _FAR)
    bends = np.array([*_BENDS, *far])
    return np.unique(np.concatenate([-bends, [0.0], bends, np.asarray(kinks, dtype=np.float64)]))


def _standard(places: Array, m: float, s: float) -> Array:
    """Places in units of the standard deviation, those within reach; none of a point."""
    if s == 0.0:
        return np.zeros(0)
    with np.errstate(over="ignore"):
        found = np.sort((places - m) / s)
    apart = np.concatenate([[True], np.diff(found) > 1e-13])
    return found[apart & (np.abs(found) < 2.0 * _REACH)]


def _outer(
    m1: float, m2: float, s1: float, s2: float, d: float, kinks: Sequence[Sequence[float]]
) -> tuple[Array, Array]:
    edges = [_DENSITY]
    if d > 0.0 and s1 > 0.0 and s2 > 0.0:
        scale = 0.25 * (1.0 / s1 + 1.0 / s2) / d
        grown = [max(scale, 1e-12)]  # less of the line than that does not count
        while grown[-1] < 1.0:
            grown.append(grown[-1] * _FAR)
        around = np.concatenate([-np.array(grown[::-1]), [0.0], grown])
        with np.errstate(over="ignore"):
            edges.append(0.5 * (m2 / s2 - m1 / s1) / d + around)
            edges += [
                np.array([0.5 * ((p - m1) / s1 - (q - m2) / s2) / d]) for p in kinks[0] for q in kinks[1]
            ]
    flat = np.unique(np.clip(np.concatenate(edges), -_REACH, _REACH))
    keep = np.diff(flat) > 1e-13
    t, w = nodes_of(flat[:-1][keep], flat[1:][keep])
    return t.ravel(), w.ravel()


def _lines(
    value: Callable[[Array], Any], slope: Callable[[Array], Any], t: Array, first: Array, second: Array,
    m1: float, m2: float, s1: float, s2: float, c: float, d: float, sign: float,
) -> tuple[Array, Array]:  # fmt: skip
    """Return both integrals over w for every t, shape (2, t), and their estimated errors."""
    edges = np.concatenate(
        [
            np.broadcast_to(_DENSITY, (t.size, _DENSITY.size)),
            (first - d * t[:, None]) / c,
            (second + d * t[:, None]) / c,
        ],
        axis=1,
    )
    edges = np.sort(np.clip(edges, -_REACH, _REACH), axis=1)
    low, high = edges[:, :-1], edges[:, 1:]
    keep = high - low > 1e-13
    item = np.broadcast_to(np.arange(t.size)[:, None], keep.shape)[keep]
    w, weight = nodes_of(low[keep], high[keep])
    turn = (d * t)[item, None]
    u = m1 + s1 * (c * w + turn)
    v = m2 + sign * s2 * (c * w - turn)
    bell = np.exp(-0.5 * w * w) / _ROOT_TWO_PI
    with np.errstate(over="ignore", invalid="ignore"):
        gap = np.asarray(value(u)) - np.asarray(value(v))
        values = np.stack([gap * gap, np.asarray(slope(u)) * np.asarray(slope(v))]) * bell
        panels = (values * weight).sum(axis=-1)
        doubt = (np.abs(values) * weight).sum(axis=-1) * relative_error(roughness(values))
    count = t.size
    sums = [np.bincount(item, weights=row, minlength=count) for row in (*panels, *doubt)]
    found = np.array(sums, dtype=np.float64)
    return found[:2], found[2:]
