"""What one attention head looks at: head size, mask, groups, rotary positions; and sums over its visible keys."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from varprop._validation import InputError, check_integer, described

Array = NDArray[np.float64]

BASE = 10000.0
"""Rotary pair f of d/2 turns by BASE^(-2f/d) from one position to the next (Su et al. 2021, eq. 15)."""

_SLOW = 0.25
"""Frequencies that turn by less than this over all positions act alike and share one node."""


@dataclass(frozen=True, eq=False)
class AttentionShape:
    """Geometry of one head over N = B T columns (examples and positions on one axis, column b T + t).

    Parameters
    ----------
    head_size : int
        d, features of one head.
    mask : ndarray of bool
        Shape (N, N): True where the key of the second index is visible to the query of the first. Each row sees a key.
    groups : int
        Query heads that share one key and value head.
    rotary : ndarray or None
        Shape (N,): positions by which queries and keys are rotated; needs an even d.

    Raises
    ------
    InputError
        If the mask is not square, or hides every key of some row; if sizes do not fit.

    Examples
    --------
    >>> shape = AttentionShape(8, causal(3, 2))
    >>> shape.visible.tolist(), shape.blocks
    ([1.0, 2.0, 3.0, 1.0, 2.0, 3.0], 2)
    """

    head_size: int
    mask: NDArray[np.bool_]
    groups: int = 1
    rotary: Array | None = None

    def __post_init__(self) -> None:
        check_integer("head_size", self.head_size, minimum=1)
        check_integer("groups", self.groups, minimum=1)
        if self.mask.ndim != 2 or self.mask.shape[0] != self.mask.shape[1] or self.mask.dtype != np.bool_:
            found = described(f"an array of shape {self.mask.shape} and type {self.mask.dtype}")
            raise InputError("mask", found, "a square array of booleans")
        if not self.mask.any(axis=1).all():
            blind = int(np.flatnonzero(~self.mask.any(axis=1))[0])
            raise InputError(
                "mask", described(f"row {blind} without a visible key"), "one at least in each row"
            )
        if self.rotary is not None:
            if self.head_size % 2:
                raise InputError(
                    "head_size", self.head_size, "an even number where queries and keys are rotated"
                )
            if self.rotary.shape != self.mask.shape[:1]:
                found = described(f"positions of shape {self.rotary.shape}")
                raise InputError("rotary", found, f"one position for each of {self.mask.shape[0]} columns")

    @functools.cached_property
    def visible(self) -> Array:
        """Number of keys that each row sees, shape (N,)."""
        return np.asarray(self.mask.sum(axis=1), dtype=np.float64)

    @functools.cached_property
    def blocks(self) -> int:
        """Number B of equal diagonal blocks outside of which nothing is visible: as many as there are."""
        n = self.mask.shape[0]
        rows, columns = np.nonzero(self.mask)
        # crossing[i] > 0: some query and its key lie on both sides of the border before column i.
        crossing = np.zeros(n + 1)
        np.add.at(crossing, np.minimum(rows, columns) + 1, 1.0)
        np.add.at(crossing, np.maximum(rows, columns) + 1, -1.0)
        cut = np.cumsum(crossing)[:n] == 0
        return int(next(n // size for size in range(1, n + 1) if n % size == 0 and cut[::size].all()))

    @functools.cached_property
    def inside(self) -> NDArray[np.bool_]:
        """The mask within its blocks, shape (B, T, T)."""
        return np.asarray(diagonal_blocks(self.mask, self.blocks))

    @functools.cached_property
    def uniform(self) -> Array:
        """Attention without logits: 1 / visible on visible keys, shape (B, T, T)."""
        return np.asarray(self.inside / self.inside.sum(axis=-1, keepdims=True), dtype=np.float64)

    @functools.cached_property
    def frequencies(self) -> Array:
        """Angle per position of each rotary pair, shape (d/2,); one angle 0 without rotation."""
        if self.rotary is None:
            return np.zeros(1)
        return np.asarray(BASE ** (-2.0 * np.arange(self.head_size // 2) / self.head_size))

    def nodes(self, most: int) -> tuple[Array, Array]:
        """Return at most `most` angles, with weights, whose average stands for the average over rotary pairs."""
        if self.rotary is None:
            return np.zeros(1), np.ones(1)
        angles = self.frequencies
        slow = angles * np.ptp(self.rotary) < _SLOW
        found = angles[~slow]
        weights = np.ones(found.size)
        keep = max(most - int(slow.any()), 1)
        if found.size > keep:
            group = np.arange(found.size) * keep // found.size
            weights = np.bincount(group).astype(np.float64)
            middle = np.searchsorted(group, np.arange(keep)) + (weights.astype(np.int64) - 1) // 2
            found = found[middle]
        if slow.any():
            found = np.append(found, np.sqrt(np.mean(np.square(angles[slow]))))
            weights = np.append(weights, float(slow.sum()))
        return found, weights / weights.sum()

    def kernel(self) -> Array | None:
        """Return the average of cos(angle (s - s')) over rotary pairs, shape (N, N); None without rotation."""
        if self.rotary is None:
            return None
        turns = np.exp(1j * np.multiply.outer(self.rotary, self.frequencies))
        return np.asarray((turns @ turns.conj().T).real / self.frequencies.size)

    def turns(self, angle: float | Array) -> tuple[Array, Array]:
        """Return cos and sin of angle (s - s'), shape (..., N, N) each, for angles of shape (...)."""
        at = np.zeros(self.mask.shape[0]) if self.rotary is None else self.rotary
        difference = np.asarray(angle)[..., None, None] * np.subtract.outer(at, at)
        return np.cos(difference), np.sin(difference)


def causal(tokens: int, examples: int = 1) -> NDArray[np.bool_]:
    """Return the mask of `examples` sequences in which a query sees the keys up to its own.

    Examples
    --------
    >>> causal(2).tolist()
    [[True, False], [True, True]]
    """
    return np.kron(np.eye(examples, dtype=bool), np.tri(tokens, dtype=bool))


def unmasked(tokens: int, examples: int = 1) -> NDArray[np.bool_]:
    """Return the mask of `examples` sequences in which every query sees every key of its example.

    Examples
    --------
    >>> unmasked(2, 2).sum(axis=1).tolist()
    [2, 2, 2, 2]
    """
    return np.kron(np.eye(examples, dtype=bool), np.ones((tokens, tokens), dtype=bool))


def diagonal_blocks(matrix: NDArray, blocks: int) -> NDArray:  # type: ignore[type-arg]
    """Return the diagonal blocks of (..., N, N), shape (..., B, T, T)."""
    size = matrix.shape[-1] // blocks
    cells = matrix.reshape(*matrix.shape[:-2], blocks, size, blocks, size)
    return np.moveaxis(np.diagonal(cells, axis1=-4, axis2=-2), -1, -3)
