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
    """Find where `function` or one of its first two derivatives jumps in [-reach, reach].

    Cells of a grid whose fourth differences stand out from their neighbourhood are suspect. One zooms into a
    suspect cell as long as its fourth differences exceed rounding; they fall with the width h of the cells like
    h⁰ at a jump, h at a kink, h² where the curvature jumps, and h⁴ where the function is merely steep, which
    tells the four apart. Places closer together than 1/8, or weaker than about 1e-6, may be missed.
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
    fourth = np.abs(np.diff(values, 4))
    size = np.max([np.abs(values[i : i + fourth.size]) for i in range(5)], axis=0)
    typical = np.median(np.stack([np.roll(fourth, k) for k in range(-12, 13)]), axis=0)
    suspects = np.flatnonzero(fourth > 30 * typical + 1e-12 * size)
    found: list[float] = []
    for group in np.split(suspects, np.flatnonzero(np.diff(suspects) > 1) + 1) if suspects.size else []:
        kink = _pin(function, grid[group[0]], grid[group[-1] + 4])
        if kink is not None and not (found and abs(kink - found[-1]) < 1e-6):
            found.append(kink)
    return tuple(found)


def _pin(function: Callable[[Array], Array], low: float, high: float) -> float | None:
    """Zoom into the place of the largest fourth differences; return it unless the function is smooth there."""
    steps: list[tuple[float, float]] = []
    while True:
        x = np.linspace(low, high, 33)
        y = np.asarray(function(x))
        fourth = np.abs(np.diff(y, 4))
        at = int(fourth.argmax())
        width = x[1] - x[0]
        noise = 16 * np.finfo(float).eps * float(np.abs(y).max())
        if steps and fourth[at] < 8 * noise:
            break
        steps.append((float(width), float(fourth[at])))
        peaks = np.flatnonzero(fourth > 0.1 * fourth[at])
        low, high = x[max(peaks[0], at - 4)], x[min(peaks[-1], at + 4) + 4]
        if width <= 4 * np.spacing(max(abs(low), abs(high))) or len(steps) > 60:
            break
        if high - low > 20 * width:  # nothing stands out: as good as smooth
            return None
    (h1, d1), (h2, d2) = steps[0], steps[-1]
    order = np.log(d1 / d2) / np.log(h1 / h2) if len(steps) > 1 else 4.0
    if order > 3:
        return None
    middle = (low + high) / 2 if order > 1.5 else _meet(function, low, high)
    round_place = round(middle * 64) / 64
    return float(round_place if abs(middle - round_place) < 1e-6 + (high - low) else middle)


def _meet(function: Callable[[Array], Array], low: float, high: float) -> float:
    """Return where the lines from both sides of [low, high] meet, or the jump between them, to the last digit."""
    reach = max(1e-5, 100 * (high - low))
    left, right = low - reach * np.array([1.0, 0.5]), high + reach * np.array([0.5, 1.0])
    (a1, a2), (b1, b2) = function(left), function(right)
    slope_left, slope_right = (a2 - a1) / (left[1] - left[0]), (b2 - b1) / (right[1] - right[0])
    meet = (a1 - b1 + slope_right * right[0] - slope_left * left[0]) / (slope_right - slope_left)
    if np.isfinite(meet) and low <= meet <= high:
        return float(meet)
    while True:  # a jump: halve towards the larger half of the rise
        middle = low + (high - low) / 2
        if middle in (low, high):
            return float(high)
        ends = np.asarray(function(np.array([low, middle, high])))
        low, high = (low, middle) if abs(ends[1] - ends[0]) >= abs(ends[2] - ends[1]) else (middle, high)
