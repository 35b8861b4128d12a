"""Step and sign: piecewise constant, so their derivative is 0 almost everywhere.

No gradient ever passes, hence the whole line is declared inactive. (The derivative in the sense of
distributions is a point mass; its second moment would be infinite. All of varprop means the almost-everywhere
derivative, which is what back-propagation uses.)
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy

from varprop.activations.base import Activation, registry
from varprop.moments.closed import ClosedForms, Pair, below

_EVERYWHERE = ((-math.inf, math.inf),)


def _zero(q: Any, m: Any) -> Any:
    return np.zeros_like(q + m)


def _flat(general: dict[str, Any]) -> dict[str, Any]:
    flat = dict.fromkeys(("derivative_mean", "derivative_second_moment", "z_phi_dphi"), _zero)
    return {**general, **flat}


@registry.register("step", "heaviside")
def step() -> Activation:
    """Return phi(z) = 1 for z > 0 and 0 otherwise."""

    def above(q: Any, m: Any) -> Any:
        return below(m / np.sqrt(q))

    return Activation(
        "step",
        lambda z: (z > 0).astype(z.dtype),
        np.zeros_like,
        (0.0,),
        _EVERYWHERE,
        degree=0.0,
        forms=ClosedForms(
            general=_flat(
                {
                    "mean": above,
                    "second_moment": above,
                    "fourth_moment": above,
                    "variance": lambda q, m: above(q, m) * above(q, -m),
                }
            ),
            smoothed={"mean": lambda m, s: below(m / s), "derivative_mean": lambda m, s: 0 * m},
            pair={
                "product": lambda p: np.arctan2(p.root, -p.c) / (2 * math.pi),
                "derivative_product": lambda p: np.zeros_like(p.c),
                "squared_difference": lambda p: np.arctan2(p.root, p.c) / math.pi,
            },
        ),
    )


@registry.register("sign")
def sign() -> Activation:
    """Return phi(z) = sign of z, 0 at 0."""

    def spread(q: Any, m: Any) -> Any:
        t = m / np.sqrt(q)
        return 4 * below(t) * below(-t)

    def one(q: Any, m: Any) -> Any:
        return np.ones_like(q + m)

    def product(p: Pair) -> Any:
        return 2 / math.pi * np.arctan2(p.c, p.root)

    return Activation(
        "sign",
        np.sign,
        np.zeros_like,
        (0.0,),
        _EVERYWHERE,
        degree=0.0,
        forms=ClosedForms(
            general=_flat(
                {
                    "mean": lambda q, m: _erf_of(m, q),
                    "second_moment": one,
                    "fourth_moment": one,
                    "variance": spread,
                }
            ),
            smoothed={"mean": lambda m, s: _erf_of(m, s * s), "derivative_mean": lambda m, s: 0 * m},
            pair={
                "product": product,
                "derivative_product": lambda p: np.zeros_like(p.c),
                "squared_difference": lambda p: 4 / math.pi * np.arctan2(p.root, p.c),
            },
        ),
    )


def _erf_of(m: Any, q: Any) -> Any:
    return scipy.special.erf(m / np.sqrt(2 * q))
