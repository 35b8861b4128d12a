"""What the layers of trained networks look like at one step: sizes, saturation, gradients, rank, twins."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from varprop.training.stack import Stack

Array = NDArray[Any]

TOLERANCE = 1e-9
"""Rows closer than this share of the largest entry are equal; singular values below this share are 0."""


def layer_statistics(stack: Stack, activations: list[Any], y: Array, share: float) -> list[dict[str, Array]]:
    """Return, for each layer, one number per network for the examples of the last `forward`.

    Parameters
    ----------
    stack : Stack
        After ``stack.forward(x)``.
    activations : list of Activation
        Of all layers, the last included (it defines that layer's saturation).
    y : ndarray
        Targets of the same examples.
    share : float
        Share of the largest slope that defines saturation.

    Returns
    -------
    list of dict
        Keys as the columns of `Training.layers`; each value has shape (networks,).
    """
    examples = stack.preactivations[0].shape[-1]
    gradients = [g / examples for g in stack.gradients(y)]
    rows = []
    for theta, z, gradient, activation in zip(
        stack.parameters, stack.preactivations, gradients, activations, strict=True
    ):
        inactive = activation.is_inactive(z)
        rows.append(
            {
                "preactivation_mean": z.mean(axis=(1, 2)),
                "preactivation_variance": z.var(axis=(1, 2)),
                "saturated_fraction": activation.is_saturated(z, share).mean(axis=(1, 2)),
                "inactive_fraction": inactive.mean(axis=(1, 2)),
                "dead_fraction": inactive.all(axis=2).mean(axis=1),
                "gradient_weight_norm": _norm(gradient[:, :, :-1]),
                "gradient_bias_norm": _norm(gradient[:, :, -1:]),
                "weight_norm": _norm(theta[:, :, :-1]),
                "rank": ranks(theta[:, :, :-1]),
                "distinct_units": np.array([distinct_rows(own) for own in theta]),
            }
        )
    return rows


def ranks(weights: Array, floor: float = 0.0) -> Array:
    """Return the rank of each matrix of a batch (…, m, n).

    A singular value counts if it exceeds `TOLERANCE` times the largest of its matrix, and `floor`. A matrix
    that is not finite has rank -1.
    """
    finite: Array = np.asarray(np.isfinite(weights).all(axis=(-1, -2)))
    safe = np.where(finite[..., None, None], weights, 0).astype(np.float64)
    values: Array = np.linalg.svd(safe, compute_uv=False)
    bar = np.maximum(TOLERANCE * values.max(axis=-1, keepdims=True), floor)
    return np.where(finite, (values > bar).sum(axis=-1), -1)


def distinct_rows(matrix: Array, floor: float = 0.0) -> int:
    """Return how many rows of `matrix` (m, n) differ from every row above them.

    Two rows are equal if no entry differs by more than `TOLERANCE` times the largest entry of the matrix,
    or by more than `floor`. Rows that are not finite equal nothing.

    Examples
    --------
    >>> distinct_rows(np.array([[1.0, 2.0], [1.0, 2.0], [0.0, 2.0]]))
    2
    """
    bar = max(TOLERANCE * float(np.abs(matrix).max()), floor)
    known = matrix[:1]
    for row in matrix[1:]:
        if not (np.abs(known - row).max(axis=1) <= bar).any():
            known = np.vstack([known, row])
    return len(known)


def _norm(arrays: Array) -> Array:
    """Frobenius norm of each matrix, accumulated in double precision."""
    return np.asarray(np.sqrt(np.square(arrays, dtype=np.float64).sum(axis=(1, 2))))
