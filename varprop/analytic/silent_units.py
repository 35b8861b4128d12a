"""The share of units that are inactive for every input: the probability of a set under B correlated Gaussians.

Closed forms where there are some: one input; two or three under a half-line from 0 (orthant probabilities, Sheppard
1899; David 1953). Otherwise the variables are drawn one after the other, each conditioned on being in the set, with
the probabilities multiplied (separation of variables, Genz 1992), here for any union of intervals, on a fixed
lattice of points: no randomness, and an error estimate from shifts of the lattice.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from varprop.analytic.sets import Interval, probability

Array = NDArray[np.float64]

LARGEST = 512
_POINTS, _SHIFTS = 331, 4


def silent_share(intervals: Sequence[Interval], mean: Array, covariance: Array) -> tuple[float, float]:
    """Return P(z_a in the set for all a), z ~ N(mean, covariance), and an error estimate (0: closed form).

    Parameters
    ----------
    intervals : sequence of (low, high)
        Disjoint closed intervals.
    mean, covariance : ndarray
        Shapes (B,) and (B, B); the covariance may be singular (repeated inputs, zero inputs).

    Examples
    --------
    >>> silent_share([(-np.inf, 0.0)], np.zeros(2), np.eye(2))
    (0.25, 0.0)
    """
    if not intervals:
        return 0.0, 0.0
    mean, covariance, fixed = _distinct(intervals, mean, covariance)
    if fixed == 0.0 or mean.size == 0:
        return fixed, 0.0
    if mean.size == 1:
        return float(probability(intervals, mean, np.sqrt(np.diag(covariance)))[0]), 0.0
    alone = probability(intervals, mean, np.sqrt(np.diag(covariance)))
    if alone.min() < _NEVER or (1.0 - alone).sum() < _NEVER:
        return float(alone.min() > 0.5), 0.0
    half_line = len(intervals) == 1 and not mean.any() and tuple(intervals[0]) in _HALF_LINES
    if half_line and mean.size <= 3:
        return _orthant(covariance), 0.0
    return _lattice(intervals, mean, covariance)


_NEVER = 1e-10
"""Probabilities below this are nothing: of one input being inactive, or of any being active."""

_HALF_LINES = ((-np.inf, 0.0), (0.0, np.inf))


def _distinct(intervals: Sequence[Interval], mean: Array, covariance: Array) -> tuple[Array, Array, float]:
    """Drop inputs that repeat another one, and those that do not vary (which decide for themselves)."""
    variance = np.diag(covariance)
    point = variance == 0.0
    inside = probability(intervals, mean[point], np.zeros(int(point.sum())))
    kept: list[int] = []
    for a in np.flatnonzero(~point):
        gap = variance[a] + variance[kept] - 2.0 * covariance[a, kept] + np.square(mean[a] - mean[kept])
        if not np.any(gap <= 1e-13 * variance[a]):
            kept.append(int(a))
    return mean[kept], covariance[np.ix_(kept, kept)], float(inside.all())


def _orthant(covariance: Array) -> float:
    size = np.sqrt(np.diag(covariance))
    i, j = np.triu_indices(size.size, 1)
    angles = np.arcsin(np.clip(covariance[i, j] / (size[i] * size[j]), -1.0, 1.0))
    if size.size == 2:
        return float(0.25 + angles[0] / (2.0 * np.pi))
    return float(0.125 + angles.sum() / (4.0 * np.pi))


def _lattice(intervals: Sequence[Interval], mean: Array, covariance: Array) -> tuple[float, float]:
    order = _hardest_first(intervals, mean, covariance)
    mean, root = mean[order], _root(covariance[np.ix_(order, order)])
    size = mean.size
    # Richtmyer's lattice: square roots of primes; the first variable but one needs a dimension each.
    steps = np.sqrt(_primes(size))
    points = np.arange(1, _POINTS + 1) * steps[:, None]
    shifts = np.arange(_SHIFTS) * np.sqrt(_primes(size + 1)[1:] + 0.5)[:, None]
    u = (points[:, None, :] + shifts[:, :, None]).reshape(size, -1)
    u = np.abs(2.0 * (u % 1.0) - 1.0)
    weight, drawn = np.ones(u.shape[1]), np.zeros(u.shape)
    for a in range(size):
        centre, spread = mean[a] + root[a, :a] @ drawn[:a], root[a, a]
        if spread == 0.0:
            weight *= probability(intervals, centre, np.zeros_like(centre))
            continue
        edges = [[_below((end - centre) / spread, end) for end in interval] for interval in intervals]
        mass = [high - low for low, high in edges]
        total = np.maximum(sum(mass), 0.0)
        weight *= total
        if a + 1 < size:
            place = _walked(u[a] * total, [low for low, _ in edges], mass)
            drawn[a] = ndtri(np.clip(place, 1e-300, 1.0 - 1e-16))
    means = weight.reshape(_SHIFTS, _POINTS).mean(axis=1)
    return float(means.mean()), float(means.std(ddof=1) / np.sqrt(_SHIFTS))


def _below(t: Array, end: float) -> Array:
    return ndtr(t) if np.isfinite(end) else np.full_like(t, float(end > 0.0))


def _walked(target: Array, low: list[Array], mass: list[Array]) -> Array:
    """Go through the intervals until the probability `target` is used up."""
    if len(low) == 1:
        return low[0] + target
    place = low[-1] + mass[-1]
    done = np.zeros(target.shape, dtype=bool)
    for bottom, part in zip(low, mass, strict=True):
        here = ~done & (target <= part)
        place = np.where(here, bottom + target, place)
        done |= here
        target = target - part
    return place


def _hardest_first(intervals: Sequence[Interval], mean: Array, covariance: Array) -> NDArray[np.intp]:
    return np.argsort(probability(intervals, mean, np.sqrt(np.diag(covariance))), kind="stable")


def _root(covariance: Array) -> Array:
    """Cholesky factor that takes a singular covariance: what is left of a pivot within rounding is 0."""
    size = covariance.shape[0]
    root = np.zeros((size, size))
    for a in range(size):
        left = covariance[a, a] - np.square(root[a, :a]).sum()
        root[a, a] = np.sqrt(left) if left > 1e-12 * covariance[a, a] else 0.0
        if root[a, a] > 0.0:
            root[a + 1 :, a] = (covariance[a + 1 :, a] - root[a + 1 :, :a] @ root[a, :a]) / root[a, a]
    return root


def _primes(count: int) -> Array:
    limit = 20 + int(count * (np.log(count + 2.0) + np.log(np.log(count + 3.0)) + 2.0))
    sieve = np.ones(limit, dtype=bool)
    sieve[:2] = False
    for p in range(2, int(limit**0.5) + 1):
        if sieve[p]:
            sieve[p * p :: p] = False
    return np.flatnonzero(sieve)[:count].astype(np.float64)
