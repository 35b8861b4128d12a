"""Moments of a tensor, accumulated in float64, in four passes over it.

An activation is seen as a matrix: one row an example, one column a unit (a channel's position counts as a unit).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class TensorMoments:
    """First and second moments per example, and the variance over examples.

    Attributes
    ----------
    mean, second_moment : ndarray, shape (examples,)
        Over the units of each example.
    data_variance : float
        Variance over examples (ddof = 1) of each unit, averaged; NaN for a single example.
    spread : float
        Variance of each channel over examples and positions together (ddof = 0), averaged over channels: what a
        batch normalisation divides by. NaN unless `channels` was asked for.
    """

    mean: Array
    second_moment: Array
    data_variance: float
    spread: float = float("nan")


def as_rows(tensor: torch.Tensor, examples: int, axis: int = 0) -> torch.Tensor:
    """View `tensor` with one row an example.

    A tensor whose example axis was folded together with another (rows = examples times tokens) is unfolded; one
    that has no axis of that size is taken as a single example.
    """
    if tensor.dim() == 0:
        return tensor.reshape(1, 1)
    if axis and tensor.dim() > axis and tensor.shape[axis] == examples:
        tensor = tensor.movedim(axis, 0)
    if examples and tensor.shape[0] % examples == 0:
        return tensor.reshape(examples, -1)
    return tensor.reshape(1, -1)


def tensor_moments(rows: torch.Tensor) -> TensorMoments:
    """Return the moments of a matrix with one row an example (any floating type)."""
    exact = rows.detach().to(torch.float64)
    examples, units = exact.shape
    mean = exact.sum(1) / units
    # A norm is one fused pass; squaring first would write the matrix once more.
    second = torch.linalg.vector_norm(exact, dim=1) ** 2 / units
    data = float("nan")
    if examples > 1:
        columns = exact.sum(0) / examples
        total = float(second.mean())
        data = max(total - float(columns @ columns) / units, 0.0) * examples / (examples - 1)
    return TensorMoments(_numpy(mean), _numpy(second), data)


def mean_square(tensor: torch.Tensor) -> float:
    """Return the mean square of all entries, accumulated in float64."""
    norm = float(torch.linalg.vector_norm(tensor.detach().reshape(-1), dtype=torch.float64))
    return float(norm * norm / max(tensor.numel(), 1))


def row_squares(rows: torch.Tensor) -> torch.Tensor:
    """Return each row's sum of squares, accumulated in float64."""
    return torch.linalg.vector_norm(rows.detach(), dim=1, dtype=torch.float64) ** 2


def channel_spread(tensor: torch.Tensor, channel_axis: int) -> float:
    """Return the variance of each channel over everything else (ddof = 0), averaged over channels."""
    exact = tensor.detach().to(torch.float64).movedim(channel_axis, 0).reshape(tensor.shape[channel_axis], -1)
    means = exact.sum(1) / exact.shape[1]
    second = float(torch.linalg.vector_norm(exact)) ** 2 / exact.numel()
    return float(max(second - float(means @ means) / means.numel(), 0.0))


def _numpy(tensor: torch.Tensor) -> Array:
    array: Array = tensor.cpu().numpy()
    return array
