"""Derivatives of a user's callable, and a search for the kinks it did not declare.

The derivative at z is that of the polynomial through nine equidistant points around z, all on z's side of
every kink: the window is shifted where it would straddle one. Its step is the power of two for which halving
changes the result least, chosen once for each band of \\|z\\| (8, 64, 512, …), because rounding grows with z.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
_POINTS = 9
_BANDS = 8.0 ** np.arange(1, 9)


def _stencils() -> Array:
    """Return rows shift + 4 of weights of f(z + (j - 4 + shift) h) for h f'(z), shift = -4..4."""
    rows = []
    for shift in range(-4, 5):
        x = np.arange(-4.0, 5.0) + shift
        slope = np.zeros(_POINTS)
        slope[1] = 1.0
        rows.append(np.linalg.solve(np.vander(x, increasing=True).T, slope))
    return np.array(rows)


class Differences:
    """Nine-point derivative of `function` that respects `kinks`.

    Parameters
    ----------
    function : callable
        Vectorised over float64 arrays.
    kinks : tuple of float
        Ascending.
    raw : callable, optional
        The same function without checks on its answers, for choosing the steps and for `unchecked`.
    """

    def __init__(
        self,
        function: Callable[[Array], Array],
        kinks: tuple[float, ...],
        raw: Callable[[Array], Array] | None = None,
    ) -> None:
        self.function = function
        self.raw = function if raw is None else raw
        self.kinks = np.array(kinks, dtype=float)
        self._weights = _stencils()
        self.steps = self._choose()

    def __call__(self, z: Array) -> Array:
        """Return the derivative at `z`; at a kink, the derivative from the flatter side."""
        return self._evaluate(z, self.function)

    def unchecked(self, z: Array) -> Array:
        """Return the same without complaint where it is not finite."""
        with np.errstate(all="ignore"):
            return self._evaluate(z, self.raw)

    def _evaluate(self, z: Array, function: Callable[[Array], Array]) -> Array:
        points = np.asarray(z, dtype=np.float64)
        flat = points.ravel()
        result = self._derive(
            function, flat, self.steps[np.searchsorted(_BANDS, np.abs(flat)).clip(max=_BANDS.size - 1)]
        )
        for kink in self.kinks:
            at = flat == kink
            if at.any():
                sides = np.array([np.nextafter(kink, -np.inf), np.nextafter(kink, np.inf)])
                left, right = self._evaluate(sides, function)
                result[at] = left if abs(left) <= abs(right) else right
        return result.reshape(points.shape).astype(np.asarray(z).dtype)

    def _derive(self, function: Callable[[Array], Array], z: Array, h: Array) -> Array:
        edges = np.concatenate([[-np.inf], self.kinks, [np.inf]])
        piece = np.searchsorted(self.kinks, z, side="right")
        low, high = edges[piece], edges[piece + 1]
        h = np.minimum(h, (high - low) / (2 * _POINTS))
        with np.errstate(invalid="ignore"):
            left = np.floor(np.minimum((z - low) / h, 4)).astype(int)  # steps that fit on either side
            right = np.floor(np.minimum((high - z) / h, 4)).astype(int)
        shift = np.where(left < 4, 4 - left, np.where(right < 4, right - 4, 0))
        offsets = np.arange(-4, 5) + shift[:, None]
        values = function(z[:, None] + offsets * h[:, None])
        # differences from the value nearest z: the weights sum to zero, so nothing changes but the rounding
        centre = values[np.arange(z.size), 4 - shift]
        slope: Array = np.einsum("ij,ij->i", self._weights[shift + 4], values - centre[:, None]) / h
        return slope

    def _choose(self) -> Array:
        steps: list[float] = []
        inner = 0.0
        for outer in _BANDS:
            radii = inner + (outer - inner) * (np.arange(1, 25) - 0.382) / 24.3
            sample = np.concatenate([-radii, radii])
            coarsest = max(0.5, outer / 128)
            choices = coarsest * 2.0 ** -np.arange(14 + np.log2(2 * coarsest))
            with np.errstate(all="ignore"):
                results = [self._derive(self.raw, sample, np.full(sample.shape, h)) for h in choices]
                change = np.mean(np.square(np.diff(results, axis=0)), axis=1)
            if not np.isfinite(change).all():  # it overflows out here; nothing is to be learnt
                return np.array(steps + [steps[-1] if steps else 2.0**-6] * (_BANDS.size - len(steps)))
            steps.append(float(choices[int(np.argmin(change)) + 1]))
            inner = outer
        return np.array(steps)


