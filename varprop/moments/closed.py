"""How an activation states its closed-form Gaussian moments, and the pieces they are made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy

FIELDS = (
    "mean",
    "second_moment",
    "variance",
    "derivative_mean",
    "derivative_second_moment",
    "fourth_moment",
    "z_phi_dphi",
)
"""E phi, E phi², Var phi, E phi', E phi'², E phi⁴, E z phi phi' for z ~ N(mean, variance)."""

PAIR_FIELDS = ("product", "derivative_product", "squared_difference")
"""E phi(u) phi(v), E phi'(u) phi'(v), E (phi(u) - phi(v))² for jointly Gaussian, zero-mean u and v."""

ROOT_TWO_PI = math.sqrt(2 * math.pi)


@dataclass(frozen=True)
class ClosedForms:
    """Closed forms by field name.

    Attributes
    ----------
    centred : mapping from field to ``f(q)``
        For z ~ N(0, q), q > 0 (a float or an array).
    general : mapping from field to ``f(q, m)``
        For z ~ N(m, q), q > 0 (arrays that broadcast).
    smoothed : mapping from "mean" or "derivative_mean" to ``f(m, s)``
        For z ~ N(m, s²), s > 0, right in absolute terms: the inner integral of a nested quadrature.
    pair : mapping from pair field to ``f(pair)``
        For two correlated zero-mean Gaussians, see `Pair`.
    about : mapping from "squared_difference" and "derivative_product" to ``f(pair, m)``
        The same for two Gaussians with the common mean m.
    """

    centred: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)
    general: Mapping[str, Callable[[Any, Any], Any]] = field(default_factory=dict)
    smoothed: Mapping[str, Callable[[Any, Any], Any]] = field(default_factory=dict)
    pair: Mapping[str, Callable[[Pair], Any]] = field(default_factory=dict)
    about: Mapping[str, Callable[[Pair, Any], Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Pair:
    """Arrays that describe Gaussian pairs (u, v); q1, q2 > 0, all of one shape.

    Attributes
    ----------
    q1, q2, c : ndarray
        Variances and covariance.
    eps : ndarray
        1 - c/sqrt(q1 q2), carried by itself because it cancels near correlation 1.
    root : ndarray
        sqrt(q1 q2 - c²) = sqrt(q1 q2) sqrt(eps (2 - eps)), which would cancel near correlation ±1.
    """

    q1: Any
    q2: Any
    c: Any
    eps: Any
    root: Any

    @classmethod
    def of(cls, q1: Any, q2: Any, eps: Any) -> Pair:
        """Build the pair from its variances and 1 - correlation."""
        scale = np.sqrt(q1) * np.sqrt(q2)
        return cls(q1, q2, scale * (1 - eps), eps, scale * np.sqrt(eps * (2 - eps)))


def cubic_gap(t: Any) -> Any:
    """Return sin t - t cos t for 0 <= t <= pi, by its series where the two would cancel."""
    series = t**3 / 3 * (1 - t**2 / 10 + t**4 / 280 - t**6 / 15120 + t**8 / 1330560 - t**10 / 172972800)
    return np.where(t < 0.3, series, np.sin(t) - t * np.cos(t))


def density(t: Any) -> Any:
    """Return the standard normal density at `t`."""
    return np.exp(-0.5 * t * t) / ROOT_TWO_PI


def below(t: Any) -> Any:
    """Return P(g <= t) for standard normal g."""
    return scipy.special.ndtr(t)


def ramp(m: Any, s: Any) -> Any:
    """Return E[z; z > 0] for z ~ N(m, s²), right in absolute terms."""
    a = m / s
    return m * below(a) + s * density(a)


def inner_share(k: int, t: Any) -> Any:
    """Return E[g^k; \\|g\\| <= t] / E[g^k] for even `k`: the regularised lower incomplete gamma function.

    A difference of densities and erf says the same and loses digits for small `t`.
    """
    return scipy.special.gammainc(0.5 * (k + 1), 0.5 * t * t)


def outer_share(k: int, t: Any) -> Any:
    """Return 1 - `inner_share`, without the cancellation."""
    return scipy.special.gammaincc(0.5 * (k + 1), 0.5 * t * t)


def exponential_half(x: Any) -> Any:
    """Return E[exp(k z); z < 0] for z ~ N(0, q) with x = k sqrt(q): exp(x²/2) Phi(-x) = erfcx(x/sqrt 2)/2.

    The product itself overflows from x = 38 on; erfcx never does.
    """
    return 0.5 * scipy.special.erfcx(x / math.sqrt(2))


def _tail_rule() -> tuple[Any, Any]:
    """Return nodes and weights of 24-point Gauss-Legendre panels on [0, 84], for integrands like exp(-x)."""
    nodes, weights = np.polynomial.legendre.leggauss(24)
    edges = np.array([0.0, 1.5, 4.0, 8.0, 14.0, 22.0, 34.0, 52.0, 84.0])
    half = np.diff(edges)[:, None] / 2
    return (edges[:-1, None] + half * (nodes + 1)).ravel(), (half * weights).ravel()


_TAIL_RULE = _tail_rule()


def upper_moments(order: int, m: Any, s: Any) -> list[Any]:
    """Return E[z^k; z > 0], k = 0..order, for z ~ N(m, s²), stable also where z > 0 is rare.

    For m >= -s the recurrence U_k = m U_(k-1) + (k-1) s² U_(k-2) (integration by parts) loses nothing worth
    mentioning. Further left it cancels, and the integral of t^k exp(a t - t²/2) over t > 0 (a = m/s) is done
    by Gauss-Legendre panels instead: its integrand is positive and smooth.
    """
    m, s = np.broadcast_arrays(np.asarray(m, dtype=float), np.asarray(s, dtype=float))
    a = m / s
    result = [below(a), m * below(a) + s * density(a)]
    for k in range(2, order + 1):
        result.append(m * result[k - 1] + (k - 1) * s * s * result[k - 2])
    far = a < -1
    if np.any(far):
        b = -a[far][:, None]
        x, w = _TAIL_RULE
        weight = w / b * np.exp(-x - 0.5 * np.square(x / b))  # t = x/b: the integrand decays like exp(-x)
        for k in range(order + 1):
            result[k] = np.array(result[k], dtype=float)
            result[k][far] = s[far] ** k * density(b[:, 0]) * (weight * (x / b) ** k).sum(axis=1)
    return [r[()] for r in result]
