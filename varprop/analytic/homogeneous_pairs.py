"""Pairs of inputs through phi(s z) = s^k phi(z), s > 0: what two directions become does not depend on any length.

For centred Gaussian z of variances q_a, q_b and correlation 1 - eps, with c = E phi(g)² for standard normal g,

    E phi_a² = c q_a^k,    E phi_a phi_b = c (q_a q_b)^(k/2) (1 - gap(eps)),

so that gap, the next layer's 1 - correlation if it has no biases, is a function of eps alone, and

    E (phi_a - phi_b)²/2 = (r_a - r_b)²/2 + r_a r_b gap,    r² = E phi²,

is put together from logarithms: nothing over- or underflows, and lengths, however different, are not subtracted.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from varprop.activations import Activation
from varprop.analytic.rectified_pairs import rectified_pairs

Array = NDArray[np.float64]
Index = NDArray[np.intp]

_NEAR = np.array([1e-150, 1e-40])
"""On either side of 0, between which an activation of two straight lines has the same slopes."""


class Directions(NamedTuple):
    """1 - E phi_a phi_b/(r_a r_b), and E phi'_a phi'_b over the root of E phi'_a² E phi'_b², shape (pairs,)."""

    gap: Array
    slopes: Array


def directions(phi: Activation, eps: Array) -> Directions:
    """Return what a homogeneous activation makes of correlations 1 - eps."""
    if phi.slopes is not None:
        return rectified_directions(phi.slopes, eps)
    moments = phi.moments(1.0, fields=("second_moment", "derivative_second_moment"))
    fields = ("squared_difference", "derivative_product")
    found = phi.pair_moments(1.0, 1.0, one_minus_correlation=eps, fields=fields)
    slope = float(moments.derivative_second_moment)
    slopes = np.asarray(found.derivative_product) / (slope if slope > 0.0 else 1.0)
    return Directions(np.asarray(0.5 * found.squared_difference / moments.second_moment), slopes)


def rectified_directions(slopes: tuple[float, float], eps: Array) -> Directions:
    """Return the same for two straight lines through 0."""
    only = np.zeros(eps.size, dtype=np.intp)
    half = 0.5 * (slopes[0] ** 2 + slopes[1] ** 2)
    distance, product = rectified_pairs(slopes, np.ones(1), eps, only, only)
    return Directions(distance / half, product / half) if half > 0.0 else Directions(0.0 * eps, 0.0 * eps)


def slopes_at_zero(phi: Activation) -> tuple[float, float] | None:
    """Return the slopes of phi below and above 0 if it is continuous there and not flat, else None."""
    z = np.concatenate([-_NEAR, [0.0], _NEAR])
    if 0.0 in phi.kinks and not phi.exact_derivative:
        return None
    with np.errstate(all="ignore"):
        value, slope = phi(z), phi.derivative(z)
        bent = np.abs(slope[[0, 3]] - slope[[1, 4]]) > 1e-12 * np.abs(slope[[0, 3]])
    if bent.any() or not np.all(np.abs(value - value[2]) < 1e-30) or not np.all(np.isfinite(slope)):
        return None
    return (float(slope[0]), float(slope[3])) if slope.any() else None


def log_half_square(first: Array, second: Array) -> Array:
    """Return log of (r_a - r_b)²/2 from the logarithms of r_a² and r_b²; -inf if they are equal."""
    with np.errstate(divide="ignore", invalid="ignore"):
        top, apart = np.maximum(first, second), np.abs(first - second)
        found = top + 2.0 * np.log(-np.expm1(-0.5 * apart)) - np.log(2.0)
    return np.where(np.isneginf(top), -np.inf, found)


def log_distance(first: Array, second: Array, gap: Array) -> Array:
    """Return log of (r_a - r_b)²/2 + r_a r_b gap from the logarithms of r_a² and r_b²."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.logaddexp(log_half_square(first, second), 0.5 * (first + second) + np.log(gap)))
