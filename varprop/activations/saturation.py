"""Where a unit saturates: the unbounded tails in which its derivative has become small."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy

from varprop._validation import InputError, check_real

DEFAULT_SHARE = 0.0396
"""Share of the steepest slope below which a tail counts as saturated: a sigmoid within 1 % of its asymptote,
because sigma' = sigma (1 - sigma) = 0.0396/4 at sigma = 0.01."""

_FARTHEST = 1e12
_SETTLED = 1e11
_GROWTH = (
    1e-3  # relative growth of sup |phi'| over the last decades from which the supremum counts as infinite
)


@dataclass(frozen=True)
class Tails:
    """Two unbounded intervals ``z <= low`` and ``z >= high``; an infinite end means that the side is empty.

    Examples
    --------
    >>> float(Tails(0.0, math.inf).probability(0.0, 2.0))
    0.5
    """

    low: float
    high: float

    def contains(self, z: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Say which entries of `z` lie in the tails; same shape as `z`."""
        z = np.asarray(z)
        return np.asarray((z <= self.low) | (z >= self.high))

    def probability(self, mean: npt.ArrayLike, variance: npt.ArrayLike) -> Any:
        """Return P(z in the tails) for z ~ N(mean, variance), to relative precision in both tails.

        Parameters
        ----------
        mean, variance : array_like
            Broadcast together; variance 0 means the point `mean`.
        """
        if self.low >= self.high:
            return interval_probability(-math.inf, math.inf, mean, variance)
        below = interval_probability(-math.inf, self.low, mean, variance)
        return below + interval_probability(self.high, math.inf, mean, variance)


def interval_probability(low: float, high: float, mean: npt.ArrayLike, variance: npt.ArrayLike) -> Any:
    """Return P(low <= z <= high) for z ~ N(mean, variance), from erfc on the side where it does not cancel.

    Examples
    --------
    >>> float(interval_probability(0.0, math.inf, 0.0, 1.0))
    0.5
    """
    m, v = np.broadcast_arrays(np.asarray(mean, dtype=float), np.asarray(variance, dtype=float))
    if np.any(v < 0) or not np.all(np.isfinite(v)) or not np.all(np.isfinite(m)):
        raise InputError("variance", variance, "finite means and finite variances of at least 0")
    if math.inf in (low, -high) or low > high:  # no real number lies there
        return np.zeros(m.shape)[()]
    with np.errstate(divide="ignore", invalid="ignore"):
        a = (low - m) / np.sqrt(v)
        b = (high - m) / np.sqrt(v)
    flip = a > 0  # both ends to the right: use the upper tails instead, P(a, b) = P(-b, -a)
    left, right = np.where(flip, -b, a), np.where(flip, -a, b)
    result = scipy.special.ndtr(right) - scipy.special.ndtr(left)
    at_point = (m >= low) & (m <= high)
    return np.where(v > 0, result, at_point.astype(float))[()]


def find_tails(
    derivative: Callable[[npt.NDArray[Any]], npt.NDArray[Any]], kinks: tuple[float, ...], share: float
) -> Tails:
    """Find the unbounded tails where ``|phi'| <= share * sup |phi'|``.

    The supremum is taken over a grid that is dense near the origin and the kinks and geometric out to 1e12,
    then polished by golden-section search around the best point; each end is bisected down to neighbouring
    floats. If the supremum is 0 or infinite the tails are those where the derivative is exactly 0. An
    oscillating derivative never settles, so its tails are empty.

    Parameters
    ----------
    derivative : callable
        phi', vectorised.
    kinks : tuple of float
        Where phi' may jump.
    share : float
        Between 0 and 1.
    """
    share = check_real("share", share, minimum=0.0, maximum=1.0)

    def slope(z: npt.NDArray[Any]) -> npt.NDArray[Any]:
        with np.errstate(all="ignore"):
            value = np.abs(np.asarray(derivative(z), dtype=float))
        return np.where(np.isnan(value), np.inf, value)

    grid = _probes(kinks)
    values = slope(grid)
    supremum = _supremum(slope, grid, values)
    level = share * supremum if 0 < supremum < math.inf else 0.0
    if supremum == 0:
        inner = [k for k in kinks if math.isfinite(k)] or [0.0]
        return Tails(min(inner), max(inner)) if len(inner) > 1 else Tails(inner[0], inner[0])
    above = np.flatnonzero(values > level)
    if above.size == 0:  # share 1: nothing exceeds the supremum
        return Tails(0.0, 0.0)
    first, last = above[0], above[-1]
    # what crosses the level only out there oscillates and was merely sampled near a zero
    low = -math.inf if grid[first] < -_SETTLED else _cross(slope, level, grid[first], grid[first - 1])
    high = math.inf if grid[last] > _SETTLED else _cross(slope, level, grid[last], grid[last + 1])
    return Tails(low, high)


def _probes(kinks: tuple[float, ...]) -> npt.NDArray[np.float64]:
    near = np.arange(-6400, 6401) / 100
    far = np.geomspace(64, _FARTHEST, 2400)
    sides = [np.nextafter(k, d) for k in kinks for d in (-np.inf, np.inf)]
    return np.unique(np.concatenate([near, far, -far, kinks, sides]))


def _supremum(slope: Callable[..., Any], grid: npt.NDArray[Any], values: npt.NDArray[Any]) -> float:
    if np.isinf(values).any():
        return math.inf
    inner = values[np.abs(grid) <= _FARTHEST / 1e4].max()
    if values.max() > inner * (1 + _GROWTH):
        return math.inf
    best = int(values.argmax())
    left, right = grid[max(best - 1, 0)], grid[min(best + 1, grid.size - 1)]
    top = float(values[best])
    golden = (math.sqrt(5) - 1) / 2
    for _ in range(60):
        c, d = right - golden * (right - left), left + golden * (right - left)
        fc, fd = slope(np.array([c, d]))
        top = max(top, float(fc), float(fd))
        left, right = (left, d) if fc >= fd else (c, right)
    return top


def _cross(slope: Callable[..., Any], level: float, above: float, below: float) -> float:
    """Bisect between a point where the slope exceeds `level` and one where it does not; return the latter."""
    while True:
        middle = above + (below - above) / 2
        if middle in (above, below):
            return float(below)
        if slope(np.array([middle]))[0] > level:
            above = middle
        else:
            below = middle
