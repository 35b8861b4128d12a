"""One look at a layer's pre-activations: sum, histogram, saturated units, by NumPy's passes or in one compiled pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from varprop.montecarlo import histograms
from varprop.montecarlo.samplers.program import Program, Step
from varprop.montecarlo.samplers.reductions import Columns, total
from varprop.montecarlo.scaled import Power, along, shifted

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Survey:
    """What was seen.

    Attributes
    ----------
    total : array of float64, shape (draws,)
        Sums of the pre-activations, in their units.
    counts : array of int64, shape (bins,)
        Histogram; no bins if histograms are off.
    saturated : array of float64, shape (draws,) or None
        How many are saturated; None if that was not counted.
    """

    total: Array
    counts: Array
    saturated: Array | None


def survey(program: Program, step: Step, z: Columns, shift: Power) -> Survey:
    """Look at pre-activations of shape (draws, n, B), in units of ``2**shift``.

    The compiled look also tells z its sums of squares.
    """
    if program.compiled and isinstance(shift, int) and z.array.dtype == np.float32:
        return _compiled(program, step, z)
    counts = _histogram(step, z.array, shift) if program.histogram else np.zeros(0, np.int64)
    return Survey(total(z.array), counts, None)


def _histogram(step: Step, z: Array, shift: Power) -> Array:
    if z.dtype == np.float32:
        return histograms.count(z, step.exponent, shift)
    # Scaled to the layer's expected size first: single precision then holds whatever the grid can tell apart.
    near = shifted(z, along(shift - step.exponent, z.ndim)).astype(np.float32)
    return histograms.count(near, 0)


def _compiled(program: Program, step: Step, columns: Columns) -> Survey:
    from varprop.montecarlo import kernels

    z = np.ascontiguousarray(columns.array).reshape(len(columns.array), -1)
    sums = np.empty((len(z), 3))
    tables = np.zeros((4, histograms.KEYS), np.int64)
    shift = np.uint32(histograms.KEY_SHIFT if program.histogram else 0)
    kernels.survey(z, z.view(np.uint32), np.float32(step.low), np.float32(step.high), shift, tables, sums)
    if program.batch == 1:
        columns.accept_squares(sums[:, 1])
    counts = histograms.from_keys(tables.sum(axis=0), step.exponent)
    return Survey(sums[:, 0], counts if program.histogram else counts[:0], sums[:, 2])
