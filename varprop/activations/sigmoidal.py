"""Bounded, monotone activations: sigmoid, tanh, softsign, arctan, erf.

Derivatives are written so that their tails keep relative precision (1 - tanh² would be 0 from z = 19 on).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy

from varprop.activations.base import Activation, Array, registry
from varprop.moments.closed import ClosedForms, Pair


def logistic(z: Array) -> Any:
    """Return 1/(1 + e^{-z}) without overflow, to relative precision in both tails."""
    e = np.exp(-np.abs(z))
    return np.where(z >= 0, z.dtype.type(1), e) / (1 + e)


def logistic_slope(z: Array) -> Any:
    """Return the derivative of `logistic`."""
    e = np.exp(-np.abs(z))
    return e / np.square(1 + e)


@registry.register("sigmoid", "logistic")
def sigmoid() -> Activation:
    """Return phi(z) = 1/(1 + e^{-z}); moments by quadrature, the mean 1/2 by symmetry."""
    return Activation(
        "sigmoid",
        logistic,
        logistic_slope,
        forms=ClosedForms(centred={"mean": lambda q: np.full_like(q, 0.5)}),
        slope_of_value=lambda a: _subtracted(a, np.square(a)),
    )


@registry.register("tanh")
def tanh() -> Activation:
    """Return phi(z) = tanh z."""

    def slope(z: Array) -> Any:
        e = np.exp(-2 * np.abs(z))
        return 4 * e / np.square(1 + e)

    return Activation(
        "tanh",
        np.tanh,
        slope,
        forms=ClosedForms(centred={"mean": np.zeros_like}),
        slope_of_value=lambda a: _subtracted(1, np.square(a)),
    )


@registry.register("softsign")
def softsign() -> Activation:
    """Return phi(z) = z/(1 + |z|) (Bergstra et al. 2009); its second derivative jumps at 0."""
    return Activation(
        "softsign",
        lambda z: z / (1 + np.abs(z)),
        lambda z: np.square(1 / (1 + np.abs(z))),
        (0.0,),
        forms=ClosedForms(centred={"mean": np.zeros_like}),
    )


@registry.register("arctan", "atan")
def arctan() -> Activation:
    """Return phi(z) = arctan z; E phi' is the Voigt profile at its centre, E phi² has no closed form."""

    def slope(z: Array) -> Any:
        return 1 / (1 + np.square(np.clip(z, -1e15, 1e15)))

    def derivative_mean(q: Any) -> Any:
        x = 1 / np.sqrt(2 * q)
        return math.sqrt(math.pi) * x * scipy.special.erfcx(x)

    def derivative_second(q: Any) -> Any:
        # [(1 - 1/q) F + 1/q]/2 with F = E phi'. Below 0.01, (1 - F)/q by the asymptotic series of erfcx,
        # sum of (-1)^n (2n+1)!! q^n, whose 25th term is 1e-17 there.
        mean = derivative_mean(q)
        small = np.minimum(q, 0.01)
        series = 0.0 * small
        for n in range(25, -1, -1):
            series = 1 - (2 * n + 3) * small * series
        return 0.5 * (mean + np.where(q < 0.01, series, (1 - mean) / q)[()])

    return Activation(
        "arctan",
        np.arctan,
        slope,
        forms=ClosedForms(
            centred={
                "mean": np.zeros_like,
                "derivative_mean": derivative_mean,
                "derivative_second_moment": derivative_second,
            }
        ),
    )


@registry.register("erf")
def erf() -> Activation:
    """Return phi(z) = erf z; kernels from Williams 1997, eq. (11)."""

    def slope(z: Array) -> Any:
        return z.dtype.type(2 / math.sqrt(math.pi)) * np.exp(-np.square(np.clip(z, -40, 40)))

    def second(q: Any) -> Any:  # atan2 keeps at large q the digits that asin loses
        return 2 / math.pi * np.arctan2(2 * q, np.sqrt(1 + 4 * q))

    def determinant(p: Pair) -> Any:  # (1 + 2 q1)(1 + 2 q2) - 4 c²
        return 1 + 2 * p.q1 + 2 * p.q2 + 4 * p.root * p.root

    return Activation(
        "erf",
        lambda z: scipy.special.erf(z),
        slope,
        forms=ClosedForms(
            centred={
                "mean": np.zeros_like,
                "second_moment": second,
                "variance": second,
                "derivative_mean": lambda q: 2 / np.sqrt(math.pi * (1 + 2 * q)),
                "derivative_second_moment": lambda q: 4 / math.pi / np.sqrt(1 + 4 * q),
                "z_phi_dphi": lambda q: 4 / math.pi * q / ((1 + 2 * q) * np.sqrt(1 + 4 * q)),
            },
            general={
                "mean": lambda q, m: scipy.special.erf(m / np.sqrt(1 + 2 * q)),
                "derivative_mean": lambda q, m: (
                    2 / np.sqrt(math.pi * (1 + 2 * q)) * np.exp(-m * m / (1 + 2 * q))
                ),
                "derivative_second_moment": lambda q, m: (
                    4 / math.pi / np.sqrt(1 + 4 * q) * np.exp(-2 * m * m / (1 + 4 * q))
                ),
            },
            pair={
                "product": lambda p: 2 / math.pi * np.arctan2(2 * p.c, np.sqrt(determinant(p))),
                "derivative_product": lambda p: 4 / math.pi / np.sqrt(determinant(p)),
            },
        ),
    )


def _subtracted(a: Any, b: Any) -> Any:
    """Return a - b in the memory of b, if that is an array: memory written for the first time costs most."""
    return np.subtract(a, b, out=b if isinstance(b, np.ndarray) else None)
