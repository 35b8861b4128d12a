"""What ops with weights share: biases, and the sizes of weight gradients without forming more than is cheap.

The gradient of a weight matrix is ``Σ_t delta_t h_tᵀ``, over the positions of one example or of all. Its squared norm
is the sum of the entries of ``(deltaᵀ delta) ∘ (hᵀ h)``, cheaper than the matrix where there are few columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from varprop.montecarlo.ops._rule import Context, Place
from varprop.montecarlo.samplers.entries import draw_entries
from varprop.montecarlo.samplers.reductions import Columns, dot

if TYPE_CHECKING:
    from varprop.montecarlo.maps import LinearMap

Array = NDArray[Any]


@dataclass(frozen=True)
class Used:
    """A linear map, and the columns that it was multiplied with, for the way back."""

    linear: LinearMap
    columns: Columns


def add_biases(z: Array, place: Place, context: Context) -> Array:
    """Add a bias to every feature of z, in place where z is an array of its own."""
    law = place.op.bias_law(*place.inputs)
    if law.deterministic:
        if law.mean:
            z += z.dtype.type(law.mean)
        return z
    z += draw_entries(law, (context.draws, z.shape[1]), context.noise)[:, :, None]
    return z


def weight_gradients(delta: Columns, h: Columns, examples: int, groups: int = 1) -> tuple[Array, Array, int]:
    """Return each draw's Σ_b |dL_b/dW|², |Σ_b dL_b/dW|², and the number of entries of W.

    Parameters
    ----------
    delta, h : Columns of shape (draws · groups, …, B T)
        Gradient at what the map gave, and what it was multiplied with.
    examples : int
    groups : int
        Independent maps side by side.
    """
    (maps, rows, number), columns = delta.array.shape, h.array.shape[1]
    entries = groups * rows * columns
    grams = number * (rows + columns) < rows * columns
    if grams:
        both = delta.gram * h.gram
        batch = both.sum(axis=(1, 2))
        if examples == 1:
            example = batch
        else:
            positions = number // examples
            blocks = both.reshape(maps, examples, positions, examples, positions)
            example = np.einsum("rbtbs->r", blocks)
    else:
        gradient = np.matmul(delta.array, h.array.swapaxes(-1, -2))
        batch = dot(gradient, gradient)
        example = batch if examples == 1 else _each_example(delta.array, h.array, examples)
    return _by_draw(example, groups), _by_draw(batch, groups), entries


def _each_example(delta: Array, h: Array, examples: int) -> Array:
    (maps, rows, number), columns = delta.shape, h.shape[1]
    positions = number // examples
    if positions == 1:
        outer, inner = (np.einsum("rib,rib->rb", x, x).astype(np.float64) for x in (delta, h))
        return np.asarray((outer * inner).sum(axis=1))
    total = np.zeros(maps)
    for start in range(0, number, positions):
        one, two = (x[:, :, start : start + positions] for x in (delta, h))
        if positions * (rows + columns) < rows * columns:
            products = (np.matmul(x.swapaxes(-1, -2), x).astype(np.float64) for x in (one, two))
            total += np.multiply(*products).sum(axis=(1, 2))
        else:
            gradient = np.matmul(one, two.swapaxes(-1, -2))
            total += dot(gradient, gradient)
    return total


def _by_draw(sums: Array, groups: int) -> Array:
    return sums if groups == 1 else sums.reshape(-1, groups).sum(axis=1)
