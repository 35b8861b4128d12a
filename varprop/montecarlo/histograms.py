"""Histograms of pre-activations on a fixed grid of exact floats, so that merging adds whole numbers.

The grid is logarithmic on both sides of zero: each doubling is cut into 16 equal bins, over 24 doublings
around the layer's expected size 2**e, with one bin around zero and an open one at either end. A single-precision
number's sign, exponent and four leading mantissa bits *are* its bin, so binning is one shift.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from varprop.montecarlo.scaled import Power

Array = NDArray[Any]

OCTAVES = 12
"""Doublings covered below and above the expected size."""

PARTS = 16
"""Bins per doubling."""

SIDE = 2 * OCTAVES * PARTS
"""Bounded bins on either side of zero."""

BINS = 2 * SIDE + 3
"""All bins: open, negative side, around zero, positive side, open."""

KEY_SHIFT = 32 - 1 - 8 - 4
"""What leaves sign, exponent and four mantissa bits of a single-precision number: its key."""

KEYS = 1 << (32 - KEY_SHIFT)
"""Number of keys."""

_BIAS = 127


def grid(exponent: int) -> Array:
    """Return the ``BINS + 1`` edges for a layer of expected size ``2**exponent``, from -inf to inf.

    Examples
    --------
    >>> edges = grid(0)
    >>> len(edges) == BINS + 1, float(edges[SIDE + 2]) == 2.0**-12, float(edges[-2])
    (True, True, 4096.0)
    """
    octave, part = np.divmod(np.arange(SIDE + 1), PARTS)
    positive = np.ldexp(1 + part / PARTS, exponent - OCTAVES + octave)
    return np.concatenate([[-np.inf], -positive[::-1], positive, [np.inf]])


def count(z: Array, exponent: int, shift: Power = 0) -> Array:
    """Count pre-activations on the grid.

    Parameters
    ----------
    z : array of float32, contiguous, shape (draws, …)
        Pre-activations, each draw in units of ``2**shift``.
    exponent : int
        The layer's expected size.
    shift : array of int, shape (draws,), or 0

    Returns
    -------
    array of int64, shape (BINS,)
    """
    if not isinstance(shift, int):
        rows = zip(z, shift, strict=True)
        return sum((count(row, exponent - int(s)) for row, s in rows), np.zeros(BINS, np.int64))
    return from_keys(np.bincount(_keys(z.reshape(-1).view(np.uint32)), minlength=KEYS), exponent)


def from_keys(both: Array, exponent: int) -> Array:
    """Return the counts on the grid, given how often every value of a number's leading bits occurred."""
    # Bin 0 of a side collects everything nearer to zero, the last one everything beyond the grid.
    first = (exponent - OCTAVES + _BIAS) * PARTS
    inner, outer = (min(max(place, 0), KEYS // 2) for place in (first, first + SIDE))
    result = np.zeros(BINS, np.int64)
    offset = inner - first if inner >= first else 0
    for side, into in ((both[: KEYS // 2], result[SIDE + 2 :]), (both[KEYS // 2 :], result[SIDE::-1])):
        result[SIDE + 1] += side[:inner].sum()
        into[offset : offset + outer - inner] = side[inner:outer]
        into[SIDE] += side[outer:].sum()
    return result


def _keys(words: Array) -> Array:
    """Return the words' leading bits as indices, in any order: two words at a time spare a conversion."""
    if words.size % 2:
        return np.right_shift(words, np.uint32(KEY_SHIFT))
    pairs = words.view(np.uint64)
    keys = np.empty(words.size, np.uint64)
    upper, lower = keys[: pairs.size], keys[pairs.size :]
    np.right_shift(pairs, np.uint64(32 + KEY_SHIFT), out=upper)
    np.left_shift(pairs, np.uint64(32), out=lower)
    np.right_shift(lower, np.uint64(32 + KEY_SHIFT), out=lower)
    return keys.view(np.int64)


@dataclass(frozen=True, eq=False)
class Histogram:
    """Counts of one layer's pre-activations over units, inputs and draws.

    Attributes
    ----------
    case : str
    layer : int
        From 1.
    edges : array of float64, shape (bins + 1,)
        Ascending; the first and last bins are open.
    counts : array of int64, shape (bins,)
    """

    case: str
    layer: int
    edges: Array
    counts: Array

    def coarse(self, smallest: int = 50, finest: float = 0.05) -> Histogram:
        """Join neighbouring bounded bins until each is wide and full enough to draw.

        Parameters
        ----------
        smallest : int
            Counts per bin wanted, except at the ends.
        finest : float
            Least width of a bin, in units of the root second moment of the bin centres.
        """
        inner, counts = self.edges[1:-1], self.counts[1:-1]
        centres = (inner[1:] + inner[:-1]) / 2
        total = max(int(counts.sum()), 1)
        least = finest * float(np.sqrt((counts * centres**2).sum() / total))
        filled = np.flatnonzero(counts)
        if not len(filled):
            return self
        edges, joined, start, held = [inner[filled[0]]], [], inner[filled[0]], 0
        for i in range(filled[0], filled[-1] + 1):
            held += int(counts[i])
            if (held >= smallest and inner[i + 1] - start >= least) or i == filled[-1]:
                edges.append(inner[i + 1])
                joined.append(held)
                start, held = inner[i + 1], 0
        return Histogram(self.case, self.layer, np.array(edges), np.array(joined, np.int64))

    def density(self) -> Array:
        """Return the share of all counts per unit of z in every bin (0 in an open one)."""
        with np.errstate(invalid="ignore", divide="ignore"):
            height = self.counts / (max(int(self.counts.sum()), 1) * np.diff(self.edges))
        return np.where(np.isfinite(height), height, 0.0)
