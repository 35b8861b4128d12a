"""One group of networks, forward and backward, with every quantity measured on the way.

The walk knows nothing of weights: it asks `Maps` for W h and Wᵀ delta. Activations are kept as
``h · 2**shift`` with one whole number per draw, and gradients likewise, so that neither a vanishing nor an
exploding network leaves the range while a power of two can be taken out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from varprop.montecarlo.histograms import BINS
from varprop.montecarlo.normals import Noise
from varprop.montecarlo.samplers import heads
from varprop.montecarlo.samplers.entries import draw_biases
from varprop.montecarlo.samplers.forward import measure
from varprop.montecarlo.samplers.products import diagonal
from varprop.montecarlo.samplers.program import Program, Step
from varprop.montecarlo.samplers.records import Records
from varprop.montecarlo.samplers.reductions import Columns, NeedsDouble, dot, square_sum
from varprop.montecarlo.samplers.watch import Watch
from varprop.montecarlo.scaled import Power, along, shifted

if TYPE_CHECKING:
    from varprop.initializers import Law

Array = NDArray[Any]

_NEAR = 2.0**80
"""Mean squares within 1/_NEAR … _NEAR need no rescaling."""

_APART = 40
"""Binary exponents by which a bias may exceed the unit of what it is added to."""


class Maps(Protocol):
    """The linear maps of a group of networks, each used once forward and once backward."""

    def forward(self, step: Step, columns: Columns) -> Array:
        """Return W h, shape (draws, fan_out, B)."""

    def backward(self, step: Step, columns: Columns) -> Array:
        """Return Wᵀ delta, shape (draws, fan_in, B)."""


@dataclass(frozen=True, eq=False)
class Trace:
    """What the way back needs of a layer: its input and its activation's slopes."""

    h: Columns
    shift: Power
    slope: Array


def walk(
    program: Program,
    maps: Maps,
    noise: Noise,
    draws: int,
    *,
    backward: bool = True,
    watch: Watch | None = None,
) -> tuple[Records, Array]:
    """Draw `draws` networks.

    Parameters
    ----------
    program : Program
    maps : Maps
    noise : Noise
    draws : int
    backward : bool
        Whether gradients are drawn.
    watch : Watch, optional
        Is shown every layer.

    Returns
    -------
    records : Records
        Every quantity of every draw.
    counts : array of int64, shape (depth, bins)
        Histograms.

    Raises
    ------
    NeedsDouble
        If single precision does not suffice; the caller repeats the group in double precision.
    """
    records = Records(draws, program.depth)
    counts = np.zeros((program.depth, BINS if program.histogram else 0), np.int64)
    scaled, power = program.scaled_input
    x = scaled.astype(noise.dtype)
    h: Array = np.broadcast_to(x, (draws, *x.shape))
    shift: Power = np.full(draws, power, np.int64) if power else 0
    traces = []
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        columns = Columns(h)
        for step in program.steps:
            w = maps.forward(step, columns)
            if program.copies is not None:
                w = w[:, :, program.copies]
            y, own_shift = _beside(step.bias, w, shift)
            if not step.bias.deterministic:
                r = draw_biases(step, draws, noise)
                y = y + shifted(r, along(-own_shift, 2))[:, :, None]
            value, slope, out_shift = measure(program, step, y, own_shift, records, counts)
            if watch is not None:
                watch.layer(step, columns, w, shift, value.array, slope, out_shift)
            traces.append(Trace(columns, shift, slope))
            columns, shift = rescaled(value, out_shift)
        delta, shift, loss = heads.start(program, value.array, out_shift, slope, noise)
        if loss is not None:
            records.put("initial_loss", program.depth, *loss)
        if watch is not None:
            watch.head(None if loss is None else delta, shift)
        if backward:
            _walk_back(program, maps, records, traces, Columns(delta), shift)
    records.finish()
    return records, counts


def _beside(bias: Law, w: Array, shift: Power) -> tuple[Array, Power]:
    """Return W h and its exponents in units in which a bias, too, stays in range: those of the larger of the two."""
    size = max(bias.std, abs(bias.mean))
    if isinstance(shift, int) or not size:
        return w, shift
    power = math.frexp(size)[1]
    new = np.where(shift < power - _APART, power, shift)
    moved = shift - new
    if not moved.any():
        return w, shift
    if w.dtype == np.float32:
        raise NeedsDouble
    return shifted(w, along(moved, 3)), new


def _walk_back(
    program: Program, maps: Maps, records: Records, traces: list[Trace], columns: Columns, shift: Power
) -> None:
    batch = program.batch
    for step, trace in zip(reversed(program.steps), reversed(traces), strict=True):
        number, entries = step.number, step.fan_in * step.fan_out
        size, power = columns.squares
        records.put("gradient_preactivation", number, size / (step.fan_out * batch), 2 * shift + power)
        records.put("gradient_bias", number, size / (step.fan_out * batch), 2 * shift + power)
        both = 2 * (shift + trace.shift)
        if batch == 1:
            inner, inner_power = trace.h.squares
            records.put("gradient_weight", number, size * inner / entries, both + power + inner_power)
            records.put("gradient_weight_batch", number, size * inner / entries, both + power + inner_power)
        else:
            example, mean = weight_gradients(columns, trace.h)
            records.put("gradient_weight", number, example / (batch * entries), both)
            records.put("gradient_weight_batch", number, mean / (batch**2 * entries), both)
        delta = maps.backward(step, columns)
        size, power = square_sum(delta)
        records.put("gradient_input", number, size / (step.fan_in * batch), 2 * shift + power)
        if number > 1:
            delta *= traces[number - 2].slope
            columns, shift = rescaled(Columns(delta), shift)


def weight_gradients(delta: Columns, h: Columns) -> tuple[Array, Array]:
    """Return each draw's Σ_b |delta_b h_bᵀ|² and |Σ_b delta_b h_bᵀ|² without forming more than is cheap."""
    (_, rows, batch), columns = delta.array.shape, h.array.shape[1]
    if batch * (rows + columns) < rows * columns:
        return (diagonal(delta.gram) * diagonal(h.gram)).sum(axis=1), (delta.gram * h.gram).sum(axis=(1, 2))
    outer = np.einsum("rib,rib->rb", delta.array, delta.array)
    inner = np.einsum("rjb,rjb->rb", h.array, h.array)
    gradient = np.matmul(delta.array, h.array.swapaxes(-1, -2))
    return (outer.astype(np.float64) * inner).sum(axis=1), dot(gradient, gradient)


def rescaled(columns: Columns, shift: Power) -> tuple[Columns, Power]:
    """Take powers of two out of the draws that are far from 1; exact zeros stay."""
    size, exponent = columns.squares
    mean_square = shifted(size / columns.array[0].size, exponent)
    if mean_square.min() > 1 / _NEAR and mean_square.max() < _NEAR:
        return columns, shift
    usable = np.isfinite(mean_square) & (mean_square > 0)
    power = np.where(usable, np.frexp(np.sqrt(np.where(usable, mean_square, 1.0)))[1], 0).astype(np.int64)
    power = np.where((mean_square < 1 / _NEAR) | (mean_square > _NEAR), power, 0)
    if not power.any():
        return columns, shift
    return Columns(shifted(columns.array, -power[:, None, None])), shift + power
