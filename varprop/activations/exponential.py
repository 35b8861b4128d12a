"""elu, selu and celu: the identity above 0, a saturating exponential below.

With A(e^{kz} - 1) below 0 every moment is made of R(k) = E[e^{kz}; z < 0] = erfcx(k s/sqrt 2)/2, s = sqrt(q)
(complete the square). For small s the combinations of R cancel and their Taylor series in s is used:
R = 1/2 sum over n of (-x)^n/Gamma(n/2 + 1), x = k s/sqrt 2.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np

from varprop._registry import spell
from varprop._validation import check_real
from varprop.activations.base import Activation, Array, registry
from varprop.moments.closed import ROOT_TWO_PI, ClosedForms, below, exponential_half, ramp

_SMALL = 0.5  # below this k·s the series are used; 48 terms then reach 1e-18


@cache
def _expansion(order: int) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Return the binomial coefficients of (e^z - 1)^order and the weights of its series."""
    binomials = tuple((-1) ** (order - j) * math.comb(order, j) for j in range(order + 1))
    weights = [
        sum(b * j**n for j, b in enumerate(binomials)) / math.gamma(n / 2 + 1) for n in range(order, 49)
    ]
    return binomials, tuple(weights)


def _binomial_tail(order: int, x: Any) -> Any:
    """Return E[(e^z - 1)^order; z < 0] for z ~ N(0, x²): sum of binomials (-1)^(order-j) R(j)."""
    if np.ndim(x):
        return np.where(x < _SMALL, _series(order, np.minimum(x, _SMALL)), _direct(order, x))
    return _series(order, float(x)) if x < _SMALL else _direct(order, x)


def _series(order: int, x: Any) -> Any:
    y = x / -math.sqrt(2)
    total = 0.0 * y
    for weight in reversed(_expansion(order)[1]):
        total = y * total + weight
    return 0.5 * y**order * total


def _direct(order: int, x: Any) -> Any:
    binomials = _expansion(order)[0]
    total = 0.5 * binomials[0]
    for j, coefficient in enumerate(binomials[1:], start=1):
        total = total + coefficient * exponential_half(j * x)
    return total


def _damped(k: float, m: Any, s: Any) -> Any:
    """Return E[e^{kz}; z < 0] for z ~ N(m, s²), by completing the square; no exponential grows."""
    a = m / s
    t = a + k * s
    tail = np.exp(-0.5 * a * a) * exponential_half(np.maximum(t, 0.0))
    inside = np.exp(np.minimum(k * m + 0.5 * k * k * s * s, 0.0)) * below(-t)
    return np.where(t > 0, tail, inside)


def _make(name: str, scale: float, alpha: float, rate: float) -> Activation:
    """Return scale·z above 0, scale·alpha·(e^{rate z} - 1) below."""

    def value(z: Array) -> Any:
        kind = z.dtype.type
        return np.where(z > 0, kind(scale) * z, kind(scale * alpha) * np.expm1(kind(rate) * np.minimum(z, 0)))

    def slope(z: Array) -> Any:
        kind = z.dtype.type
        return np.where(
            z > 0, kind(scale), kind(scale * alpha * rate) * np.exp(kind(rate) * np.minimum(z, 0))
        )

    def mean(q: Any) -> Any:
        s = np.sqrt(q)
        return scale * (s / ROOT_TWO_PI + alpha * _binomial_tail(1, rate * s))

    def second(q: Any) -> Any:
        return scale**2 * (0.5 * q + alpha**2 * _binomial_tail(2, rate * np.sqrt(q)))

    def derivative_mean(q: Any) -> Any:
        return scale * (0.5 + alpha * rate * exponential_half(rate * np.sqrt(q)))

    def derivative_second(q: Any) -> Any:
        return scale**2 * (0.5 + (alpha * rate) ** 2 * exponential_half(2 * rate * np.sqrt(q)))

    def fourth(q: Any) -> Any:
        return scale**4 * (1.5 * q * q + alpha**4 * _binomial_tail(4, rate * np.sqrt(q)))

    def z_phi_dphi(q: Any) -> Any:  # q d/dq E phi², because d/dq E f(z) = E z f'(z) / (2q)
        x = rate * np.sqrt(q)
        inner = rate * q * (2 * exponential_half(2 * x) - exponential_half(x))
        return scale**2 * (0.5 * q + alpha**2 * rate * inner)

    def smooth(m: Any, s: Any) -> Any:
        return scale * (ramp(m, s) + alpha * (_damped(rate, m, s) - below(-m / s)))

    def smooth_slope(m: Any, s: Any) -> Any:
        return scale * (below(m / s) + alpha * rate * _damped(rate, m, s))

    return Activation(
        name,
        value,
        slope,
        (0.0,),  # even where the slope is continuous the second derivative jumps
        forms=ClosedForms(
            centred={
                "mean": mean,
                "second_moment": second,
                "variance": lambda q: second(q) - mean(q) ** 2,
                "derivative_mean": derivative_mean,
                "derivative_second_moment": derivative_second,
                "fourth_moment": fourth,
                "z_phi_dphi": z_phi_dphi,
            },
            smoothed={"mean": smooth, "derivative_mean": smooth_slope},
        ),
    )


@registry.register("elu")
def elu(alpha: float = 1.0) -> Activation:
    """Return phi(z) = z above 0, alpha (e^z - 1) below (Clevert et al. 2016)."""
    alpha = check_real("alpha", alpha, minimum=0.0, exclusive=True)
    return _make(spell("elu", {} if alpha == 1 else {"alpha": alpha}), 1.0, alpha, 1.0)


@registry.register("celu")
def celu(alpha: float = 1.0) -> Activation:
    """Return phi(z) = z above 0, alpha (e^{z/alpha} - 1) below (Barron 2017): once differentiable."""
    alpha = check_real("alpha", alpha, minimum=0.0, exclusive=True)
    return _make(spell("celu", {} if alpha == 1 else {"alpha": alpha}), 1.0, alpha, 1 / alpha)


@registry.register("selu")
def selu() -> Activation:
    """Return the self-normalising scale·elu(alpha) of Klambauer et al. 2017: it keeps N(0, 1)."""
    return _make("selu", 1.0507009873554805, 1.6732632423543772, 1.0)
