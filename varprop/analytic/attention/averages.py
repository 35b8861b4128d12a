"""What an engine returns: averages over queries and keys of one head, before anything of finite width."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ForwardAverages:
    """Averages of the forward pass.

    Attributes
    ----------
    output : ndarray
        E[A S A^T], shape (N, N).
    concentration : ndarray
        E sum_s A_ts², shape (N,).
    double : ndarray
        E tr(J_t S) tr(J_t' K), the factor of equal rows included, shape (N, N).
    noise : float
        Standard error of the mean of the diagonal, relative; 0 if nothing was sampled.
    """

    output: Array
    concentration: Array
    double: Array
    noise: float


@dataclass(frozen=True, eq=False)
class BackwardAverages:
    """Averages of the backward pass, shape (N, N) each.

    Attributes
    ----------
    query : ndarray
        E tr(J_t S J_t'^T Gram of the keys).
    key, value : ndarray
        Second moments of the gradients of one query head.
    double : ndarray
        E tr(J_t S) tr(J_t' K).
    noise : float
        As for `ForwardAverages`, the largest of the three.
    """

    query: Array
    key: Array
    value: Array
    double: Array
    noise: float
