"""A mergeable sketch of a distribution, for medians: counts on a logarithmic grid of exact floats.

A number's place is its sign, binary exponent and leading mantissa bits, so bins are narrower than 0.8 % and
merging adds whole numbers. A cell that needs more than `CAPACITY` bins joins neighbours in pairs, as the
uniform collapse of Epicoco et al. (2020, IEEE Access 8, 147106) does. How often it must do so depends on the
set of occupied bins alone, hence not on the order of merging.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from varprop.montecarlo.scaled import shifted

Array = NDArray[Any]

CAPACITY = 512
"""Bins per cell at most."""

_BITS = 7
# Puts every binary exponent that can occur above 0, so that 0 itself has a bin between the signs.
_OFFSET = 1 << 22


def ranked(mantissa: Array, power: Array) -> Array:
    """Return a float that orders ``mantissa · 2**power`` (magnitudes in [1/2, 1)) and grows by 1 per doubling.

    Exact in order up to the 30 leading bits. Infinities come after everything else; NaN stays.
    """
    magnitude = np.where(np.isinf(mantissa), 2.0 * _OFFSET, power + _OFFSET + (2 * np.abs(mantissa) - 1))
    return np.sign(mantissa) * magnitude


@dataclass(frozen=True, eq=False)
class Sketch:
    """Sketches of many cells, stored as one sorted list of occupied bins.

    Attributes
    ----------
    cell, key, count : arrays of int64, shape (bins,)
        Occupied bins, sorted by cell and key.
    level : array of int64, shape (cells,)
        How often the bins of a cell have been joined in pairs.
    """

    cell: Array
    key: Array
    count: Array
    level: Array

    @classmethod
    def of(cls, rank: Array) -> Sketch:
        """Return the sketch of numbers given by `ranked`, shape (draws, cells); NaN is left out."""
        known = ~np.isnan(rank)
        cell = np.broadcast_to(np.arange(rank.shape[1]), rank.shape)[known]
        key = (rank[known] * (1 << _BITS)).astype(np.int64)
        bins = _joined(cell, key, np.ones(len(cell), np.int64))
        return cls(*bins, np.zeros(rank.shape[1], np.int64))._collapsed()

    def merge(self, other: Sketch) -> Sketch:
        """Return the sketch of both sets of numbers."""
        level = np.maximum(self.level, other.level)
        key = np.concatenate([s.key >> (level - s.level)[s.cell] for s in (self, other)])
        cell, count = (np.concatenate([getattr(s, name) for s in (self, other)]) for name in ("cell", "count"))
        return Sketch(*_joined(cell, key, count), level)._collapsed()

    def _collapsed(self) -> Sketch:
        sketch = self
        while True:
            full = np.bincount(sketch.cell, minlength=len(sketch.level)) > CAPACITY
            if not full.any():
                return sketch
            key = sketch.key >> full[sketch.cell].astype(np.int64)
            sketch = Sketch(*_joined(sketch.cell, key, sketch.count), sketch.level + full)

    def median(self, cell: int) -> tuple[float, int]:
        """Return the median of a cell as (value, binary exponent); NaN for an empty cell."""
        first, last = np.searchsorted(self.cell, [cell, cell + 1])
        counts = self.count[first:last]
        if not len(counts):
            return float("nan"), 0
        half = counts.sum() / 2
        upper = np.cumsum(counts)
        place = int(np.searchsorted(upper, half))
        low, high = (self._edge(self.key[first + place] + step, self.level[cell]) for step in (0, 1))
        share = (half - upper[place] + counts[place]) / counts[place]
        exponent = max(low[1], high[1])
        ends = [float(shifted(np.float64(v), e - exponent)) for v, e in (low, high)]
        return ends[0] + float(share) * (ends[1] - ends[0]), exponent

    def upper_log_spread(self, cell: int) -> tuple[float, int]:
        """Return the mean square of ``log(v / median)`` over the positive values above their median, and how many.

        For a log-normal law this is the variance of the logarithm; small values, which do a mean no harm, have
        no part in it.
        """
        first, last = np.searchsorted(self.cell, [cell, cell + 1])
        key, count = self.key[first:last], self.count[first:last]
        positive = key > 0
        key, count = key[positive], count[positive]
        if not len(key):
            return 0.0, 0
        # The key is piecewise linear in the number and grows by a constant per doubling: log2 to within 0.09.
        place = (key + 0.5) * 2.0 ** (float(self.level[cell]) - _BITS)
        octave = np.floor(place)
        log = math.log(2.0) * octave + np.log1p(place - octave)
        upper = np.cumsum(count)
        middle = int(np.searchsorted(upper, upper[-1] / 2))
        weights = count[middle:]
        gaps = log[middle:] - log[middle]
        return float(weights @ gaps**2 / weights.sum()), int(upper[-1])

    def _edge(self, key: int, level: int) -> tuple[float, int]:
        """Return the end of a bin nearer to minus infinity, as (value, binary exponent)."""
        place = int(key) << int(level)
        # A negative bin's key counts from 0 downwards, so its lower end belongs to the next magnitude.
        magnitude = 1 - place if place < 0 else place
        if magnitude >> _BITS <= 1:
            return 0.0, 0
        leading = magnitude & ((1 << _BITS) - 1)
        value = 0.5 + leading * 2.0 ** -(_BITS + 1)
        return (-value if place < 0 else value), (magnitude >> _BITS) - _OFFSET


def _joined(cell: Array, key: Array, count: Array) -> tuple[Array, Array, Array]:
    """Sort bins by cell and key, and add the counts of equal ones."""
    order = np.lexsort((key, cell))
    cell, key, count = cell[order], key[order], count[order]
    new = np.ones(len(cell), bool)
    new[1:] = (cell[1:] != cell[:-1]) | (key[1:] != key[:-1])
    starts = np.flatnonzero(new)
    total = np.add.reduceat(count, starts) if len(starts) else count
    return cell[starts], key[starts], total.astype(np.int64)
