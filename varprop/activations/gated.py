"""z times a gate, and the softplus: gelu, gelu_tanh, silu, mish, softplus."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy

from varprop.activations.base import Activation, Array, registry
from varprop.activations.sigmoidal import logistic, logistic_slope
from varprop.moments.closed import ROOT_TWO_PI, ClosedForms, Pair

_ERF = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)
"""Coefficients of erf to 1.5e-7 (Abramowitz & Stegun 1964, 7.1.26), the highest power first."""


def _quick_gelu(z: Array) -> tuple[Array, Array]:
    """Return z Φ(z) and its slope in single precision: Φ and the density share an exponential."""
    size = np.minimum(np.abs(z), z.dtype.type(40))
    bell = size * size
    bell *= z.dtype.type(-0.5)
    np.exp(bell, out=bell)
    size *= z.dtype.type(0.3275911 / math.sqrt(2))
    size += 1
    t = np.reciprocal(size, out=size)
    tail = t * z.dtype.type(_ERF[0] / 2)
    for coefficient in _ERF[1:]:
        tail += z.dtype.type(coefficient / 2)
        tail *= t
    tail *= bell  # Φ(-|z|)
    np.subtract(z.dtype.type(0.5), tail, out=tail)
    np.copysign(tail, z, out=tail)
    tail += z.dtype.type(0.5)
    bell *= z.dtype.type(1 / ROOT_TWO_PI)
    bell *= z
    bell += tail
    tail *= z
    return tail, bell


def _quick_silu(z: Array) -> tuple[Array, Array]:
    with np.errstate(over="ignore"):
        gate = np.reciprocal(1 + np.exp(-z))
    value = z * gate
    return value, gate + value * (1 - gate)


@registry.register("gelu")
def gelu() -> Activation:
    """Return phi(z) = z Phi(z) (Hendrycks & Gimpel 2016).

    E phi² and E phi'² follow from Williams 1997 by differentiating under the integral; see also the kernel
    in Novak et al. 2022 (neural-tangents, ``Gelu``).
    """

    def value(z: Array) -> Any:
        return z * scipy.special.ndtr(z)

    def slope(z: Array) -> Any:
        # the clip only keeps z² from overflowing: the density is 0 beyond 40
        bell = np.exp(z.dtype.type(-0.5) * np.square(np.clip(z, -40, 40)))
        return scipy.special.ndtr(z) + z * (z.dtype.type(1 / ROOT_TWO_PI) * bell)

    def mean(q: Any) -> Any:
        return q / np.sqrt(2 * math.pi * (1 + q))

    def second(q: Any) -> Any:
        r = np.sqrt(1 + 2 * q)
        return q / 4 + q / (2 * math.pi) * (np.arctan2(q, r) + 2 * q / ((1 + q) * r))

    def derivative_second(q: Any) -> Any:
        r = np.sqrt(1 + 2 * q)
        return 0.25 + (np.arctan2(q, r) + q / r * (1 / (1 + 2 * q) + 2 / (1 + q))) / (2 * math.pi)

    def z_phi_dphi(q: Any) -> Any:  # q d/dq E phi²
        r = np.sqrt(1 + 2 * q)
        edge = 2 * q / ((1 + q) * r)
        rate = 1 / (r * (1 + q)) + 2 / ((1 + q) * r) * (1 / (1 + q) - q / (1 + 2 * q))
        return q * (0.25 + (np.arctan2(q, r) + edge + q * rate) / (2 * math.pi))

    def product(p: Pair) -> Any:
        pp = (1 + p.q1) * (1 + p.q2)
        d2 = 1 + p.q1 + p.q2 + p.root * p.root
        d = np.sqrt(d2)
        inner = p.c * np.arctan2(p.c, d) + (p.c * p.c + p.q1 * p.q2 * d2) / (pp * d)
        return p.c / 4 + inner / (2 * math.pi)

    def derivative_product(p: Pair) -> Any:
        pp = (1 + p.q1) * (1 + p.q2)
        d2 = 1 + p.q1 + p.q2 + p.root * p.root
        d = np.sqrt(d2)
        inner = np.arctan2(p.c, d) + p.c / d * (1 / d2 + (1 - p.q1 * p.q2) / pp + 1)
        return 0.25 + inner / (2 * math.pi)

    return Activation(
        "gelu",
        value,
        slope,
        quick=_quick_gelu,
        forms=ClosedForms(
            centred={
                "mean": mean,
                "second_moment": second,
                "variance": lambda q: second(q) - mean(q) ** 2,
                "derivative_mean": lambda q: np.full_like(q, 0.5),
                "derivative_second_moment": derivative_second,
                "z_phi_dphi": z_phi_dphi,
            },
            pair={"product": product, "derivative_product": derivative_product},
        ),
    )


@registry.register("gelu_tanh")
def gelu_tanh() -> Activation:
    """Return the tanh approximation z (1 + tanh(sqrt(2/pi) (z + 0.044715 z³)))/2, its gate a logistic."""
    rate, cubic = 2 * math.sqrt(2 / math.pi), 0.044715

    def inner(z: Array) -> Any:
        # beyond 30 the gate is 0 or 1 to the last digit; the clip keeps z³ from overflowing
        z = np.clip(z, -30, 30)
        return z.dtype.type(rate) * (z + z.dtype.type(cubic) * z * z * z)

    def value(z: Array) -> Any:
        return z * logistic(inner(z))

    def slope(z: Array) -> Any:
        u = inner(z)
        clipped = np.clip(z, -30, 30)
        speed = z.dtype.type(rate) * (1 + z.dtype.type(3 * cubic) * clipped * clipped)
        return logistic(u) + clipped * speed * logistic_slope(u)

    def quick(z: Array) -> tuple[Array, Array]:
        near = np.clip(z, -30, 30)
        square = z.dtype.type(cubic) * near * near
        with np.errstate(over="ignore"):
            gate = np.reciprocal(1 + np.exp(z.dtype.type(-rate) * near * (1 + square)))
        speed = near * (z.dtype.type(rate) * (1 + 3 * square))
        return z * gate, gate + speed * (gate * (1 - gate))

    return Activation(
        "gelu_tanh",
        value,
        slope,
        quick=quick,
        forms=ClosedForms(centred={"derivative_mean": lambda q: np.full_like(q, 0.5)}),
    )


@registry.register("silu", "swish")
def silu() -> Activation:
    """Return phi(z) = z sigmoid(z) (Elfwing et al. 2018; Ramachandran et al. 2017)."""
    return Activation(
        "silu",
        lambda z: z * logistic(z),
        lambda z: logistic(z) * (1 + z * logistic(-z)),
        quick=_quick_silu,
        forms=ClosedForms(centred={"derivative_mean": lambda q: np.full_like(q, 0.5)}),
    )


@registry.register("mish")
def mish() -> Activation:
    """Return phi(z) = z tanh(softplus(z)) (Misra 2019), from one exponential of -|z|."""

    def gate(z: Array) -> tuple[Array, Array]:
        """Return T = tanh(softplus(z)) and 1 - T², both to relative precision in the tails."""
        e = np.exp(-np.abs(z))
        right = z > 0
        bottom = np.where(right, 1 + 2 * e * (1 + e), 2 + e * (2 + e))
        top = np.where(right, 1 + 2 * e, e * (2 + e))
        rest = np.where(right, 4 * np.square(e * (1 + e)), 4 * np.square(1 + e))
        return top / bottom, rest / np.square(bottom)

    def slope(z: Array) -> Any:
        t, rest = gate(z)
        return t + z * rest * logistic(z)

    return Activation("mish", lambda z: z * gate(z)[0], slope)


@registry.register("softplus")
def softplus() -> Activation:
    """Return phi(z) = log(1 + e^z) (Dugas et al. 2001)."""
    return Activation(
        "softplus",
        lambda z: np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z))),
        logistic,
        forms=ClosedForms(centred={"derivative_mean": lambda q: np.full_like(q, 0.5)}),
    )
