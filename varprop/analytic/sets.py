"""Probabilities that a Gaussian falls into a union of closed intervals, and how they move with its variance."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Array = NDArray[np.float64]
Interval = tuple[float, float]

_ROOT_TWO_PI = np.sqrt(2.0 * np.pi)


def tails(low: float, high: float) -> tuple[Interval, ...]:
    """Return the set {z ≤ low or z ≥ high} as closed intervals; an infinite bound drops its side."""
    if low >= high:
        return ((-np.inf, np.inf),)
    below: tuple[Interval, ...] = ((-np.inf, low),) if low > -np.inf else ()
    above: tuple[Interval, ...] = ((high, np.inf),) if high < np.inf else ()
    return below + above


def probability(intervals: Iterable[Interval], mean: Array, std: Array) -> Array:
    """Return P(z in the set), z ~ N(mean, std²); std 0 is the point `mean`.

    Parameters
    ----------
    intervals : iterable of (low, high)
        Disjoint closed intervals.
    mean, std : ndarray
        Broadcast together.

    Examples
    --------
    >>> probability([(-np.inf, 0.0)], np.array([0.0, 0.0]), np.array([1.0, 0.0]))
    array([0.5, 1. ])
    """
    mean, std = np.broadcast_arrays(mean, std)
    total = np.zeros(mean.shape)
    point = std == 0.0
    scale = np.where(point, 1.0, std)
    for low, high in intervals:
        a, b = (low - mean) / scale, (high - mean) / scale
        # In the upper half the complement keeps the digits of small probabilities.
        inside = np.where(a > 0.0, ndtr(-a) - ndtr(-b), ndtr(b) - ndtr(a))
        total += np.where(point, (mean >= low) & (mean <= high), inside)
    return total


def hermite_moments(intervals: Iterable[Interval], mean: Array, std: Array) -> tuple[Array, Array]:
    """Return E[1(z in the set) He_2(g)] and E[1(z in the set) He_4(g)], g = (z - mean)/std.

    ∫_{-∞}^u He_k(g) pdf(g) dg = -He_{k-1}(u) pdf(u). With std 0 both are 0.
    """
    mean, std = np.broadcast_arrays(mean, std)
    second, fourth = np.zeros(mean.shape), np.zeros(mean.shape)
    scale = np.where(std == 0.0, 1.0, std)
    for interval in intervals:
        for bound, sign in zip(interval, (1.0, -1.0), strict=True):
            if not np.isfinite(bound):
                continue
            # Beyond 40 standard deviations the density is 0 in double precision, and its cube is not finite.
            u = np.clip(np.where(std == 0.0, 40.0, (bound - mean) / scale), -40.0, 40.0)
            density = np.exp(-0.5 * u * u) / _ROOT_TWO_PI
            second += sign * u * density
            fourth += sign * (u**3 - 3.0 * u) * density
    return second, fourth


def uniform_probability(
    intervals: Iterable[Interval], mean: Array, std: Array, low: float, high: float
) -> Array:
    """Return P(z + u in the set), z ~ N(mean, std²) and u ~ U(low, high), whatever std is.

    The average of Phi((t - mean - u)/std) over u is [G(t - mean - low) - G(t - mean - high)]/(high - low) with
    G(x) = x Phi(x/std) + std pdf(x/std), which is max(x, 0) for std 0.
    """
    mean, std = np.broadcast_arrays(mean, std)
    wide = std > 1e8 * (high - low)
    if wide.all():
        # The difference of G cancels; to order ((high - low)/std)² the average is the value in the middle.
        return np.asarray(probability(intervals, mean + 0.5 * (low + high), std))
    if wide.any():
        parts = [uniform_probability(intervals, mean[w], std[w], low, high) for w in (wide, ~wide)]
        both = np.empty(mean.shape)
        both[wide], both[~wide] = parts
        return both
    point = std == 0.0
    scale = np.where(point, 1.0, std)

    def below(bound: float) -> Array:
        if not np.isfinite(bound):
            return np.full(mean.shape, float(bound > 0.0))

        def ramp(x: Array) -> Array:
            u = np.clip(x / scale, -40.0, 40.0)
            smooth = np.where(x / scale > 40.0, x, x * ndtr(u) + scale * np.exp(-0.5 * u * u) / _ROOT_TWO_PI)
            return np.asarray(np.where(point, np.maximum(x, 0.0), smooth))

        return (ramp(bound - mean - low) - ramp(bound - mean - high)) / (high - low)

    total = np.zeros(mean.shape)
    for first, last in intervals:
        total += below(last) - below(first)
    return np.clip(total, 0.0, 1.0)
