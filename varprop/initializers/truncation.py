"""Moments of the truncated standard normal law, without cancellation."""

from __future__ import annotations

import functools

import numpy as np

# exp(-40) is below the rounding error of a double: what lies beyond adds nothing.
_NEGLIGIBLE = 40.0
_PANELS, _NODES = 24, 24


@functools.lru_cache(maxsize=1024)
def truncated_moments(low: float, high: float) -> tuple[float, float, float]:
    """Return mean, variance and excess kurtosis of N(0,1) conditioned on ``low <= z <= high``.

    The textbook formulas in the density and the distribution function cancel in narrow windows and in the
    tails. Here central moments are integrated directly (composite Gauss–Legendre) over the part of the window
    where the density is within a factor exp(−40) of its largest value in it.

    Parameters
    ----------
    low, high : float
        Finite bounds in standard deviations, ``low < high``.

    Examples
    --------
    >>> mean, variance, kurtosis = truncated_moments(-2.0, 2.0)
    >>> round(variance**0.5, 6), round(kurtosis, 6)
    (0.879626, -0.634463)
    """
    mode = min(max(low, 0.0), high)
    # With t the distance from the mode, the log density falls by |mode| t + t²/2; solve for a fall of 40.
    reach = 2 * _NEGLIGIBLE / (abs(mode) + np.hypot(mode, np.sqrt(2 * _NEGLIGIBLE)))
    below, above = max(low - mode, -reach), min(high - mode, reach)
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    edges = np.linspace(below, above, _PANELS + 1)
    half = np.diff(edges)[:, None] / 2
    t = (edges[:-1, None] + half) + half * nodes
    mass = half * weights * np.exp(-t * (mode + t / 2))
    mass /= mass.sum()
    # In units of the interval, so that powers of a tiny one do not vanish.
    width = above - below
    centre = float((mass * t).sum())
    square = ((t - centre) / width) ** 2
    variance = float((mass * square).sum())
    return mode + centre, width**2 * variance, float((mass * square**2).sum()) / variance**2 - 3.0
