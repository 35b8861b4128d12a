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

from varprop.montecarlo.samplers.reductions import Columns

Array = NDArray[Any]

_LEAST_PART = 1e-3
# With sums in single precision: relative errors of distances stay below about 1e-6.
_ENOUGH = 0.3


@dataclass(frozen=True, eq=False)
class Factors:
    """X = Q R for every draw, with Q = X C⁻¹ L⁻ᵀ left unformed after Cholesky.

    Attributes
    ----------
    x : array of shape (draws or 1, n, B)
    r : array of shape (draws or 1, k, B)
        Columns that are zero in X are exactly zero.
    q : array of shape (draws or 1, n, k) or None
        Householder's orthonormal columns.
    inverse : array of float64, shape (draws or 1, k, B) or None
        L⁻¹ C⁻¹, so that Qᵀ v = inverse Xᵀ v. Zero columns of X are zero columns of Q, which then is not quite
        orthonormal; nothing is ever projected on them.
    """

    x: Array
    r: Array
    q: Array | None = None
    inverse: Array | None = None

    def project(self, v: Array) -> Array:
        """Return Qᵀ v, float64."""
        if self.q is not None:
            result: Array = np.matmul(self.q.swapaxes(-1, -2), v).astype(np.float64)
            return result
        assert self.inverse is not None
        return np.matmul(self.inverse, np.matmul(self.x.swapaxes(-1, -2), v))  # type: ignore[no-any-return]

    def expand(self, c: Array) -> Array:
        """Return Q c in the precision of X."""
        dtype = self.x.dtype
        if self.q is not None:
            return np.matmul(self.q, c.astype(dtype))  # type: ignore[no-any-return]
        assert self.inverse is not None
        inner = np.matmul(self.inverse.swapaxes(-1, -2), c).astype(dtype)
        return np.matmul(self.x, inner)  # type: ignore[no-any-return]


def factor(columns: Columns) -> Factors:
    """Return factors of columns of shape (draws, n, B), B <= n."""
    x = columns.distinct
    lower, length = _cholesky(columns)
    if lower is None:
        q, r = np.linalg.qr(x.astype(np.float64, copy=False))
        r *= (length > 0)[:, None, :]
        return Factors(x, r.astype(x.dtype, copy=False), q=q.astype(x.dtype, copy=False))
    r = (lower.swapaxes(-1, -2) * length[:, None, :]).astype(x.dtype)
    inverse_length = np.divide(1.0, length, out=np.zeros_like(length), where=length > 0)
    inverse = np.linalg.inv(lower) * inverse_length[:, None, :]
    return Factors(x, r, inverse=inverse)


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
    lower, length = _cholesky(columns)
    if lower is None:
        r = np.asarray(np.linalg.qr(x.astype(np.float64, copy=False), mode="r")) * (length > 0)[:, None, :]
    else:
        r = lower.swapaxes(-1, -2) * length[:, None, :]
    return r.astype(x.dtype, copy=False)


def _cholesky(columns: Columns) -> tuple[Array | None, Array]:
    """Return the lower factor of the columns' cosines, None if it is not accurate, and the columns' lengths."""
    single = columns.array.dtype == np.float32
    lower, length = _scaled_cholesky(columns.gram, _ENOUGH if single else _LEAST_PART)
    if lower is None and single:
        lower, length = _scaled_cholesky(columns.exact_gram, _LEAST_PART)
    return lower, length


def _scaled_cholesky(products: Array, least: float) -> tuple[Array | None, Array]:
    length = np.sqrt(np.maximum(np.diagonal(products, axis1=1, axis2=2), 0.0))
    inverse = np.divide(1.0, length, out=np.zeros_like(length), where=length > 0)
    cosine = products * inverse[:, :, None]
    cosine *= inverse[:, None, :]
    places = np.arange(products.shape[1])
    cosine[:, places, places] = 1.0
    if not np.isfinite(cosine).all():
        return None, length
    try:
        lower = np.linalg.cholesky(cosine)
    except np.linalg.LinAlgError:
        return None, length
    return (None if lower[:, places, places].min() < least else lower), length
