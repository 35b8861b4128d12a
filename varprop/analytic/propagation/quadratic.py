"""Averages of Gaussian vectors over their own mean square, by one-dimensional integrals.

For u ~ N(0, K) with eigenvalues λ_k of K, x = |u|²/M and any eps, 1/(x + eps) = ∫ exp(-s (x + eps)) ds gives in the
basis of eigenvectors

    E u_k²/(x + eps) = ∫ λ_k / (1 + 2 λ_k s/M) · Π_j (1 + 2 λ_j s/M)^-1/2 · exp(-eps s) ds

(own derivation). With s = e^v the trapezoidal rule converges geometrically. Where many eigenvalues share the variance
the fluctuations of x are small, and their second order is enough.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_STEP = 0.125
_MANY = 100.0


def effective_count(covariance: Array) -> float:
    """Return (tr K)² / tr K²: how many equal eigenvalues would make the mean square fluctuate as much.

    Examples
    --------
    >>> effective_count(np.eye(5)), effective_count(np.ones((5, 5)))
    (5.0, 1.0)
    """
    squares = float(np.sum(np.square(covariance)))
    return float(np.trace(covariance)) ** 2 / squares if squares > 0.0 else 0.0


def normalized(covariance: Array, eps: float) -> Array:
    """Return E u uᵀ/(|u|²/N + eps) for u ~ N(0, `covariance`), shape (N, N).

    Examples
    --------
    >>> normalized(4.0 * np.ones((2, 2)), 0.0).round(9).tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    """
    n = covariance.shape[0]
    level = float(np.trace(covariance)) / n
    if level <= 0.0:
        return np.zeros_like(covariance)
    if effective_count(covariance) > _MANY:
        mean = level + eps
        square = covariance @ covariance
        spread = 2.0 * float(np.trace(square)) / n**2
        return np.asarray(covariance * (1.0 / mean + spread / mean**3) - (2.0 / n) * square / mean**2)
    values, vectors = np.linalg.eigh(covariance / level)
    values = np.where(values > 1e-13 * values[-1], values, 0.0)
    low, high = -45.0, 4.0 * np.log(n + 1.0) + 90.0
    if eps > 0.0:
        high = min(high, np.log(750.0 * level / eps))
    v = np.arange(low, max(high, low + 60.0), _STEP)
    s = np.exp(v)
    grown = 1.0 + (2.0 / n) * np.outer(values, s)
    density = np.exp(v - 0.5 * np.log(grown).sum(axis=0) - (eps / level) * s)
    factors = _STEP * (values[:, None] / grown) @ density
    return np.asarray((vectors * factors) @ vectors.T)
