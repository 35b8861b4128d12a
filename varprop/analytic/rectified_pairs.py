"""Pairs of inputs through a (leaky) ReLU with slopes a (z < 0) and b (z > 0), stable near correlation 1.

Centred, with theta = 2 asin sqrt(eps/2) (Cho and Saul 2009, eq. 6, written for the distance):

    E (phi_a - phi_b)²/2 = (a² + b²)/4 (s_a - s_b)²
                           + s_a s_b [(a² + b²)/2 eps - (b - a)²/2pi (sin theta - theta cos theta)].

About a mean m, Price's theorem (d/drho E phi_a phi_b = s_a s_b E phi'_a phi'_b) is integrated from correlation 1
down; the slopes need P(z_a > 0, z_b > 0), a bivariate normal probability by Owen's T function.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, owens_t

Array = NDArray[np.float64]
Index = NDArray[np.intp]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)
_NODES, _WEIGHTS = 0.5 * (_NODES + 1.0), 0.5 * _WEIGHTS


def rectified_pairs(
    slopes: tuple[float, float], variance: Array, eps: Array, first: Index, second: Index
) -> tuple[Array, Array]:
    """Return E (phi_a - phi_b)²/2 and E phi'_a phi'_b for mean 0, shape (pairs,) each."""
    low, high = slopes
    theta = 2.0 * np.arcsin(np.sqrt(np.clip(0.5 * eps, 0.0, 1.0)))
    square = np.square(theta)
    bend = np.where(
        theta < 0.05,
        theta * square / 3.0 * (1.0 - square / 10.0 + np.square(square) / 280.0),
        np.sin(theta) - theta * np.cos(theta),
    )
    half, turn = 0.5 * (low**2 + high**2), (high - low) ** 2 / (2.0 * np.pi)
    a, b = np.sqrt(variance[first]), np.sqrt(variance[second])
    distance = 0.5 * half * np.square(a - b) + a * b * np.maximum(half * eps - turn * bend, 0.0)
    return distance, half - turn * theta


def shifted_rectified_pairs(
    slopes: tuple[float, float], mean: Array, variance: Array, eps: Array, first: Index, second: Index
) -> tuple[Array, Array]:
    """Return the same for pre-activations with means, shape (B,)."""
    low, high = slopes
    std = np.sqrt(variance)
    # A point mass is a very narrow Gaussian here: its side of the kink is what counts.
    safe = np.where(std > 0.0, std, 1e-150)
    h = np.clip(mean / safe, -40.0, 40.0)
    up = ndtr(h)
    i, j = first, second

    def product(gap: Array) -> Array:
        both = _both_positive(h[i], h[j], gap, up[i], up[j])
        return low**2 + low * (high - low) * (up[i] + up[j]) + (high - low) ** 2 * both

    # At correlation 1: E (phi(m_a + s_a g) - phi(m_b + s_b g))²/2, on both sides of the kink.
    distance = _comonotone(low, high, mean[i], mean[j], std[i], std[j])
    for x, weight in zip(_NODES, _WEIGHTS, strict=True):
        # eps x² makes the integrand smooth at correlation 1, where its slope is infinite.
        distance = distance + std[i] * std[j] * eps * 2.0 * x * weight * product(eps * x * x)
    return distance, product(eps)


def _both_positive(h: Array, k: Array, eps: Array, up_h: Array, up_k: Array) -> Array:
    """P(z_a > 0, z_b > 0) for standardized means h, k and correlation 1 - eps (Owen 1956, eq. 3.1)."""
    root = np.sqrt(eps * (2.0 - eps))
    h, k = np.where(h == 0.0, 1e-100, h), np.where(k == 0.0, 1e-100, k)
    gap = k - h
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        first = np.nan_to_num((gap + eps * h) / (h * root), nan=0.0, posinf=1e300, neginf=-1e300)
        second = np.nan_to_num((-gap + eps * k) / (k * root), nan=0.0, posinf=1e300, neginf=-1e300)
    jump = np.where(h * k < 0.0, 0.5, 0.0)
    both = 0.5 * (up_h + up_k) - owens_t(h, first) - owens_t(k, second) - jump
    return np.asarray(np.clip(both, 0.0, np.minimum(up_h, up_k)))


def _comonotone(low: float, high: float, m1: Array, m2: Array, s1: Array, s2: Array) -> Array:
    """E (phi(m1 + s1 g) - phi(m2 + s2 g))²/2 for one g; 0 for equal inputs."""
    result = np.zeros(m1.shape)
    apart = (m1 != m2) | (s1 != s2)
    if apart.any():
        # The two kinks split the line; Gauss-Legendre panels between them and out to 9.5.
        m1, m2, s1, s2 = m1[apart], m2[apart], s1[apart], s2[apart]
        with np.errstate(divide="ignore", invalid="ignore"):
            kinks = [np.nan_to_num(np.clip(-m / s, -9.5, 9.5), nan=9.5) for m, s in ((m1, s1), (m2, s2))]
        fixed = [np.full(m1.shape, c) for c in (-9.5, -5.0, -2.5, 0.0, 2.5, 5.0, 9.5)]
        edges = np.sort(np.stack([*kinks, *fixed]), axis=0)
        for left, right in pairwise(edges):
            g = left + (right - left) * _NODES[:, None]
            gap = _phi(low, high, m1 + s1 * g) - _phi(low, high, m2 + s2 * g)
            density = np.exp(-0.5 * np.square(g)) / np.sqrt(2.0 * np.pi)
            result[apart] += (right - left) * (_WEIGHTS @ (0.5 * np.square(gap) * density))
    return result


def _phi(low: float, high: float, z: Array) -> Array:
    return np.asarray(np.where(z > 0.0, high * z, low * z))
