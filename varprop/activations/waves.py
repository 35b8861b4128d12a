"""sin, cos and the Gaussian bump, whose moments are exponentials for any mean.

With x = e^{-2q} every moment of a sine is a polynomial in x and sin² m; written as sums of non-negative terms
nothing cancels at small q. Cosine is the sine shifted by a quarter turn: sin² m becomes cos² m.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from varprop.activations.base import Activation, Array, registry
from varprop.moments.closed import ClosedForms


def _wave_moments(phase: Any, other: Any) -> dict[str, Any]:
    """Return the even moments of sin (phase=sin, other=cos) or cos (the two swapped) at N(m, q)."""

    def second(q: Any, m: Any) -> Any:
        return -0.5 * np.expm1(-2 * q) + np.exp(-2 * q) * phase(m) ** 2

    def variance(q: Any, m: Any) -> Any:  # (1 - e^{-q})(1 + e^{-q} cos 2m)/2 for sin
        gap = -np.expm1(-q)
        return 0.5 * gap * (gap + 2 * np.exp(-q) * other(m) ** 2)

    def derivative_second(q: Any, m: Any) -> Any:
        return -0.5 * np.expm1(-2 * q) + np.exp(-2 * q) * other(m) ** 2

    def fourth(q: Any, m: Any) -> Any:  # 3/8 - x cos(2m)/2 + x⁴ cos(4m)/8
        x, s = np.exp(-2 * q), phase(m) ** 2
        base = np.square(np.expm1(-2 * q)) * (x * x + 2 * x + 3) / 8
        return base - x * np.expm1(-6 * q) * s + x**4 * s * s

    return {
        "second_moment": second,
        "variance": variance,
        "derivative_second_moment": derivative_second,
        "fourth_moment": fourth,
    }


def _crossed(q: Any, m: Any) -> Any:
    """Return E z sin z cos z."""
    return np.exp(-2 * q) * (0.5 * m * np.sin(2 * m) + q * np.cos(2 * m))


def _hyperbolic(function: Any) -> Any:
    """Return e^{-(q1+q2)/2} function(c), in exponentials that do not overflow."""
    sign = -1 if function == "sinh" else 1

    def product(p: Any) -> Any:
        middle = 0.5 * (p.q1 + p.q2)
        apart = 0.5 * np.square((p.q1 - p.q2) / (np.sqrt(p.q1) + np.sqrt(p.q2)))
        scale = np.sqrt(p.q1) * np.sqrt(p.q2)
        near = apart + scale * p.eps  # (q1 + q2)/2 - c
        if sign < 0:
            return np.where(
                p.c >= 0,
                -0.5 * np.exp(-near) * np.expm1(-2 * np.abs(p.c)),
                0.5 * np.exp(-(middle + p.c)) * np.expm1(-2 * np.abs(p.c)),
            )
        return 0.5 * (np.exp(-near) + np.exp(-(middle + p.c)))

    return product


def _squared_difference(phase: Any, other: Any) -> Any:
    """Return E (sin(m + u) - sin(m + v))² (phase=sin, other=cos), or the same of cos, as ``f(pair, m)``.

    With n and p half the variances of u - v and u + v, sin u - sin v = 2 cos((u + v)/2) sin((u - v)/2) gives
    (1 - e^-n)(1 + e^-p) - (e^-q1 - e^-q2)²/2 for sin and (1 - e^-n)(1 - e^-p) + (e^-q1 - e^-q2)²/2 for cos about 0;
    about m they mix with weights cos² m and sin² m, as the product of the two differences has mean 0.
    """

    def form(p: Any, m: Any = 0.0) -> Any:
        apart = 0.5 * np.square((p.q1 - p.q2) / (np.sqrt(p.q1) + np.sqrt(p.q2)))
        scale = np.sqrt(p.q1) * np.sqrt(p.q2)
        near, far = apart + scale * p.eps, apart + scale * (2 - p.eps)
        gap = -np.expm1(-near)
        low, high = np.minimum(p.q1, p.q2), np.maximum(p.q1, p.q2)
        size = 0.5 * np.square(np.exp(-low) * np.expm1(low - high))
        odd = gap * (1 + np.exp(-far)) - size
        even = -gap * np.expm1(-far) + size
        return other(m) ** 2 * odd + phase(m) ** 2 * even

    return form


def _slopes(phase: Any, other: Any) -> Any:
    """Return E cos(m + u) cos(m + v) (phase=sin, other=cos), or E sin sin, as ``f(pair, m)``."""
    even, odd = _hyperbolic("cosh"), _hyperbolic("sinh")
    return lambda p, m: other(m) ** 2 * even(p) + phase(m) ** 2 * odd(p)


def _sin(m: Any) -> Any:
    return np.sin(m)


def _cos(m: Any) -> Any:
    return np.cos(m)


@registry.register("sin", "sine")
def sin() -> Activation:
    """Return phi(z) = sin z (Sitzmann et al. 2020, without their frequency factor)."""
    return Activation(
        "sin",
        np.sin,
        np.cos,
        forms=ClosedForms(
            general={
                **_wave_moments(_sin, _cos),
                "mean": lambda q, m: np.exp(-0.5 * q) * np.sin(m),
                "derivative_mean": lambda q, m: np.exp(-0.5 * q) * np.cos(m),
                "z_phi_dphi": _crossed,
            },
            pair={
                "product": _hyperbolic("sinh"),
                "derivative_product": _hyperbolic("cosh"),
                "squared_difference": _squared_difference(_sin, _cos),
            },
            about={
                "derivative_product": _slopes(_sin, _cos),
                "squared_difference": _squared_difference(_sin, _cos),
            },
        ),
    )


@registry.register("cos", "cosine")
def cos() -> Activation:
    """Return phi(z) = cos z."""
    return Activation(
        "cos",
        np.cos,
        lambda z: -np.sin(z),
        forms=ClosedForms(
            general={
                **_wave_moments(_cos, _sin),
                "mean": lambda q, m: np.exp(-0.5 * q) * np.cos(m),
                "derivative_mean": lambda q, m: -np.exp(-0.5 * q) * np.sin(m),
                "z_phi_dphi": lambda q, m: -_crossed(q, m),
            },
            pair={
                "product": _hyperbolic("cosh"),
                "derivative_product": _hyperbolic("sinh"),
                "squared_difference": _squared_difference(_cos, _sin),
            },
            about={
                "derivative_product": _slopes(_cos, _sin),
                "squared_difference": _squared_difference(_cos, _sin),
            },
        ),
    )


@registry.register("gaussian")
def gaussian() -> Activation:
    """Return phi(z) = e^{-z²/2}; with E e^{-k z²/2} = (1 + kq)^{-1/2} e^{-k m²/(2 (1 + kq))}."""

    def bell(k: int) -> Any:
        return lambda q, m: np.exp(-0.5 * k * m * m / (1 + k * q)) / np.sqrt(1 + k * q)

    def value(z: Array) -> Any:
        return np.exp(z.dtype.type(-0.5) * np.square(np.clip(z, -40, 40)))

    def variance(q: Any, m: Any) -> Any:
        # E phi² - (E phi)² with a = (1 + 2q)^{-1/2}, b = 1/(1 + q): a - b = (a² - b²)/(a + b)
        a, b = 1 / np.sqrt(1 + 2 * q), 1 / (1 + q)
        gap = np.square(q * b * a) / (a + b)
        shift = np.expm1(-m * m * q * b * a * a)
        return gap * np.exp(-m * m * b) - a * np.exp(-m * m * a * a) * shift

    def derivative_second(q: Any, m: Any) -> Any:
        a2 = 1 / (1 + 2 * q)
        return bell(2)(q, m) * (q * a2 + np.square(m * a2))

    def determinant(p: Any) -> Any:
        return 1 + p.q1 + p.q2 + p.root * p.root

    return Activation(
        "gaussian",
        value,
        lambda z: -z * value(z),
        forms=ClosedForms(
            general={
                "mean": bell(1),
                "second_moment": bell(2),
                "variance": variance,
                "derivative_mean": lambda q, m: -m / (1 + q) * bell(1)(q, m),
                "derivative_second_moment": derivative_second,
                "fourth_moment": bell(4),
                "z_phi_dphi": lambda q, m: -derivative_second(q, m),
            },
            pair={
                "product": lambda p: determinant(p) ** -0.5,
                "derivative_product": lambda p: p.c * determinant(p) ** -1.5,
            },
        ),
    )
