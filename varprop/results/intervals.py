r"""Intervals and p-values of means over draws that are skewed, bounded, or rare.

*Positive draws.* Second moments of random networks lie between gamma and log-normal over draws. Their t statistic
has a far longer left tail than Student's (a sample that misses the large draws has a small mean *and* a small standard
error). Hall's cubic transformation removes the skewness, with :math:`a = \gamma/(3\sqrt R)`,

.. math:: h(t) = \frac{(1 + a t)^3 - 1}{3 a} + \frac{a}{2},

and is monotone, so that intervals follow by inversion. It is applied to the dangerous side only; the other keeps
Student's quantile, which is conservative there. The skewness comes from the coefficient of variation c, because a
sample's own is far too small: 3c + c³ (log-normal) times the share log(1 + c²)/s² of the variance s² of the logarithm
that a log-normal law would have, but at least 2c (gamma). Where Hall's expansion leaves its range (`RANGE`) the limit
is at least the log-normal one, with Zou's combination of the two limits for the mean and the variance of the logarithm.

*Fractions.* The network draw is what is counted. An event that no draw has shown (or that all have) has the
Clopper-Pearson limit ``1 - (level/2)^(1/draws)``, however many units the draws had. Else the variance is taken to
grow with the fraction, as counts' does (Wilson's score).

*Controlled means.* What a control variate leaves is a quadratic form in nearly Gaussian variables: its skewness is at
most that of a chi-square number of one degree of freedom, of either sign.

References
----------
P. Hall, "On the removal of skewness by transformation", Journal of the Royal Statistical Society B 54 (1992)
221-228. G. Y. Zou, C. Y. Huo and J. Taleban, "Simple confidence intervals for lognormal means and their differences
with environmental applications", Environmetrics 20 (2009) 172-180. C. J. Clopper and E. S. Pearson, "The use of
confidence or fiducial limits illustrated in the case of the binomial", Biometrika 26 (1934) 404-413.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

RANGE = 0.7
"""Largest a·t at which Hall's expansion is taken at its word.

Log-normal and gamma draws, and squared lengths of narrow relu networks, of log-deviations up to 1, in samples of 10 to
200, gave no more false alarms than the level (0.05 to 2e-5) up to here; at 10 draws and beyond it, up to ten times.
"""

HEAVIEST = 1.2
"""Deviation of the logarithm over draws from which a mean is not trusted: few draws decide it."""

QUADRATIC = 8.0**0.5
"""Skewness of a chi-square number of one degree of freedom."""

_SYMMETRIC = 1e-7
_LEAST_P = 1e-30
_LEAST_SHARE = 0.4  # of the variance of the logarithm; a log-normal law has 1, one squared normal number 0.22
_FEW = 2  # units whose squares have so long a lower tail on the logarithm's scale
_FARTHEST = 1e6  # standard errors


@dataclass(frozen=True, eq=False)
class Means:
    """Means over draws and what is known of one draw's law; arrays of one shape.

    Attributes
    ----------
    value, error, draws : array
        The mean, its standard error, and the number of draws.
    skewness : array
        Of one draw; its sign says on which side the truth may lie far away.
    both : array of bool
        Whether it may have either sign.
    log_variance : array
        Of a positive draw's logarithm; 0 where no log-normal limit is wanted.
    fraction : array of bool
        Whether the draws lie between 0 and 1 and are judged by counts.
    """

    value: Array
    error: Array
    draws: Array
    skewness: Array
    both: npt.NDArray[np.bool_]
    log_variance: Array
    fraction: npt.NDArray[np.bool_]

    def at(self, rows: npt.NDArray[np.bool_]) -> Means:
        """Return some of the rows."""
        return Means(*(getattr(self, field.name)[rows] for field in fields(self)))


def positive_skewness(varied: Array, log_std: Array) -> tuple[Array, Array]:
    """Return skewness and log-variance of positive draws.

    Parameters
    ----------
    varied : array
        Coefficient of variation over draws.
    log_std : array
        Standard deviation of the logarithm, NaN where it is not known.
    """
    varied = np.minimum(varied, 1e6)
    implied = np.log1p(np.square(varied))
    own = np.where(np.isfinite(log_std), np.square(log_std), implied)
    share = np.divide(implied, own, out=np.ones_like(implied), where=own > implied)
    skewness = np.maximum(2.0 * varied, share * (3.0 * varied + varied**3))
    return skewness, np.clip(own, implied, 1.5 * implied)


def one_sign(value: Array, log_mean: Array) -> npt.NDArray[np.bool_]:
    """Say whether draws seem to have one sign: the size of their mean is then at least their geometric mean."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.log(np.abs(value)) >= log_mean - 1e-9)


def is_heavy(varied: Array, log_std: Array, units: Array | float = np.inf) -> npt.NDArray[np.bool_]:
    """Say where few draws decide the mean of positive draws, from their spread on either scale.

    Parameters
    ----------
    varied, log_std : array
        Coefficient of variation over draws, and standard deviation of the logarithm (NaN where it is not known).
    units : array or float
        Least number of units that one draw's number averages over. The logarithm of one or two squared normal numbers
        has a long lower tail, which does a mean no harm: there a wide logarithm counts only where the draws themselves
        are wide too. Otherwise it always counts, since few draws of a heavy-tailed law vary less than the law does.
    """
    with np.errstate(over="ignore"):
        implied = np.log1p(np.square(np.minimum(varied, 1e150)))
        seen = (units > _FEW) | (implied > _LEAST_SHARE * np.square(log_std))
        wide = (log_std > HEAVIEST) & seen
    return np.asarray(wide | (implied > HEAVIEST**2))


