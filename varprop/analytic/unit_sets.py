"""The probability that one unit lies in a set: intervals of its pre-activation."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from varprop.analytic.sets import Interval, uniform_probability
from varprop.analytic.unit_law import UnitLaw
from varprop.initializers import Law

Array = NDArray[np.float64]

_T, _W = np.polynomial.legendre.leggauss(12)
_CUTS = np.array([-9.0, -6.0, -4.0, -2.5, -1.0, 0.0, 1.0, 2.5, 4.0, 6.0, 9.0])
_CHUNK = 4096
"""Inputs whose nodes are held at a time."""


def unit_probability(unit: UnitLaw, biases: Law, intervals: tuple[Interval, ...]) -> Array:
    """Return P(z in the set) under the law of a unit, shape (B,).

    Parameters
    ----------
    unit : UnitLaw
    biases : Law
        Of the layer. Uniform ones have a closed form; over truncated normal ones the distribution function of the rest
        is averaged by quadrature that ends its panels where a bound lies.
    intervals : tuple of (low, high)
        Disjoint closed intervals.

    Examples
    --------
    >>> from varprop.analytic.unit_law import UnitLaw, bias_mixture
    >>> from varprop.initializers.laws import constant
    >>> narrow = UnitLaw(np.zeros(1), np.array([-3000.0]), bias_mixture(constant(0.0), 0.0), 0.0, np.zeros(1))
    >>> unit_probability(narrow, constant(0.0), ((-np.inf, 0.0),))
    array([0.5])
    """
    if not intervals:
        return np.zeros(unit.mean.shape)
    if unit.positions is not None:
        return np.asarray(each_unit(unit, biases, intervals).mean(axis=0))
    level = unit.mean - biases.mean
    if biases.family == "uniform":
        spread = np.exp(0.5 * unit.log_variance)
        return uniform_probability(intervals, level, spread, biases["low"], biases["high"])
    if biases.family == "truncated_normal":
        starts = range(0, level.size, _CHUNK)
        parts = [(level[i : i + _CHUNK], unit.log_variance[i : i + _CHUNK]) for i in starts]
        return np.concatenate([_over_truncated(intervals, *part, biases) for part in parts])
    means, logs, weights = unit.components()
    return np.asarray((weights * gaussian_probability(intervals, means, logs)).sum(axis=0))


def each_unit(unit: UnitLaw, biases: Law, intervals: tuple[Interval, ...]) -> Array:
    """Return P(z in the set) unit by unit, shape (n, B), for units of different means."""
    means, logs = np.broadcast_arrays(unit.unit_means, unit.log_variance)
    none = np.zeros(means.size)
    flat = UnitLaw(means.ravel(), logs.ravel(), unit.bias, unit.bias_variance, none)
    return unit_probability(flat, biases, intervals).reshape(means.shape)


def gaussian_probability(intervals: Iterable[Interval], mean: Array, log_variance: Array) -> Array:
    """Return P(z in the set) for z ~ N(mean, exp(log_variance)); -inf is the point `mean`.

    Bounds are compared in standard deviations by way of the logarithm, so that a variance below the smallest
    number is no point mass: half of a centred law is on either side of 0 however narrow it is.
    """
    mean, logs = np.broadcast_arrays(mean, log_variance)
    total, point = np.zeros(mean.shape), np.isneginf(logs)
    with np.errstate(over="ignore", invalid="ignore"):
        per_deviation = np.exp(-0.5 * np.where(point, 0.0, logs))
        for low, high in intervals:
            a, b = (np.where(end == mean, 0.0, (end - mean) * per_deviation) for end in (low, high))
            # In the upper half the complement keeps the digits of small probabilities.
            inside = np.where(a > 0.0, ndtr(-a) - ndtr(-b), ndtr(b) - ndtr(a))
            total += np.where(point, (mean >= low) & (mean <= high), inside)
    return total


def _over_truncated(intervals: tuple[Interval, ...], level: Array, logs: Array, biases: Law) -> Array:
    low, high = (
        max(biases["low"], biases["location"] - 39.0 * biases["scale"]),
        min(biases["high"], biases["location"] + 39.0 * biases["scale"]),
    )
    ends = np.array([end for interval in intervals for end in interval if np.isfinite(end)])
    std = np.exp(0.5 * logs)
    cuts = (ends[:, None, None] - level + _CUTS[:, None] * std).reshape(-1, level.size)
    fixed = np.broadcast_to(np.linspace(low, high, 65)[:, None], (65, level.size))
    edges = np.sort(np.concatenate([fixed, np.clip(cuts, low, high)]), axis=0)
    half = 0.5 * np.diff(edges, axis=0)
    b = (edges[:-1] + half)[:, None] + half[:, None] * _T[:, None]
    # Relative to its largest value in the window, so that a window far in the tail does not underflow.
    distance = np.square((b - biases["location"]) / biases["scale"])
    density = half[:, None] * _W[:, None] * np.exp(-0.5 * (distance - distance.min(axis=(0, 1))))
    inside = gaussian_probability(intervals, level + b, np.broadcast_to(logs, b.shape))
    return np.asarray((density * inside).sum(axis=(0, 1)) / density.sum(axis=(0, 1)))
