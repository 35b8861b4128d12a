"""Second moments that a head is given, and what they say of the logits in each row."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from varprop.analytic.attention.forms import centred
from varprop.analytic.attention.iid_logits import FEWEST
from varprop.analytic.attention.shape import AttentionShape, diagonal_blocks

Array = NDArray[np.float64]

_ROUNDING = 1e-13
"""A row whose keys differ by less, as a share of the largest, sees identical keys."""


@dataclass(frozen=True, eq=False)
class HeadKernels:
    """Second moments per feature of one head's queries, keys and values, shape (N, N) each.

    Attributes
    ----------
    query, key, value : ndarray
    shape : AttentionShape
    common : tuple of two ndarrays
        Second moments whose fluctuations values and keys have in common (see `fluctuation`).
    seed : int
    """

    query: Array
    key: Array
    value: Array
    shape: AttentionShape
    common: tuple[Array, Array]
    seed: int

    @functools.cached_property
    def rows(self) -> RowLogits:
        """Logits of each row."""
        return _row_logits(self)

    @functools.cached_property
    def rotated_key(self) -> Array:
        """Second moment of two keys as one query sees them."""
        kernel = self.shape.kernel()
        return self.key if kernel is None else self.key * kernel


@dataclass(frozen=True, eq=False)
class RowLogits:
    """The second moment of a row's logits, centred on its visible keys: K~ of (B).

    Attributes
    ----------
    keys : ndarray
        n, the visible keys of each row, shape (N,).
    count : ndarray
        Effective number of keys 1 + (tr K~)² / tr K~², between 2 and max(n, 2), shape (N,).
    variance : ndarray
        Variance s² of iid logits that spread alike, shape (N,); 0 where the logits of a row are equal.
    sample_variance : ndarray
        Expected variance of the logits within the row, with divisor n - 1; 0 for a single key.
    deviation : ndarray
        Diagonal of K~ on visible keys less its mean over them, 0 elsewhere, shape (B, T, T).
    """

    keys: Array
    count: Array
    variance: Array
    sample_variance: Array
    deviation: Array


def _row_logits(kernels: HeadKernels) -> RowLogits:
    shape = kernels.shape
    n, inside = shape.visible, shape.inside
    largest = float(np.max(np.diagonal(kernels.key)))
    # On the scale of the largest key, so that squares neither overflow nor vanish.
    scale = largest if largest > 0.0 else 1.0
    k = diagonal_blocks(centred(kernels.rotated_key / scale, shape.blocks), shape.blocks)
    seen = shape.uniform @ k
    mean = np.sum(seen * shape.uniform, axis=-1)
    own = np.where(inside, np.diagonal(k, axis1=-2, axis2=-1)[:, None, :] - 2.0 * seen + mean[..., None], 0.0)
    trace = np.maximum(own.sum(axis=-1).ravel(), 0.0)
    trace = np.where((n < 2.0) | (trace <= _ROUNDING * n), 0.0, trace)
    square = (
        np.sum((inside @ np.square(k)) * inside, axis=-1).ravel()
        - 2.0 * n * np.sum(np.where(inside, np.square(seen), 0.0), axis=-1).ravel()
        + np.square(n * mean.ravel())
    )
    still = trace == 0.0
    count = np.where(still, n, 1.0 + np.square(trace) / np.where(still | (square <= 0.0), 1.0, square))
    count = np.clip(count, FEWEST, np.maximum(n, FEWEST))
    power = np.maximum(np.diagonal(kernels.query), 0.0) * scale
    return RowLogits(
        n,
        count,
        power * trace / n * count / (count - 1.0),
        power * trace / np.maximum(n - 1.0, 1.0),
        np.where(inside, own - own.sum(axis=-1, keepdims=True) / n.reshape(own.shape[:2])[..., None], 0.0)
        * scale,
    )
