"""Orthonormal factors of a group's column vectors, by Cholesky where that is accurate, else by Householder QR.

Both give X = Q R. Cholesky of the Gram matrix is several times cheaper, but loses relative distances
below the root of its precision; so it is used only where every column keeps a good part of its length beside those
before it, in single or in double precision. No rank is ever decided: extra columns of Q do no harm (see `conditional`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from varprop.montecarlo.samplers.products import diagonal, inner, times
from varprop.montecarlo.samplers.reductions import Columns

Array = NDArray[Any]

_LEAST_PART = 1e-3
_SMALL = 8
# With sums in single precision: relative errors of distances stay below about 1e-6.
_ENOUGH = 0.3


@dataclass(frozen=True, eq=False)
class Factors:
    """X = Q R for every draw, with Q = X L⁻ᵀ left unformed after Cholesky.

    Attributes
    ----------
    x : array of shape (draws or 1, n, B)
    r : array of shape (draws or 1, k, B)
        Columns that are zero in X are exactly zero.
    q : array of shape (draws or 1, n, k) or None
        Householder's orthonormal columns.
    inverse : array of float64, shape (draws or 1, k, B) or None
        L⁻¹, so that Qᵀ v = inverse Xᵀ v. Zero columns of X are zero columns of Q, which then is not quite
        orthonormal; nothing is ever projected on them.
    """

    x: Array
    r: Array
    q: Array | None = None
    inverse: Array | None = None

    def project(self, v: Array) -> Array:
        """Return Qᵀ v, float64."""
        if self.q is not None:
            return inner(self.q, v).astype(np.float64)
        assert self.inverse is not None
        return np.matmul(self.inverse, inner(self.x, v))  # type: ignore[no-any-return]

    def expand(self, c: Array) -> Array:
        """Return Q c in the precision of X."""
        dtype = self.x.dtype
        if self.q is not None:
            return times(self.q, c.astype(dtype))
        assert self.inverse is not None
        return times(self.x, np.matmul(self.inverse.swapaxes(-1, -2), c).astype(dtype))


def factor(columns: Columns) -> Factors:
    """Return factors of columns of shape (draws, n, B), B <= n; worked out once for all maps that read them."""
    known: Factors | None = columns.factors
    if known is None:
        known = columns.factors = _factored(columns)
    return known


def _factored(columns: Columns) -> Factors:
    x = columns.distinct
    lower, used = _cholesky(columns)
    if lower is None:
        q, r = np.linalg.qr(x.astype(np.float64, copy=False))
        return Factors(x, _masked(r, used).astype(x.dtype, copy=False), q=q.astype(x.dtype, copy=False))
    r = _masked(lower.swapaxes(-1, -2), used).astype(x.dtype, order="C")
    return Factors(x, r, inverse=_masked(_inverse(lower), used))


def factor_double(x: Array) -> tuple[Array, Array]:
    """Return Q and R of x = Q R in double precision, k = min(n, B) columns; Q = I if B >= n."""
    wide = (x[:1] if x.strides[0] == 0 else x).astype(np.float64)
    rows, batch = wide.shape[1:]
    if batch >= rows:
        return np.broadcast_to(np.eye(rows), (len(wide), rows, rows)), wide
    q, r = np.linalg.qr(wide)
    used = np.asarray(wide.any(axis=1))
    return q, r * used[:, None, :]


def triangular(columns: Columns) -> Array:
    """Return a matrix R with RᵀR = xᵀx, of shape (draws, min(n, B), B)."""
    x = columns.array
    if x.shape[1] <= x.shape[2]:
        return x
    lower, used = _cholesky(columns)
    if lower is None:
        r = np.asarray(np.linalg.qr(x.astype(np.float64, copy=False), mode="r"))
    else:
        r = lower.swapaxes(-1, -2)
    return _masked(r, used).astype(x.dtype, order="C", copy=False)


def _masked(matrix: Array, used: Array) -> Array:
    """Return the matrices with the columns that are not used exactly zero."""
    return matrix if used.all() else matrix * used[:, None, :]


def _cholesky(columns: Columns) -> tuple[Array | None, Array]:
    """Return the columns' lower factor, None if it is not accurate, and which columns are not zero."""
    single = columns.array.dtype == np.float32
    lower, used = _accurate_cholesky(columns.gram, _ENOUGH if single else _LEAST_PART)
    if lower is None and single:
        lower, used = _accurate_cholesky(columns.exact_gram, _LEAST_PART)
    return lower, used


def _inverse(lower: Array) -> Array:
    """Return the inverses of lower triangular matrices, by halves: half of what inverting them as any matrix costs."""
    draws, size, _ = lower.shape
    if size <= _SMALL or size % 2:
        return np.linalg.inv(lower)
    half = size // 2
    corners = _inverse(np.concatenate([lower[:, :half, :half], lower[:, half:, half:]]))
    result = np.zeros_like(lower)
    result[:, :half, :half], result[:, half:, half:] = corners[:draws], corners[draws:]
    result[:, half:, :half] = -corners[draws:] @ (lower[:, half:, :half] @ corners[:draws])
    return result


def _accurate_cholesky(products: Array, least: float) -> tuple[Array | None, Array]:
    own = diagonal(products)
    used = own > 0
    # No inner product is larger than the larger of the two squared lengths.
    if not own.max() < np.inf:
        return None, used
    if not used.all():
        own = np.where(used, own, 1.0)
        products = products.copy()
        diagonal(products)[...] = own
    try:
        lower = np.linalg.cholesky(products)
    except np.linalg.LinAlgError:
        return None, used
    parts = diagonal(lower)
    return (lower if (parts * parts >= least**2 * own).all() else None), used
