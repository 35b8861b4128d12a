"""Random linear maps: drawn entry by entry, or only as far as they are used.

Weights enter a network through linear maps alone. A map is used once forward, Z = W X, and once backward, Wᵀ D. Where
the number of columns of X is below that of W and the law allows it, W is never formed: see
`varprop.montecarlo.samplers.conditional`, whose maps are used here as they are. Everything else is drawn explicitly.
Both give the same joint law.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from varprop.montecarlo.samplers.conditional import GaussianMap, SingleMap
from varprop.montecarlo.samplers.entries import draw_entries
from varprop.montecarlo.samplers.haar import haar_map
from varprop.montecarlo.samplers.reductions import Columns

if TYPE_CHECKING:
    from varprop.initializers import Law
    from varprop.montecarlo.normals import Noise

Array = NDArray[Any]


class LinearMap(Protocol):
    """The weights of one op, as far as they are known."""

    def forward(self) -> Array:
        """Return W X; call it once."""

    def backward(self, columns: Columns) -> Array:
        """Return Wᵀ D; call it once."""


def weight_free(law: Law, columns: int, number: int, *, whole: bool = True) -> bool:
    """Say whether a map of a law need not be formed.

    Parameters
    ----------
    law : Law
    columns : int
        Of the matrix, its fan_in.
    number : int
        Columns that it is multiplied with.
    whole : bool
        Whether the map is the whole matrix of the law, as laws of whole matrices need.
    """
    if law.family == "constant":
        return True
    return number < columns and (law.family == "normal" or (law.family == "orthogonal" and whole))


class ConstantMap:
    """Weights that are all the same number."""

    def __init__(self, columns: Columns, rows: int, value: float) -> None:
        self.h, self.rows, self.value = columns.array, rows, value

    def forward(self) -> Array:
        """Return W X."""
        return _rank_one(self.h, self.rows, self.value)

    def backward(self, columns: Columns) -> Array:
        """Return Wᵀ D."""
        return _rank_one(columns.array, self.h.shape[1], self.value)


class ShiftedMap:
    """Another map whose entries have a mean beside."""

    def __init__(self, inner: LinearMap, columns: Columns, rows: int, mean: float) -> None:
        self.inner, self.mean = inner, ConstantMap(columns, rows, mean)

    def forward(self) -> Array:
        """Return W X."""
        return self.inner.forward() + self.mean.forward()

    def backward(self, columns: Columns) -> Array:
        """Return Wᵀ D."""
        return self.inner.backward(columns) + self.mean.backward(columns)


def _rank_one(x: Array, rows: int, value: float) -> Array:
    shape = (len(x), rows, x.shape[2])
    if not value:
        return np.zeros(shape, x.dtype)
    return np.broadcast_to(x.sum(axis=1, keepdims=True) * x.dtype.type(value), shape).copy()


class ExplicitMap:
    """Weights drawn entry by entry.

    Parameters
    ----------
    columns : Columns
    draw : callable
        Returns the matrices, shape (draws, rows, columns).
    noise : Noise
    keep : bool
        Keep the matrices for the way back. Otherwise the generator's state is kept and they are drawn again, bit for
        bit.
    """

    def __init__(self, columns: Columns, draw: Callable[[], Array], noise: Noise, keep: bool) -> None:
        self.h, self.draw, self.bits = columns.array, draw, noise.rng.bit_generator
        self.state: Any = None if keep else self.bits.state
        self.weights: Any = draw()

    def forward(self) -> Array:
        """Return W X."""
        product: Array = np.matmul(self.weights, self.h)
        if self.state is not None:
            self.weights = None
        return product

    def backward(self, columns: Columns) -> Array:
        """Return Wᵀ D."""
        weights = self.weights
        if weights is None:
            now = self.bits.state
            self.bits.state = self.state
            weights = self.draw()
            self.bits.state = now
        return np.matmul(weights.swapaxes(-1, -2), columns.array)  # type: ignore[no-any-return]


def draw_map(
    law: Law,
    columns: Columns,
    rows: int,
    noise: Noise,
    *,
    explicit: bool,
    keep: bool,
    whole: bool = True,
    draw: Callable[[], Array] | None = None,
) -> LinearMap:
    """Draw a random matrix with `rows` rows as far as it is used on some columns.

    Parameters
    ----------
    law : Law
        Of an entry, or of the whole matrix.
    columns : Columns
        What it multiplies, shape (draws, columns of the matrix, N).
    rows : int
    noise : Noise
    explicit : bool
        Draw every entry even where that is not needed.
    keep : bool
        Keep explicit matrices for the way back.
    whole : bool
        Whether the map is the whole matrix of the law.
    draw : callable, optional
        Draws the explicit matrices, where they are not simply `rows` × columns entries.
    """
    h = columns.array
    if law.family == "constant":
        return ConstantMap(columns, rows, law.mean)
    if explicit or not weight_free(law, h.shape[1], h.shape[2], whole=whole):

        def plain() -> Array:
            return draw_entries(law, (len(h), rows, h.shape[1]), noise).astype(h.dtype, copy=False)

        return ExplicitMap(columns, draw or plain, noise, keep)
    if law.family == "orthogonal":
        return haar_map(h, rows, law["gain"], noise)
    kind = SingleMap if h.shape[2] == 1 else GaussianMap
    drawn = kind(columns, rows, law["std"], noise)
    return ShiftedMap(drawn, columns, rows, law.mean) if law.mean else drawn
