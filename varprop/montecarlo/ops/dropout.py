"""Dropout as in training: an independent mask for every entry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from varprop.montecarlo.ops._rule import Context, Place, Rule, register
from varprop.montecarlo.samplers.reductions import Columns
from varprop.spec.ops import Dropout

Array = NDArray[Any]


def _forward(place: Place, inputs: Sequence[Columns], context: Context) -> tuple[Array, Any]:
    x, rate = inputs[0].array, place.op.rate
    if not rate:
        return x, None
    kept = context.noise.uniform(x.shape, 0.0, 1.0) >= rate
    return _masked(x, kept, rate), kept


def _vjp(place: Place, saved: Any, gradient: Columns, context: Context) -> Sequence[Array]:
    return [gradient.array if saved is None else _masked(gradient.array, saved, place.op.rate)]


def _masked(x: Array, kept: Array, rate: float) -> Array:
    return np.asarray(x * kept * x.dtype.type(1 / (1 - rate)))


register(Dropout, Rule(_forward, _vjp))
