"""Mergeable means and spreads over draws, one cell per layer and quantity, safe from overflow.

Each cell keeps the number of draws, their mean and the sum of squared deviations, merged by the pairwise
formulas of Chan, Golub and LeVeque (1983, Am. Stat. 37, 242), all at one binary exponent per cell, so that
squares of gradients far outside the range of a double keep their digits.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from varprop.montecarlo.scaled import Power, logarithm, normalized, shifted
from varprop.montecarlo.sketch import Sketch, ranked

Array = NDArray[Any]

_LEAST = np.iinfo(np.int64).min


@dataclass(frozen=True, eq=False)
class Moments:
    """Count, mean and spread of many cells.

    Attributes
    ----------
    count : array of int64, shape (cells,)
        Draws with a value.
    mean, spread : arrays of float64, shape (cells,)
        Mean in units of ``2**exponent``; sum of squared deviations in units of ``4**exponent``.
    exponent : array of int64, shape (cells,)
    """

    count: Array
    mean: Array
    spread: Array
    exponent: Array

    @classmethod
    def of(cls, value: Array, exponent: Power = 0) -> Moments:
        """Return the moments over axis 0 of ``value · 2**exponent``; what is not finite is left out."""
        known = np.isfinite(value)
        mantissa, power = normalized(np.where(known, value, 0.0), exponent)
        common = np.where(mantissa != 0, power, _LEAST).max(axis=0)
        common[common == _LEAST] = 0
        scaled = shifted(mantissa, power - common)
        count = known.sum(axis=0)
        # Deviations from one of the draws: equal draws then have exactly their value as mean and no spread.
        pivot = np.take_along_axis(scaled, known.argmax(axis=0)[None], axis=0)[0]
        deviation = np.where(known, scaled - pivot, 0.0)
        shift = deviation.sum(axis=0) / np.maximum(count, 1)
        centred = np.where(known, deviation - shift, 0.0)
        return cls(count, pivot + shift, (centred * centred).sum(axis=0), common)

    def merge(self, other: Moments) -> Moments:
        """Return the moments of both sets of draws."""
        empty = [(m.count == 0) | (m.mean == 0) & (m.spread == 0) for m in (self, other)]
        common = np.maximum(self.exponent, other.exponent)
        common = np.where(empty[0], other.exponent, np.where(empty[1], self.exponent, common))
        means = [shifted(m.mean, m.exponent - common) for m in (self, other)]
        spreads = [shifted(m.spread, 2 * (m.exponent - common)) for m in (self, other)]
        count = self.count + other.count
        share = other.count / np.maximum(count, 1)
        gap = means[1] - means[0]
        mean = np.where(self.count == 0, means[1], means[0] + gap * share)
        between = gap * gap * (self.count * share)
        return Moments(count, mean, spreads[0] + spreads[1] + between, common)

    def value(self) -> Array:
        """Return the means, NaN where there is no draw."""
        return np.where(self.count > 0, shifted(self.mean, self.exponent), np.nan)

    def log_value(self) -> Array:
        """Return the natural logarithms of the means' magnitudes."""
        return np.where(self.count > 0, logarithm(self.mean, self.exponent), np.nan)

    def std_error(self) -> Array:
        """Return the standard errors of the means, NaN with fewer than two draws."""
        degrees = np.maximum(self.count - 1, 1) * np.maximum(self.count, 1)
        error = shifted(np.sqrt(self.spread / degrees), self.exponent)
        return np.where(self.count > 1, error, np.nan)


@dataclass(frozen=True, eq=False)
class Cells:
    """Everything kept of the per-draw values of many cells.

    Attributes
    ----------
    moments : Moments
        Of the values.
    logs : Moments
        Of the natural logarithms of the values that are not 0.
    low, high : Moments-like pairs of arrays
        Least and greatest value, as value and exponent.
    overflows : array of int64, shape (cells,)
        Draws whose value left even the range that exponents give.
    sketch : Sketch
        For medians.
    """

    moments: Moments
    logs: Moments
    low: Array
    high: Array
    overflows: Array
    sketch: Sketch

    @classmethod
    def of(cls, value: Array, exponent: Array) -> Cells:
        """Return the cells of per-draw values, both of shape (draws, cells); NaN means there is none."""
        mantissa, power = normalized(value, exponent)
        rank = ranked(mantissa, power)
        logs = np.where(np.isfinite(value), logarithm(mantissa, power), np.nan)
        return cls(
            Moments.of(mantissa, power),
            Moments.of(np.where(mantissa == 0, np.nan, logs)),
            _at(mantissa, power, np.nan_to_num(-rank, nan=-np.inf)),
            _at(mantissa, power, np.nan_to_num(rank, nan=-np.inf)),
            np.isinf(value).sum(axis=0),
            Sketch.of(rank),
        )

    def merge(self, other: Cells) -> Cells:
        """Return the cells of both sets of draws."""
        return Cells(
            self.moments.merge(other.moments),
            self.logs.merge(other.logs),
            _further(self.low, other.low, -1),
            _further(self.high, other.high, 1),
            self.overflows + other.overflows,
            self.sketch.merge(other.sketch),
        )

    def largest_share(self) -> Array:
        """Return which part of the sum of the (nonnegative) values is the greatest one's."""
        top = logarithm(*self.high)
        with np.errstate(invalid="ignore", over="ignore"):
            share = np.exp(top - self.moments.log_value()) / np.maximum(self.moments.count, 1)
        result: Array = np.nan_to_num(share)
        return result

    def medians(self) -> Array:
        """Return the medians, within the least and greatest value."""
        median = self.sketch.medians()
        for end, sign in ((self.low, 1), (self.high, -1)):
            beyond = sign * _compare(median, (end[0], end[1])) < 0
            median = np.where(beyond, end[0], median[0]), np.where(beyond, end[1], median[1])
        return shifted(median[0], median[1])

    def arrays(self) -> dict[str, Array]:
        """Return everything as named plain arrays."""
        named = {"low": self.low, "high": self.high, "overflows": self.overflows}
        for part in ("moments", "logs", "sketch"):
            held = getattr(self, part)
            named |= {f"{part}.{f.name}": getattr(held, f.name) for f in fields(held)}
        return named

    @classmethod
    def from_arrays(cls, named: dict[str, Array]) -> Cells:
        """Return the cells that `arrays` described."""

        def part(name: str, kind: Any) -> Any:
            return kind(**{f.name: named[f"{name}.{f.name}"] for f in fields(kind)})

        parts = part("moments", Moments), part("logs", Moments)
        ends = named["low"], named["high"], named["overflows"]
        return cls(*parts, *ends, part("sketch", Sketch))


def _at(mantissa: Array, power: Array, rank: Array) -> Array:
    """Return the (value, exponent) rows of each cell's draw of greatest rank."""
    row = rank.argmax(axis=0)[None]
    return np.stack([np.take_along_axis(a, row, axis=0)[0].astype(np.float64) for a in (mantissa, power)])


def _further(one: Array, two: Array, sign: int) -> Array:
    order = _compare((one[0], one[1]), (two[0], two[1]))
    take_two = np.isnan(one[0]) | (sign * order < 0)
    return np.where(take_two & ~np.isnan(two[0]), two, one)


def _compare(one: tuple[Any, Any], two: tuple[Any, Any]) -> Any:
    """Return the sign of the difference of two scaled numbers."""
    common = np.maximum(one[1], two[1])
    with np.errstate(invalid="ignore"):
        return np.sign(
            shifted(np.asarray(one[0]), one[1] - common) - shifted(np.asarray(two[0]), two[1] - common)
        )