def critical_value(level: float | Array, draws: Array) -> Array:
    """Return Student's two-sided quantile."""
    from scipy.special import stdtrit

    freedom = np.maximum(np.asarray(draws, dtype=np.float64) - 1.0, 1.0)
    return -np.asarray(stdtrit(freedom, np.asarray(level) / 2.0), dtype=np.float64)


def reaches(means: Means, level: float | Array) -> tuple[Array, Array]:
    """Return how far the two-sided interval of each row reaches below and above its value."""
    t = critical_value(level, means.draws)
    short, far = t * means.error, _far_reach(means, t, level) * means.error
    below = means.both | (means.skewness < 0.0)
    above = means.both | (means.skewness >= 0.0)
    down, up = np.where(below, far, short), np.where(above, far, short)
    if means.fraction.any():
        rare, rarer = means.value <= 0.5, np.minimum(means.value, 1.0 - means.value)
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            bend = np.where(rarer > 0, np.square(short) / (2.0 * rarer), 0.0)
            far = bend + np.sqrt(np.square(short) + np.square(bend))
        unseen = -np.expm1(np.log(level / 2.0) / np.maximum(means.draws, 1.0))
        far, near = np.where(rarer > 0, far, unseen), np.where(rarer > 0, short, 0.0)
        down = np.where(means.fraction, np.where(rare, near, far), down)
        up = np.where(means.fraction, np.where(rare, far, near), up)
    return down, up


def p_values(means: Means, hypothesis: Array) -> Array:
    """Return two-sided p-values of the hypothesis that the mean is this."""
    from scipy.special import stdtr

    freedom = np.maximum(means.draws - 1.0, 1.0)
    gap = means.value - hypothesis
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = np.nan_to_num(np.abs(gap) / means.error, nan=0.0, posinf=np.inf)
        t = np.clip(gap / means.error, -_FARTHEST, _FARTHEST)
    dangerous = means.both | (np.sign(gap) != np.where(means.skewness < 0.0, -1.0, 1.0))
    a = steepness(means)
    bent = np.where(dangerous, np.clip(_transformed(-np.abs(t), a), -np.abs(t), 0.0), -np.abs(t))
    p = np.asarray(2.0 * stdtr(freedom, bent))
    doubtful = dangerous & (p < 0.1) & (means.log_variance > 0) & ~means.fraction
    if doubtful.any():
        p[doubtful] = _by_reach(means.at(doubtful), distance[doubtful])
    if means.fraction.any():
        rarer = np.minimum(means.value, 1.0 - means.value)
        inward = (gap < 0) == (means.value <= 0.5)
        with np.errstate(divide="ignore", invalid="ignore"):
            grown = np.sqrt(1.0 + np.where(inward & (rarer > 0), np.abs(gap) / rarer, 0.0))
            counted = 2.0 * stdtr(freedom, -np.abs(t) / grown)
            unseen = 2.0 * np.exp(means.draws * np.log1p(-np.minimum(np.abs(gap), 1.0)))
        p = np.where(means.fraction, np.where(rarer > 0, counted, unseen), p)
    return np.minimum(p, 1.0)


_STEEPEST = 1e3
"""The skewness of n numbers is below their root: what a table claims beyond is bounded, lest powers overflow."""


def steepness(means: Means) -> Array:
    """Return a = |skewness| / (3 sqrt(draws)), by which the transformation bends."""
    return np.asarray(
        np.minimum(np.abs(means.skewness) / (3.0 * np.sqrt(np.maximum(means.draws, 1.0))), _STEEPEST)
    )


def _far_reach(means: Means, t: Array, level: float | Array) -> Array:
    """Return the reach on the dangerous side in standard errors."""
    a = steepness(means)
    small = a < _SYMMETRIC
    safe = np.where(small, 1.0, a)
    bent = np.where(small, t, (1.0 - np.cbrt(1.0 - 3.0 * safe * (t + safe / 2.0))) / safe)
    far = np.maximum(bent, t)
    beyond = (a * t > RANGE) & (means.log_variance > 0)
    if beyond.any():
        limit = _log_normal_reach(means, t, level)
        far = np.where(beyond, np.maximum(far, limit), far)
    return np.asarray(far)


def _log_normal_reach(means: Means, t: Array, level: float | Array) -> Array:
    """Return how many standard errors Zou's upper limit of a log-normal mean lies above the mean."""
    from scipy.special import chdtri

    freedom = np.maximum(means.draws - 1.0, 1.0)
    v = means.log_variance
    least = chdtri(freedom, 1.0 - np.asarray(level) / 2.0)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        spread = 0.5 * v * (freedom / least - 1.0)
        factor = np.expm1(np.sqrt(np.square(t) * v / np.maximum(means.draws, 1.0) + np.square(spread)))
        return np.asarray(factor * np.abs(means.value) / means.error)


def _by_reach(means: Means, t: Array) -> Array:
    """Return the level at which the dangerous side reaches just t standard errors, by bisection of its logarithm."""
    low, high = np.full(t.shape, np.log(_LEAST_P)), np.zeros(t.shape)
    for _ in range(30):
        middle = 0.5 * (low + high)
        level = np.exp(middle)
        far = _far_reach(means, critical_value(level, means.draws), level) < t
        low, high = np.where(far, low, middle), np.where(far, middle, high)
    return np.exp(high)


def _transformed(t: Array, a: Array) -> Array:
    # ((1 + at)^3 - 1) / (3a) written out, so that a = 0 needs no case of its own
    return np.asarray(t + a * t**2 + a**2 * t**3 / 3.0 + a / 2.0)
