"""Haar-orthogonal weights as far as they are used; the derivation stands in `conditional`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from varprop.montecarlo.normals import Noise
from varprop.montecarlo.samplers.factors import factor_double
from varprop.montecarlo.samplers.reductions import Columns, dot

Array = NDArray[Any]


def haar_map(h: Array, rows: int, gain: float, noise: Noise) -> HaarVector | HaarMap:
    """Draw ``gain`` times a corner of a Haar-distributed orthogonal matrix, as far as ``W h`` needs it.

    Parameters
    ----------
    h : array of shape (draws, n_in, B)
    rows : int
        n_out.
    gain : float
    noise : Noise
    """
    kind = HaarVector if h.shape[2] == 1 else HaarMap
    return kind(h, rows, gain, noise)


class HaarVector:
    """One input: Q is h/|h|, H a uniform point on the sphere."""

    def __init__(self, h: Array, rows: int, gain: float, noise: Noise) -> None:
        draws, columns, _ = h.shape
        self.gain, self.noise, self.rows, self.columns = gain, noise, rows, columns
        self.order = max(rows, columns)
        length = np.sqrt(dot(h, h))
        inverse = np.divide(1.0, length, out=np.zeros_like(length), where=length > 0)
        self.q: Array = h[:, :, 0] * inverse.astype(h.dtype)[:, None]
        # Any direction serves where h = 0; it must be one, since W keeps lengths.
        self.q[length == 0, 0] = 1.0
        self.image = _unit(noise.normal((draws, self.order)))
        self.length = length

    def forward(self) -> Array:
        """Return W X."""
        scale = (self.gain * self.length).astype(self.image.dtype)
        product: Array = self.image[:, : self.rows] * scale[:, None]
        return product[:, :, None]

    def backward(self, columns: Columns) -> Array:
        """Return Wᵀ delta."""
        delta = columns.array[:, :, 0]
        inside, outside = self.image[:, : self.rows], self.image[:, self.rows :]
        along = dot(inside, delta)
        narrow = along.astype(delta.dtype)[:, None]
        rest = delta - inside * narrow
        size = np.sqrt(dot(rest, rest) + along**2 * dot(outside, outside))
        result: Array = self.q * narrow
        if self.order > 1:
            fresh = self.noise.normal((len(delta), self.order))
            own = fresh[:, : self.columns]
            own -= self.q * dot(own, self.q).astype(own.dtype)[:, None]
            result += _unit(fresh)[:, : self.columns] * size.astype(delta.dtype)[:, None]
        result *= result.dtype.type(self.gain)
        return result[:, :, None]


class HaarMap:
    """Several inputs."""

    def __init__(self, h: Array, rows: int, gain: float, noise: Noise) -> None:
        draws, columns, batch = h.shape
        self.gain, self.noise, self.rows, self.columns, self.dtype = gain, noise, rows, columns, h.dtype
        self.order = max(rows, columns)
        self.rank = min(columns, batch)
        self.q, self.r = factor_double(h)
        self.image = _orthonormal(noise.normal((draws, self.order, self.rank)))

    def forward(self) -> Array:
        """Return W X."""
        product: Array = self.gain * np.matmul(self.image[:, : self.rows], self.r)
        return product.astype(self.dtype)

    def backward(self, columns: Columns) -> Array:
        """Return Wᵀ delta."""
        delta = columns.array.astype(np.float64, copy=False)
        draws, _, batch = delta.shape
        padded = np.zeros((draws, self.order, batch))
        padded[:, : self.rows] = delta
        along = np.zeros((draws, self.rank, batch))
        for _ in range(2):  # once more, because the first remainder may be all rounding
            part = np.matmul(self.image.swapaxes(-1, -2), padded)
            padded -= np.matmul(self.image, part)
            along += part
        result: Array = np.matmul(self.q, along)
        free = min(batch, self.order - self.rank)
        if free:
            fresh = self._complement(self.noise.normal((draws, self.order, free)).astype(np.float64))
            result += np.matmul(fresh[:, : self.columns], _square_root(padded, free))
        return (self.gain * result).astype(self.dtype, copy=False)

    def _complement(self, fresh: Array) -> Array:
        """Return a uniform orthonormal matrix in the complement of Q, from Gaussian columns."""
        for _ in range(2):
            own = fresh[:, : self.columns]
            own -= np.matmul(self.q, np.matmul(self.q.swapaxes(-1, -2), own))
        return _orthonormal(fresh)


def _square_root(e: Array, rows: int) -> Array:
    """Return S of shape (draws, rows, B) with SᵀS = eᵀe, whose rank is at most `rows`."""
    if rows == e.shape[2]:
        return np.asarray(np.linalg.qr(e, mode="r"))
    held = np.asarray(np.isfinite(e).reshape(len(e), -1).all(axis=1))
    _, s, vt = np.linalg.svd(np.where(held[:, None, None], e, 0.0), full_matrices=False)
    result: Array = s[:, :rows, None] * vt[:, :rows]
    result[~held] = np.nan
    return result


def _orthonormal(gaussian: Array) -> Array:
    """Return the Q of QR with the signs that make R's diagonal positive (Mezzadri 2007), float64."""
    q, r = np.linalg.qr(gaussian.astype(np.float64, copy=False))
    signs = np.where(np.diagonal(r, axis1=1, axis2=2) < 0, -1.0, 1.0)
    return q * signs[:, None, :]


def _unit(v: Array) -> Array:
    v /= np.sqrt(dot(v, v)).astype(v.dtype)[:, None]
    return v
