"""Piecewise-linear activations with one kink at 0, the identity among them, and the squared relu."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from varprop._registry import spell
from varprop._validation import check_real
from varprop.activations.base import Activation, Array, registry
from varprop.moments.closed import (
    ROOT_TWO_PI,
    ClosedForms,
    Pair,
    below,
    cubic_gap,
    density,
    ramp,
    upper_moments,
)


def _identity(z: Array) -> Any:
    return z.copy()


@registry.register("linear", "identity")
def linear() -> Activation:
    """Return phi(z) = z."""

    def square(q: Any, m: Any) -> Any:
        return q + m * m

    return Activation(
        "linear",
        _identity,
        np.ones_like,
        slopes=(1.0, 1.0),
        forms=ClosedForms(
            centred={
                "mean": np.zeros_like,
                "second_moment": _same,
                "variance": _same,
                "derivative_mean": np.ones_like,
                "derivative_second_moment": np.ones_like,
                "fourth_moment": lambda q: 3 * q * q,
                "z_phi_dphi": _same,
            },
            general={
                "mean": lambda q, m: m + 0 * q,
                "second_moment": square,
                "variance": lambda q, m: q + 0 * m,
                "derivative_mean": lambda q, m: np.ones_like(q + m),
                "derivative_second_moment": lambda q, m: np.ones_like(q + m),
                "fourth_moment": lambda q, m: m**4 + 6 * m * m * q + 3 * q * q,
                "z_phi_dphi": square,
            },
            pair={
                "product": lambda p: p.c,
                "derivative_product": lambda p: np.ones_like(p.c),
            },
        ),
    )


@registry.register("relu")
def relu() -> Activation:
    """Return phi(z) = max(z, 0); moments from Cho & Saul 2009 (arc-cosine kernels of order 0 and 1)."""

    def value(z: Array) -> Any:
        return np.maximum(z, 0)

    def slope(z: Array) -> Any:
        return (z > 0).astype(z.dtype)

    return Activation("relu", value, slope, (0.0,), ((-math.inf, 0.0),), (0.0, 1.0), forms=_leaky_forms(0.0))


@registry.register("leaky_relu")
def leaky_relu(slope: float = 0.01) -> Activation:
    """Return phi(z) = z for z > 0 and slope·z otherwise (Maas et al. 2013)."""
    slope = check_real("slope", slope)
    if slope == 0:
        return relu()
    if slope == 1:
        return linear()

    def value(z: Array) -> Any:
        return np.where(z > 0, z, z.dtype.type(slope) * z)

    def derivative(z: Array) -> Any:
        return np.where(z > 0, z.dtype.type(1), z.dtype.type(slope))

    name = spell("leaky_relu", {} if slope == 0.01 else {"slope": slope})
    return Activation(name, value, derivative, (0.0,), (), (slope, 1.0), forms=_leaky_forms(slope))


@registry.register("squared_relu", "relu_squared")
def squared_relu() -> Activation:
    """Return phi(z) = max(z, 0)² (So et al. 2021); kernels are arc-cosine kernels of order 2 and 1."""

    def value(z: Array) -> Any:
        return np.square(np.maximum(z, 0))

    def slope(z: Array) -> Any:
        return 2 * np.maximum(z, 0)

    def moment(order: int, factor: float) -> Any:
        return lambda q, m: factor * upper_moments(order, m, np.sqrt(q))[order]

    def product(p: Pair) -> Any:
        # Cho & Saul 2009, eq. (6) with n = 2: 3 sin t cos t + (pi - t)(1 + 2 cos² t). With x = 2 (pi - t)
        # it is x + x cos(x)/2 - 3 sin(x)/2 = sum over n >= 2 of (-1)^n (n - 1) x^(2n+1)/(2n+1)!.
        x = 2 * np.arctan2(p.root, -p.c)
        series = sum((-1) ** n * (n - 1) * x ** (2 * n + 1) / math.factorial(2 * n + 1) for n in range(2, 9))
        value = np.where(x < 0.6, series, x + x * np.cos(x) / 2 - 1.5 * np.sin(x))
        return p.q1 * p.q2 * value / (2 * math.pi)

    return Activation(
        "squared_relu",
        value,
        slope,
        (0.0,),
        ((-math.inf, 0.0),),
        degree=2.0,
        forms=ClosedForms(
            centred={
                "mean": lambda q: 0.5 * q,
                "second_moment": lambda q: 1.5 * q * q,
                "variance": lambda q: 1.25 * q * q,
                "derivative_mean": lambda q: 2 * np.sqrt(q) / ROOT_TWO_PI,
                "derivative_second_moment": lambda q: 2 * q,
                "fourth_moment": lambda q: 52.5 * q**4,
                "z_phi_dphi": lambda q: 3 * q * q,
            },
            general={
                "mean": moment(2, 1.0),
                "second_moment": moment(4, 1.0),
                "derivative_mean": moment(1, 2.0),
                "derivative_second_moment": moment(2, 4.0),
                "fourth_moment": moment(8, 1.0),
                "z_phi_dphi": moment(4, 2.0),
            },
            pair={
                "product": product,
                "derivative_product": lambda p: 4 * _rectified_product(p),
            },
            smoothed={
                "mean": lambda m, s: (m * m + s * s) * below(m / s) + m * s * density(m / s),
                "derivative_mean": lambda m, s: 2 * ramp(m, s),
            },
        ),
    )


def _same(q: Any) -> Any:
    return q


def _rectified_product(p: Pair) -> Any:
    # Cho & Saul 2009, eq. (6) with n = 1: sin t + (pi - t) cos t, that is sin t' - t' cos t' with t' = pi - t
    return np.sqrt(p.q1) * np.sqrt(p.q2) * cubic_gap(np.arctan2(p.root, -p.c)) / (2 * math.pi)


def _leaky_forms(a: float) -> ClosedForms:
    """Return the closed forms for slope `a` below 0: z = (z)_+ - (-z)_+, so phi = (z)_+ - a (-z)_+."""
    one, two, four = (1 - a) / ROOT_TWO_PI, (1 + a * a) / 2, 1.5 * (1 + a**4)

    def halves(order: int, left: float) -> Any:
        def value(q: Any, m: Any) -> Any:
            s = np.sqrt(q)
            above = upper_moments(order, m, s)[order]
            return above + left * upper_moments(order, -m, s)[order] if left else above

        return value

    def product(p: Pair) -> Any:
        return (1 - a) ** 2 * _rectified_product(p) + a * p.c  # phi = (1 - a) relu + a z

    def derivative_product(p: Pair) -> Any:
        return (1 - a) ** 2 * np.arctan2(p.root, -p.c) / (2 * math.pi) + a

    general = {
        "mean": halves(1, -a),
        "second_moment": halves(2, a * a),
        "derivative_mean": lambda q, m: below(m / np.sqrt(q)) + a * below(-m / np.sqrt(q)),
        "derivative_second_moment": lambda q, m: below(m / np.sqrt(q)) + a * a * below(-m / np.sqrt(q)),
        "fourth_moment": halves(4, a**4),
        "z_phi_dphi": halves(2, a * a),
    }
    return ClosedForms(
        centred={
            "mean": lambda q: one * np.sqrt(q),
            "second_moment": lambda q: two * q,
            "variance": lambda q: (two - one * one) * q,
            "derivative_mean": lambda q: np.full_like(q, (1 + a) / 2),
            "derivative_second_moment": lambda q: np.full_like(q, two),
            "fourth_moment": lambda q: four * q * q,
            "z_phi_dphi": lambda q: two * q,
        },
        general=general,
        smoothed={
            "mean": lambda m, s: ramp(m, s) - a * ramp(-m, s),
            "derivative_mean": lambda m, s: below(m / s) + a * below(-m / s),
        },
        pair={"product": product, "derivative_product": derivative_product},
    )
