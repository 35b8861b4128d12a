"""The dense sampler: weight matrices drawn entry by entry, for any initializer."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from varprop.montecarlo.normals import Noise
from varprop.montecarlo.samplers.entries import draw_weights
from varprop.montecarlo.samplers.program import Step
from varprop.montecarlo.samplers.reductions import Columns

Array = NDArray[Any]


class DenseMaps:
    """The weight matrices of a group of networks.

    Parameters
    ----------
    draws : int
    noise : Noise
    keep : bool
        Keep the matrices for the way back. Otherwise the generator's state is kept and each matrix is drawn
        again, bit for bit, so that one layer's weights are in memory at a time.
    """

    def __init__(self, draws: int, noise: Noise, keep: bool) -> None:
        self.draws = draws
        self.noise = noise
        self.keep = keep
        self._kept: dict[int, Any] = {}

    def forward(self, step: Step, columns: Columns) -> Array:
        """Return W h, shape (draws, fan_out, B), for columns h of shape (draws, fan_in, B)."""
        state = self.noise.rng.bit_generator.state
        weights = draw_weights(step, self.draws, self.noise)
        self._kept[step.number] = weights if self.keep else state
        product: Array = np.matmul(weights, columns.array)
        return product

    def backward(self, step: Step, columns: Columns) -> Array:
        """Return Wᵀ delta, shape (draws, fan_in, B)."""
        kept = self._kept.pop(step.number)
        if self.keep:
            weights = kept
        else:
            bits = self.noise.rng.bit_generator
            now = bits.state
            bits.state = kept
            weights = draw_weights(step, self.draws, self.noise)
            bits.state = now
        product: Array = np.matmul(weights.swapaxes(-1, -2), columns.array)
        return product
