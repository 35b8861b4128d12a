"""What is measured at a site on the way back."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from varprop.montecarlo.graphs.program import Spot
from varprop.montecarlo.graphs.sites import column_squares, sum_of_squares
from varprop.montecarlo.ops import Place, Rule
from varprop.montecarlo.samplers.records import Records
from varprop.montecarlo.samplers.reductions import Columns, square_sum
from varprop.montecarlo.scaled import Power, along, shifted
from varprop.spec.ops import Convolution, Dense

Array = NDArray[Any]

_LEAST = 1e-100
"""Squared lengths from here to its inverse may be multiplied with others in double precision."""

_CANCELLED = 16.0
"""Roundings of the largest partial sum below which nothing is left of a sum."""


def measure_gradients(
    spot: Spot, place: Place, rule: Rule, saved: Any, gradient: Columns, records: Records
) -> None:
    """Measure the gradients of the examples' losses at z, and at the weights that made it."""
    g, number, examples = gradient.array, spot.number, place.examples
    squares, power = sum_of_squares(g, column_squares(g))
    records.put("gradient_preactivation", number, squares / g[0].size, power)
    records.put("gradient_squared_norm", number, squares / examples, power)
    if rule.weight_gradients is None:
        return
    near, exponent = _near_one(gradient, squares, power)
    example, batch, entries = rule.weight_gradients(place, saved, near)
    records.put("gradient_weight", number, example / (examples * entries), exponent)
    records.put("gradient_weight_batch", number, batch / (examples**2 * entries), exponent)
    if isinstance(place.op, Dense | Convolution) and place.op.bias:
        sums, own = _bias_squares(g, examples, squares, power)
        records.put("gradient_bias", number, sums / (spot.features * examples), own)


def _near_one(gradient: Columns, squares: Array, power: Power) -> tuple[Columns, Power]:
    """Return gradients whose squares are safe to multiply, and the exponents of those squares."""
    if isinstance(power, int) and squares.min() > _LEAST and squares.max() < 1 / _LEAST:
        return gradient, 0
    usable = np.isfinite(squares) & (squares > 0)
    size = np.frexp(np.where(usable, squares, 1.0))[1].astype(np.int64) + power
    shift = np.where(usable, size // 2, 0)
    return Columns(shifted(gradient.array, along(-shift, 3))), 2 * shift


def _bias_squares(g: Array, examples: int, squares: Array, power: Power) -> tuple[Array, Power]:
    """Return each draw's Σ (Σ_t delta_t)² over features and examples; what rounding alone has left counts as 0.

    Attention's softmax does not change when all logits of a row move alike, so the gradients of keys add up to 0.
    """
    positions = g.shape[2] // examples
    if positions == 1:
        return squares, power
    sums = g.reshape(*g.shape[:2], examples, positions).sum(axis=3)
    own, shift = square_sum(sums) if isinstance(power, int) and sums.any() else (_plain(sums), 0)
    rounding = _CANCELLED * np.finfo(g.dtype).eps
    return np.where(own <= rounding**2 * positions * squares, 0.0, own), shift


def _plain(sums: Array) -> Array:
    wide = sums.reshape(len(sums), -1).astype(np.float64)
    return np.einsum("ri,ri->r", wide, wide)  # type: ignore[no-any-return]


def measure_input(spot: Spot, gradients: Any, records: Records) -> None:
    """Measure the gradient at what a node with weights reads, through this node alone."""
    (g,) = gradients
    squares, power = square_sum(g)
    records.put("gradient_input", spot.number, squares / g[0].size, power)
