"""A mergeable sketch of a distribution, for medians: counts on a logarithmic grid of exact floats.

A number's place is its sign, binary exponent and leading mantissa bits, so bins are narrower than 0.8 % and
merging adds whole numbers. A cell that needs more than `CAPACITY` bins joins neighbours in pairs, as the
uniform collapse of Epicoco et al. (2020, IEEE Access 8, 147106) does. How often it must do so depends on the
set of occupied bins alone, hence not on the order of merging.
"""

from __future__ import annotations

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
# Keys fit in this many bits, sign included.
_WORD = 40


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
        bins = _joined(cell, key)
        return cls(*bins, np.zeros(rank.shape[1], np.int64))._collapsed()

    def merge(self, other: Sketch) -> Sketch:
        """Return the sketch of both sets of numbers."""
        level = np.maximum(self.level, other.level)
        key = np.concatenate([s.key >> (level - s.level)[s.cell] for s in (self, other)])
        cell, count = (
            np.concatenate([getattr(s, name) for s in (self, other)]) for name in ("cell", "count")
        )
        return Sketch(*_joined(cell, key, count), level)._collapsed()

    def _collapsed(self) -> Sketch:
        sketch = self
        while True:
            full = np.bincount(sketch.cell, minlength=len(sketch.level)) > CAPACITY
            if not full.any():
                return sketch
            key = sketch.key >> full[sketch.cell].astype(np.int64)
            sketch = Sketch(*_joined(sketch.cell, key, sketch.count), sketch.level + full)

    def medians(self) -> tuple[Array, Array]:
        """Return the medians of all cells as values and binary exponents; NaN for an empty cell."""
        total, before = self._totals(self.count)
        upper = np.cumsum(self.count)
        place = np.searchsorted(upper, before + total / 2)
        place = np.minimum(place, len(upper) - 1) if len(upper) else place
        empty = total == 0
        if empty.all():
            return np.full(len(total), np.nan), np.zeros(len(total), np.int64)
        key, counts = self.key[place], self.count[place]
        low, high = (_edge((key + step) << self.level) for step in (0, 1))
        share = (before + total / 2 - upper[place] + counts) / counts
        exponent = np.maximum(low[1], high[1])
        ends = [shifted(value, power - exponent) for value, power in (low, high)]
        return np.where(empty, np.nan, ends[0] + share * (ends[1] - ends[0])), exponent

    def _totals(self, count: Array) -> tuple[Array, Array]:
        """Return the sum of `count` over each cell's bins, and over all cells before it."""
        total = np.bincount(self.cell, count, len(self.level)).astype(np.int64)
        return total, np.cumsum(total) - total


def _edge(place: Array) -> tuple[Array, Array]:
    """Return the ends of bins nearer to minus infinity, as values and binary exponents."""
    # A negative bin's key counts from 0 downwards, so its lower end belongs to the next magnitude.
    magnitude = np.where(place < 0, 1 - place, place)
    exponent = magnitude >> _BITS
    value = 0.5 + (magnitude & ((1 << _BITS) - 1)) * 2.0 ** -(_BITS + 1)
    zero = exponent <= 1
    return np.where(zero, 0.0, np.where(place < 0, -value, value)), np.where(zero, 0, exponent - _OFFSET)


def _joined(cell: Array, key: Array, count: Array | None = None) -> tuple[Array, Array, Array]:
    """Sort bins by cell and key, and add the counts of equal ones; each counts once if no counts are given."""
    both = (cell << _WORD) + (key + (1 << (_WORD - 1)))
    if count is None:
        both = np.sort(both)
    else:
        # Equal bins may come in any order: their counts are whole numbers.
        order = np.argsort(both)
        both, count = both[order], count[order]
    new = np.ones(len(both), bool)
    np.not_equal(both[1:], both[:-1], out=new[1:])
    starts = np.flatnonzero(new)
    if count is None:
        count = np.diff(starts, append=len(both))
    elif len(starts):
        count = np.add.reduceat(count, starts)
    both = both[starts]
    return both >> _WORD, (both & ((1 << _WORD) - 1)) - (1 << (_WORD - 1)), count
