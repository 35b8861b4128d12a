"""Windows over positions: numbers gathered into one column per window, and written back."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Windows:
    """The windows of a convolution or a pool.

    Attributes
    ----------
    positions : tuple of int
        Sizes of the axes that the windows slide over.
    number : tuple of int
        Windows along each axis.
    kernel, stride, dilation : tuple of int
    padding : tuple of (int, int)
    """

    positions: tuple[int, ...]
    number: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]

    @property
    def size(self) -> int:
        """Numbers in a window."""
        return math.prod(self.kernel)

    def gather(self, x: Array, examples: int, fill: float = 0.0) -> Array:
        """Return x of shape (draws, features, B T) as (draws, features, window, B windows)."""
        draws, features, _ = x.shape
        padded = x.reshape(draws, features, examples, *self.positions)
        if any(itertools.chain(*self.padding)):
            padded = np.pad(padded, ((0, 0),) * 3 + self.padding, constant_values=fill)
        result = np.empty((draws, features, self.size, examples, *self.number), x.dtype)
        for place, part in enumerate(self._parts()):
            result[:, :, place] = padded[part]
        return result.reshape(draws, features, self.size, -1)

    def scatter(self, windows: Array, examples: int) -> Array:
        """Return the sums of what overlaps: the adjoint of `gather`, shape (draws, features, B T)."""
        draws, features = windows.shape[:2]
        wide = windows.reshape(draws, features, self.size, examples, *self.number)
        sizes = [size + sum(pad) for size, pad in zip(self.positions, self.padding, strict=True)]
        padded = np.zeros((draws, features, examples, *sizes), windows.dtype)
        for place, part in enumerate(self._parts()):
            padded[part] += wide[:, :, place]
        axes = zip(self.positions, self.padding, strict=True)
        inner: tuple[Any, ...] = (..., *(slice(pad[0], pad[0] + size) for size, pad in axes))
        return np.ascontiguousarray(padded[inner]).reshape(draws, features, -1)

    def _parts(self) -> Iterator[tuple[Any, ...]]:
        """Yield, for every place in the window, the padded positions that it meets."""
        for offsets in itertools.product(*(range(k) for k in self.kernel)):
            axes = zip(offsets, self.dilation, self.stride, self.number, strict=True)
            yield (..., *(slice(o * d, o * d + s * (n - 1) + 1, s) for o, d, s, n in axes))
