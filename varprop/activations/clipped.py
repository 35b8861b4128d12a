"""Activations that are clipped: hardtanh, hard_sigmoid, relu6, hard_swish.

Their moments are partial moments of the Gaussian over an interval and tail probabilities:
E[z^k; |z| < c] = E z^k · P((k+1)/2, c²/2q) with the regularised incomplete gamma function P.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from varprop.activations.base import Activation, Array, registry
from varprop.moments.closed import ROOT_TWO_PI, ClosedForms, below, density, inner_share, outer_share, ramp


def _powers(q: Any, c: float) -> Any:
    """Return E[z²; |z| < c]."""
    return q * inner_share(2, c / np.sqrt(q))


def _fourth(q: Any, c: float) -> Any:
    """Return E[z⁴; |z| < c]."""
    return 3 * q * q * inner_share(4, c / np.sqrt(q))


def _outside(q: Any, c: float) -> Any:
    """Return P(|z| > c)."""
    return 2 * below(-c / np.sqrt(q))


def _inside(q: Any, c: float) -> Any:
    """Return P(|z| < c)."""
    return inner_share(0, c / np.sqrt(q))


def _clipped_mean(low: float, high: float) -> Any:
    """Return E clip(z, low, high) as a function of mean and standard deviation, from the nearer end."""

    def value(m: Any, s: Any) -> Any:
        up = low + ramp(m - low, s) - ramp(m - high, s)
        down = high - ramp(high - m, s) + ramp(low - m, s)
        return np.where(m < (low + high) / 2, up, down)

    return value


def _between(low: float, high: float) -> Any:
    """Return P(low < z < high) as a function of mean and standard deviation."""
    return lambda m, s: below((high - m) / s) - below((low - m) / s)


@registry.register("hardtanh", "hard_tanh")
def hardtanh() -> Activation:
    """Return phi(z) = z clipped to [-1, 1] (Collobert 2004)."""

    def second(q: Any) -> Any:
        return _powers(q, 1.0) + _outside(q, 1.0)

    return Activation(
        "hardtanh",
        lambda z: np.clip(z, -1, 1),
        lambda z: (np.abs(z) < 1).astype(z.dtype),
        (-1.0, 1.0),
        ((-math.inf, -1.0), (1.0, math.inf)),
        forms=ClosedForms(
            centred={
                "mean": np.zeros_like,
                "second_moment": second,
                "variance": second,
                "derivative_mean": lambda q: _inside(q, 1.0),
                "derivative_second_moment": lambda q: _inside(q, 1.0),
                "fourth_moment": lambda q: _fourth(q, 1.0) + _outside(q, 1.0),
                "z_phi_dphi": lambda q: _powers(q, 1.0),
            },
            smoothed={"mean": _clipped_mean(-1.0, 1.0), "derivative_mean": _between(-1.0, 1.0)},
        ),
    )


@registry.register("hard_sigmoid")
def hard_sigmoid() -> Activation:
    """Return phi(z) = z/6 + 1/2 clipped to [0, 1], as torch and Keras 3 have it (Keras 1 and 2 used z/5)."""

    def variance(q: Any) -> Any:
        return (_powers(q, 3.0) / 9 + _outside(q, 3.0)) / 4

    def fourth(q: Any) -> Any:  # (1/2 + y)⁴ with odd powers of y = clip(z/6) dropping out
        y4 = (_fourth(q, 3.0) / 81 + _outside(q, 3.0)) / 16
        return 1 / 16 + 1.5 * variance(q) + y4

    return Activation(
        "hard_sigmoid",
        lambda z: np.clip(z / 6 + z.dtype.type(0.5), 0, 1),
        lambda z: np.where(np.abs(z) < 3, z.dtype.type(1 / 6), z.dtype.type(0)),
        (-3.0, 3.0),
        ((-math.inf, -3.0), (3.0, math.inf)),
        forms=ClosedForms(
            centred={
                "mean": lambda q: np.full_like(q, 0.5),
                "second_moment": lambda q: 0.25 + variance(q),
                "variance": variance,
                "derivative_mean": lambda q: _inside(q, 3.0) / 6,
                "derivative_second_moment": lambda q: _inside(q, 3.0) / 36,
                "fourth_moment": fourth,
                "z_phi_dphi": lambda q: _powers(q, 3.0) / 36,
            },
            smoothed={
                "mean": lambda m, s: 0.5 + _clipped_mean(-3.0, 3.0)(m, s) / 6,
                "derivative_mean": lambda m, s: _between(-3.0, 3.0)(m, s) / 6,
            },
        ),
    )


@registry.register("relu6")
def relu6() -> Activation:
    """Return phi(z) = z clipped to [0, 6] (Krizhevsky 2010)."""

    def mean(q: Any) -> Any:
        s = np.sqrt(q)
        return -s * np.expm1(-18 / q) / ROOT_TWO_PI + 6 * below(-6 / s)

    def second(q: Any) -> Any:
        return 0.5 * _powers(q, 6.0) + 18 * _outside(q, 6.0)

    return Activation(
        "relu6",
        lambda z: np.clip(z, 0, 6),
        lambda z: ((z > 0) & (z < 6)).astype(z.dtype),
        (0.0, 6.0),
        ((-math.inf, 0.0), (6.0, math.inf)),
        forms=ClosedForms(
            centred={
                "mean": mean,
                "second_moment": second,
                "variance": lambda q: second(q) - mean(q) ** 2,
                "derivative_mean": lambda q: 0.5 * _inside(q, 6.0),
                "derivative_second_moment": lambda q: 0.5 * _inside(q, 6.0),
                "fourth_moment": lambda q: 0.5 * _fourth(q, 6.0) + 648 * _outside(q, 6.0),
                "z_phi_dphi": lambda q: 0.5 * _powers(q, 6.0),
            },
            smoothed={"mean": _clipped_mean(0.0, 6.0), "derivative_mean": _between(0.0, 6.0)},
        ),
    )


@registry.register("hard_swish", "hardswish", "hard_silu")
def hard_swish() -> Activation:
    """Return phi(z) = z · hard_sigmoid(z) (Howard et al. 2019)."""

    def value(z: Array) -> Any:
        return z * np.clip(z / 6 + z.dtype.type(0.5), 0, 1)

    def slope(z: Array) -> Any:
        inner = z / 3 + z.dtype.type(0.5)
        return np.where(z <= -3, z.dtype.type(0), np.where(z >= 3, z.dtype.type(1), inner))

    def mean(q: Any) -> Any:
        s = np.sqrt(q)
        return _powers(q, 3.0) / 6 + s * np.exp(-4.5 / q) / ROOT_TWO_PI

    def beyond(q: Any) -> Any:
        return 0.5 * q * outer_share(2, 3 / np.sqrt(q))

    def second(q: Any) -> Any:
        return (_fourth(q, 3.0) + 9 * _powers(q, 3.0)) / 36 + beyond(q)

    def derivative_second(q: Any) -> Any:
        return (4 * _powers(q, 3.0) + 9 * _inside(q, 3.0)) / 36 + 0.5 * _outside(q, 3.0)

    def fourth(q: Any) -> Any:  # z⁴ (z + 3)⁴ / 6⁴ inside, its even powers only; z⁴ above 3
        t = 3 / np.sqrt(q)
        inside = 105 * q**4 * inner_share(8, t) + 810 * q**3 * inner_share(6, t) + 81 * _fourth(q, 3.0)
        return inside / 1296 + 1.5 * q * q * outer_share(4, t)

    def smooth(m: Any, s: Any) -> Any:  # z (z + 3)/6 between -3 and 3, z beyond
        a, b = (-3 - m) / s, (3 - m) / s
        share, left, right = below(b) - below(a), s * density(a), s * density(b)
        first = m * share + left - right
        square = (m * m + s * s) * share + (m - 3) * left - (m + 3) * right
        return square / 6 + first / 2 + ramp(m - 3, s) + 3 * below(-b)

    def smooth_slope(m: Any, s: Any) -> Any:
        a, b = (-3 - m) / s, (3 - m) / s
        share = below(b) - below(a)
        first = m * share + s * (density(a) - density(b))
        return first / 3 + share / 2 + below(-b)

    return Activation(
        "hard_swish",
        value,
        slope,
        (-3.0, 3.0),
        ((-math.inf, -3.0),),
        forms=ClosedForms(
            centred={
                "mean": mean,
                "second_moment": second,
                "variance": lambda q: second(q) - mean(q) ** 2,
                "derivative_mean": lambda q: np.full_like(q, 0.5),
                "derivative_second_moment": derivative_second,
                "fourth_moment": fourth,
                "z_phi_dphi": lambda q: (2 * _fourth(q, 3.0) + 9 * _powers(q, 3.0)) / 36 + beyond(q),
            },
            smoothed={"mean": smooth, "derivative_mean": smooth_slope},
        ),
    )
