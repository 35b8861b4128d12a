"""Moments of a tensor, accumulated in float64.

An activation is seen as a matrix: one row an example, one column a unit (a channel's position counts as a unit).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

Array = NDArray[np.float64]

_CACHED = 2**16
"""Entries of float64 that stay in a core's own cache."""


@dataclass(frozen=True)
class TensorMoments:
    """First and second moments per example, and the variance over examples.

    Attributes
    ----------
    mean, second_moment : ndarray, shape (examples,)
        Over the units of each example.
    data_variance : float
        Variance over examples (ddof = 1) of each unit, averaged; NaN for a single example.
    """

    mean: Array
    second_moment: Array
    data_variance: float


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
    rows = rows.detach()
    examples, units = rows.shape
    # A few rows at a time, so that the float64 copy is read from the cache and not from memory.
    step = max(_CACHED // max(units, 1), 1)
    sums, norms = [], []
    columns = torch.zeros(units, dtype=torch.float64, device=rows.device)
    for start in range(0, examples, step):
        exact = rows[start : start + step].to(torch.float64)
        sums.append(exact.sum(1))
        norms.append(torch.linalg.vector_norm(exact, dim=1))
        columns += exact.sum(0)
    mean, second = torch.cat(sums) / units, torch.cat(norms) ** 2 / units
    data = float("nan")
    if examples > 1:
        columns /= examples
        spread = float(second.mean()) - float(columns @ columns) / units
        data = max(spread, 0.0) * examples / (examples - 1)
    return TensorMoments(_numpy(mean), _numpy(second), data)


def mean_square(tensor: torch.Tensor) -> float:
    """Return the mean square of all entries, accumulated in float64."""
    norm = float(torch.linalg.vector_norm(tensor.detach().reshape(-1), dtype=torch.float64))
    return float(norm * norm / max(tensor.numel(), 1))


def mean_and_std(tensor: torch.Tensor) -> tuple[float, float]:
    """Return mean and standard deviation of all entries; exactly 0 deviation for a constant."""
    exact = tensor.reshape(-1).to(torch.float64)
    mean = float(exact.sum()) / exact.numel()
    variance = float(torch.linalg.vector_norm(exact)) ** 2 / exact.numel() - mean**2
    if variance <= 1e-9 * mean**2:  # too close to a difference of equals
        variance = float(torch.linalg.vector_norm(exact - mean)) ** 2 / exact.numel()
    return mean, math.sqrt(max(variance, 0.0))


def row_squares(rows: torch.Tensor) -> torch.Tensor:
    """Return each row's sum of squares, accumulated in float64."""
    return torch.linalg.vector_norm(rows.detach(), dim=1, dtype=torch.float64) ** 2


def channel_spread(tensor: torch.Tensor, channel_axis: int) -> float:
    """Return the variance of each channel over everything else (ddof = 0), averaged over channels."""
    exact = tensor.detach().to(torch.float64)
    others = [axis for axis in range(tensor.dim()) if axis != channel_axis]
    means = exact.sum(others) * (tensor.shape[channel_axis] / tensor.numel())
    second = float(torch.linalg.vector_norm(exact)) ** 2 / exact.numel()
    return float(max(second - float(means @ means) / means.numel(), 0.0))


def _numpy(tensor: torch.Tensor) -> Array:
    array: Array = tensor.cpu().numpy()
    return array
