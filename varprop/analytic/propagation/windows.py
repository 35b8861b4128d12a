"""Sums over a convolution's windows on both indices of a covariance of sites, and their adjoint.

One tap of a kernel reads, for every output site, one site of the input, or a zero outside: a second moment after a
convolution is the sum over taps of the one before it, taken at the sites that the tap reads in both columns.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Index = NDArray[np.intp]


@dataclass(frozen=True)
class Windows:
    """The windows of a convolution or a pool over the columns of a batch.

    Attributes
    ----------
    sites, outputs : tuple of int
        Positions before and behind.
    geometry : mapping
        ``kernel``, ``stride``, ``dilation`` (one number an axis) and ``padding`` (a pair an axis).
    examples : int

    Examples
    --------
    >>> three = {"kernel": (3,), "stride": (1,), "dilation": (1,), "padding": ((1, 1),)}
    >>> Windows((4,), (4,), three, 1).pair_sum(np.eye(4)).diagonal()
    array([2., 3., 3., 2.])
    """

    sites: tuple[int, ...]
    outputs: tuple[int, ...]
    geometry: Mapping[str, tuple[Any, ...]]
    examples: int

    @cached_property
    def taps(self) -> list[tuple[Index, Index]]:
        """For every tap, the output columns that read something, and the input columns that they read."""
        return list(self._taps())

    def _taps(self) -> Iterator[tuple[Index, Index]]:
        inside, outside = math.prod(self.sites), math.prod(self.outputs)
        starts = np.arange(self.examples)[:, None]
        for offsets in itertools.product(*(range(k) for k in self.geometry["kernel"])):
            axes, kept = [], []
            for offset, size, count, stride, dilation, pad in zip(
                offsets,
                self.sites,
                self.outputs,
                self.geometry["stride"],
                self.geometry["dilation"],
                self.geometry["padding"],
                strict=True,
            ):
                at = np.arange(count) * stride + offset * dilation - pad[0]
                good = np.flatnonzero((at >= 0) & (at < size))
                kept.append(good)
                axes.append(at[good])
            read = np.ravel_multi_index(np.ix_(*axes), self.sites).ravel()
            write = np.ravel_multi_index(np.ix_(*kept), self.outputs).ravel()
            yield (starts * outside + write).ravel(), (starts * inside + read).ravel()

    @property
    def count(self) -> int:
        """Number of taps."""
        return math.prod(self.geometry["kernel"])

    @property
    def columns(self) -> tuple[int, int]:
        """Columns before and behind."""
        return self.examples * math.prod(self.sites), self.examples * math.prod(self.outputs)

    def pair_sum(self, second: Array) -> Array:
        """Return the sum over taps of `second` at the columns that the tap reads."""
        n = self.columns[1]
        found = np.zeros((n, n))
        for write, read in self.taps:
            if write.size == n:
                found += second[np.ix_(read, read)]
            else:
                found[np.ix_(write, write)] += second[np.ix_(read, read)]
        return found

    def pair_spread(self, second: Array) -> Array:
        """Return the adjoint of `pair_sum`: what every pair of columns gives to the windows that it is in."""
        n = self.columns[0]
        found = np.zeros((n, n))
        for write, read in self.taps:
            found[np.ix_(read, read)] += second[np.ix_(write, write)]
        return found

    @cached_property
    def matrix(self) -> Array:
        """How often every output column reads every input column, shape (N', N)."""
        found = np.zeros(self.columns[::-1])
        for write, read in self.taps:
            found[write, read] += 1.0
        return found
