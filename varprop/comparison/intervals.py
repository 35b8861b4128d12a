r"""Student's t for means of skewed positive draws.

Second moments of deep networks are nearly log-normal over draws. Their t statistic then has a far longer left
tail than Student's (a sample that misses the large draws has a small mean *and* a small standard error), and
at the levels of a table with thousands of rows its false alarms exceed the promise many times over. Hall's
cubic transformation removes the skewness, with :math:`a = \gamma/(3\sqrt R)`,

.. math:: h(t) = \frac{(1 + a t)^3 - 1}{3 a} + \frac{a}{2},

and is monotone, so that intervals follow by inversion. It is applied to the dangerous side only; the other
side keeps Student's quantile, which is conservative there. The skewness :math:`\gamma` comes from the
coefficient of variation (log-normal: 3 c + c³) rather than from the sample, which underestimates it badly.

References
----------
P. Hall, "On the removal of skewness by transformation", Journal of the Royal Statistical Society B 54 (1992)
221-228.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

HEAVIEST = 0.7
"""Largest a·q at which means are trusted.

Log-normal draws of log-variance 0.05 to 5 in samples of 20 to 1000, tested at levels 1e-2 to 1e-4, gave no
more false alarms than the level up to here; at 1.0 they were twice to three times the level in small
samples.
"""
_SYMMETRIC = 1e-7


def critical_value(alpha: float, tests: int, draws: Array) -> Array:
    """Return Student's two-sided quantile for simultaneous level 1 - alpha over `tests` rows (Bonferroni)."""
    from scipy.special import stdtrit

    freedom = np.maximum(np.asarray(draws, dtype=np.float64) - 1.0, 1.0)
    return -np.asarray(stdtrit(freedom, alpha / (2.0 * max(tests, 1))), dtype=np.float64)


def two_sided_p(t: Array, skewness: Array, draws: Array) -> Array:
    """Return p-values of `t` = (measured - hypothesis) / standard error, each of draws with this skewness."""
    from scipy.special import stdtr

    side = np.where(skewness < 0.0, -1.0, 1.0)
    a = steepness(skewness, draws)
    u = side * t
    bent = np.where(u < 0.0, np.clip(_transformed(u, a), u, 0.0), u)
    freedom = np.maximum(draws - 1.0, 1.0)
    return np.asarray(2.0 * stdtr(freedom, -np.abs(bent)))


def half_widths(quantile: Array, skewness: Array, draws: Array) -> tuple[Array, Array]:
    """Return how many standard errors the interval reaches below and above the measured value."""
    a = steepness(skewness, draws)
    small = a < _SYMMETRIC
    safe = np.where(small, 1.0, a)
    long = np.where(small, quantile, (1.0 - np.cbrt(1.0 - 3.0 * safe * (quantile + safe / 2.0))) / safe)
    long = np.maximum(long, quantile)
    # Draws with a long right tail leave their mean too low: the truth may lie far above, not far below.
    return np.where(skewness < 0.0, long, quantile), np.where(skewness < 0.0, quantile, long)


def steepness(skewness: Array, draws: Array) -> Array:
    """Return a = |skewness| / (3 sqrt(draws)), by which the transformation bends."""
    return np.asarray(np.abs(skewness) / (3.0 * np.sqrt(draws)))


def _transformed(t: Array, a: Array) -> Array:
    # ((1 + at)^3 - 1) / (3a) written out, so that a = 0 needs no case of its own
    return np.asarray(t + a * t**2 + a**2 * t**3 / 3.0 + a / 2.0)
