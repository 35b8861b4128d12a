"""The per-draw numbers of a group of networks, as a sampler fills them in."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from varprop.montecarlo.scaled import Power
from varprop.montecarlo.statistics import PLACE
from varprop.results.schema import CHAIN_QUANTITIES

Array = NDArray[Any]


class Records:
    """Values of shape (draws, depth, quantities) with binary exponents; NaN where nothing was recorded.

    Parameters
    ----------
    draws, depth : int
    quantities : int
        How many of `varprop.montecarlo.statistics.NAMES` there are; those of chains if not given.
    """

    def __init__(self, draws: int, depth: int, quantities: int = len(CHAIN_QUANTITIES)) -> None:
        # One layer's quantity lies in one piece in memory.
        self._value = np.full((depth, quantities, draws), np.nan)
        self._exponent = np.zeros((depth, quantities, draws), np.int64)
        self.value, self.exponent = self._value.transpose(2, 0, 1), self._exponent.transpose(2, 0, 1)
        self._entered = np.zeros((depth, quantities), bool)
        self._skipped: list[tuple[int, int, Array]] = []

    def put(self, name: str, number: int, value: Array | float, exponent: Power = 0) -> None:
        """Enter a quantity of layer `number` (from 1) for all draws, as ``value · 2**exponent``.

        What is not a number any more has left the range; `finish` makes it infinite.
        """
        place = PLACE[name]
        self._value[number - 1, place] = value
        self._entered[number - 1, place] = True
        if not (isinstance(exponent, int) and exponent == 0):
            self._exponent[number - 1, place] = exponent

    def put_log(self, name: str, number: int, log2: Array) -> None:
        """Enter a nonnegative quantity by its binary logarithm (minus infinity for 0)."""
        finite = np.isfinite(log2)
        whole = np.where(finite, np.floor(np.where(finite, log2, 0.0)), 0.0)
        value = np.where(finite, np.exp2(np.where(finite, log2, 0.0) - whole), 0.0)
        self.put(name, number, value, whole.astype(np.int64))

    def skip(self, name: str, number: int, draws: Array) -> None:
        """Take a quantity back for the `draws` marked True, for which it is not defined."""
        self._skipped.append((number - 1, PLACE[name], draws))

    def finish(self) -> None:
        """Call it when all is entered and before anything is read."""
        self.value[self._entered & np.isnan(self.value)] = np.inf
        for row, place, draws in self._skipped:
            self.value[draws, row, place] = np.nan

    def replaced(self, values: dict[str, tuple[Array, Power]], layers: dict[str, Array]) -> Records:
        """Return a copy with other values of some quantities in some layers.

        Parameters
        ----------
        values : dict of (value, exponent)
            Arrays of shape (draws, depth), with binary exponents of shape (depth,) or 0.
        layers : dict of arrays of bool, shape (depth,)
            Where they take the place of what was recorded.
        """
        copy = Records(*self.value.shape)
        copy.value[:], copy.exponent[:] = self.value, self.exponent
        for name, (value, exponent) in values.items():
            here = layers[name]
            copy.value[:, here, PLACE[name]] = np.where(np.isnan(value), np.inf, value)[:, here]
            copy.exponent[:, here, PLACE[name]] = np.broadcast_to(exponent, here.shape)[here]
        return copy


def joined(parts: list[Records]) -> tuple[Array, Array]:
    """Return the values and the exponents of all groups, one below the other."""
    value = np.concatenate([part.value for part in parts])
    return value, np.concatenate([part.exponent for part in parts])
