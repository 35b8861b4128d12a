"""A dense map at every position."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from varprop.montecarlo.maps import draw_map
from varprop.montecarlo.ops._rule import Context, Place, Rule, register
from varprop.montecarlo.ops._weights import Used, add_biases, weight_gradients
from varprop.montecarlo.samplers.reductions import Columns
from varprop.spec.ops import Dense

Array = NDArray[Any]


def _forward(place: Place, inputs: Sequence[Columns], context: Context) -> tuple[Array, Any]:
    (columns,) = inputs
    linear = draw_map(
        place.op.weight_law(*place.inputs),
        columns,
        place.output.features,
        context.noise,
        explicit=context.explicit,
        keep=context.keep,
    )
    return add_biases(linear.forward(), place, context), Used(linear, columns)


def _vjp(place: Place, saved: Used, gradient: Columns, context: Context) -> Sequence[Array]:
    return [saved.linear.backward(gradient)]


def _weights(place: Place, saved: Used, gradient: Columns) -> tuple[Array, Array, int]:
    return weight_gradients(gradient, saved.columns, place.examples)


register(Dense, Rule(_forward, _vjp, weight_gradients=_weights))