def find_kinks(function: Callable[[Array], Array], reach: float = 64.0) -> tuple[float, ...]:
    """Find where `function` or its first derivative jumps in [-reach, reach].

    A cell of a grid is suspect if the cubics through the four points on its left and on its right disagree in
    it by more than the size of the fifth difference next door explains. A suspect cell is halved for as long
    as the disagreement falls no faster than the first power of the cell's width, as at a kink, and acquitted
    when it falls faster, as for a smooth function. Kinks closer together than 1/32, or weaker than 1e-6 in
    slope, may be missed.
    """
    with np.errstate(all="ignore"):
        return _find_kinks(function, reach)


def _find_kinks(function: Callable[[Array], Array], reach: float) -> tuple[float, ...]:
    h = 1 / 32
    grid = np.arange(-round(reach / h) - 4, round(reach / h) + 5) * h
    values = np.asarray(function(grid))
    bad = np.flatnonzero(~np.isfinite(values))  # a function may overflow far out: look only within
    first = max(bad[grid[bad] < 0], default=-1) + 1
    last = min(bad[grid[bad] >= 0], default=grid.size)
    grid, values = grid[first:last], values[first:last]
    scale = np.maximum.accumulate(np.abs(values)) + np.maximum.accumulate(np.abs(values[::-1]))[::-1]
    fourth = np.abs(np.diff(values, 4))
    noise = 1e-13 * scale[2:-2]
    typical = np.median(np.stack([np.roll(fourth, k) for k in range(-12, 13)]), axis=0)
    suspects = np.flatnonzero(fourth > 30 * typical + 100 * noise)
    found: list[float] = []
    for group in np.split(suspects, np.flatnonzero(np.diff(suspects) > 1) + 1) if suspects.size else []:
        low, high = grid[group[0]], grid[group[-1] + 4]
        kink = _pin(function, low, high)
        if kink is not None:
            found.append(kink)
    return tuple(sorted(map(float, found)))


def _pin(function: Callable[[Array], Array], low: float, high: float) -> float | None:
    """Zoom into the point of strongest curvature; return it if it is a kink or a jump, None if smooth."""
    steepness = []
    while True:
        x = np.linspace(low, high, 33)
        y = function(x)
        bend = np.abs(np.diff(y, 2))
        jump = np.abs(np.diff(y))
        width = x[1] - x[0]
        at = int(bend.argmax())
        steepness.append((width, float(bend[at])))
        noise = 8 * np.finfo(float).eps * float(np.abs(y).max())
        jumped = float(jump.max()) > 0.5 * float(jump.sum()) and float(jump.max()) > 1e3 * noise
        if width < 1e-15 * max(1.0, abs(low)) * 8 or (bend[at] < 64 * noise and len(steepness) > 1):
            break
        low, high = (x[int(jump.argmax())], x[int(jump.argmax()) + 1]) if jumped else (x[at], x[at + 2])
        if high - low <= 8 * np.spacing(max(abs(low), abs(high))):
            break
    first, last = steepness[0], steepness[-1]
    # bend ~ width at a kink, width⁰ at a jump, width² where smooth
    rate = np.log(first[1] / max(last[1], 1e-300)) / np.log(first[0] / last[0]) if len(steepness) > 1 else 2.0
    if rate > 1.5:
        return None
    middle = _intersect(function, low, high, last[0])
    nearest = round(middle * 64) / 64
    return nearest if abs(middle - nearest) < 1e-9 else middle


def _intersect(function: Callable[[Array], Array], low: float, high: float, width: float) -> float:
    """Return where the tangent lines from both sides of [low, high] meet, its middle if they do not."""
    reach = max(1e-5, 100 * width)
    left, right = low - reach * np.array([1.0, 0.5]), high + reach * np.array([0.5, 1.0])
    (a1, a2), (b1, b2) = function(left), function(right)
    slope_left, slope_right = (a2 - a1) / (left[1] - left[0]), (b2 - b1) / (right[1] - right[0])
    if slope_left == slope_right:
        return (low + high) / 2
    meet = (a1 - b1 + slope_right * right[0] - slope_left * left[0]) / (slope_right - slope_left)
    return float(meet) if low - width <= meet <= high + width else (low + high) / 2
