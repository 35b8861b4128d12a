"""Convolutions: a linear map of patches, or the adjoint of one.

A convolution multiplies the columns of patches, of ``features / groups · window`` rows and one column per window, by
its weights; groups are independent maps side by side. A transposed one maps every position to a window, and windows
that overlap add up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from varprop.montecarlo.maps import draw_map
from varprop.montecarlo.ops._rule import Context, Place, Rule, register
from varprop.montecarlo.ops._weights import Used, add_biases, weight_gradients
from varprop.montecarlo.ops.windows import Windows
from varprop.montecarlo.samplers.entries import draw_entries
from varprop.montecarlo.samplers.reductions import Columns
from varprop.spec.ops import Convolution

Array = NDArray[Any]


def _windows(place: Place) -> Windows:
    """Return the windows, which slide over the input, or over the output of a transposed convolution."""
    before, after = place.inputs[0].positions, place.output.positions
    slid, number = (after, before) if place.op.transposed else (before, after)
    return Windows(slid, number, **place.op.geometry(before))


def _folded(x: Array, groups: int) -> Array:
    """Return (draws, features, …) as (draws · groups, features / groups · …, N)."""
    return x.reshape(len(x) * groups, -1, x.shape[-1])


def _columns(place: Place, values: Columns) -> Columns:
    """Return what the weights are multiplied with."""
    groups = place.op.groups
    x = values.array if groups > 1 else values.distinct
    if not place.op.transposed:
        x = _windows(place).gather(np.ascontiguousarray(x), place.examples)
    elif groups == 1:
        return values
    folded = _folded(x, groups)
    if groups == 1 and len(folded) < len(values.array):
        folded = np.broadcast_to(folded, (len(values.array), *folded.shape[1:]))
    return Columns(folded)


def _forward(place: Place, inputs: Sequence[Columns], context: Context) -> tuple[Array, Any]:
    op: Convolution = place.op
    law, windows, columns = op.weight_law(*place.inputs), _windows(place), _columns(place, inputs[0])
    draws, width = len(inputs[0].array), place.inputs[0].features // op.groups
    dtype = columns.array.dtype

    def draw() -> Array:
        weights = draw_entries(law, (draws, op.channels, width * windows.size), context.noise)
        if op.transposed:
            weights = weights.reshape(draws, op.channels, width, windows.size).swapaxes(-1, -2)
        rows = op.channels // op.groups * (windows.size if op.transposed else 1)
        return weights.reshape(draws * op.groups, rows, -1).astype(dtype, copy=False)

    linear = draw_map(
        law,
        columns,
        op.channels // op.groups * (windows.size if op.transposed else 1),
        context.noise,
        explicit=context.explicit,
        keep=context.keep,
        whole=op.groups == 1 and not op.transposed,
        draw=draw,
    )
    z = linear.forward()
    if op.transposed:
        z = windows.scatter(z.reshape(draws, op.channels, windows.size, -1), place.examples)
    z = z.reshape(draws, op.channels, -1)
    return add_biases(z, place, context), Used(linear, columns)


def _delta(place: Place, gradient: Columns) -> Columns:
    """Return the gradient at what the weights' product gave."""
    if not place.op.transposed and place.op.groups == 1:
        return gradient
    g = gradient.array
    if place.op.transposed:
        g = _windows(place).gather(g, place.examples)
    return Columns(_folded(g, place.op.groups))


def _vjp(place: Place, saved: Used, gradient: Columns, context: Context) -> Sequence[Array]:
    draws, features = len(gradient.array), place.inputs[0].features
    back = saved.linear.backward(_delta(place, gradient))
    if place.op.transposed:
        return [back.reshape(draws, features, -1)]
    windows = _windows(place)
    return [windows.scatter(back.reshape(draws, features, windows.size, -1), place.examples)]


def _weights(place: Place, saved: Used, gradient: Columns) -> tuple[Array, Array, int]:
    return weight_gradients(_delta(place, gradient), saved.columns, place.examples, place.op.groups)


register(Convolution, Rule(_forward, _vjp, weight_gradients=_weights))
