"""The activations and heads for the referee, from their published definitions, in plain NumPy and SciPy.

Derivatives at a kink are those on the side of the smaller argument, the outer side for clipped functions. Saturation
sets are found from the derivative by definition: the unbounded tails where ``|phi'|`` is at most 3.96 % of its
supremum.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.special import erf as _erf
from scipy.special import expit, ndtr

from tests.exactness.laws import parse

Function = Callable[[np.ndarray], np.ndarray]
INF = math.inf
SHARE = 0.0396


@dataclass(frozen=True)
class Phi:
    """An activation: value, derivative, kinks, and the set in which a unit is off by design."""

    value: Function
    slope: Function
    kinks: tuple[float, ...] = ()
    inactive: tuple[tuple[float, float], ...] = ()

    def is_inactive(self, z: np.ndarray) -> np.ndarray:
        inside = np.zeros(z.shape, dtype=bool)
        for low, high in self.inactive:
            inside |= (z >= low) & (z <= high)
        return inside


def _pdf(z: np.ndarray) -> np.ndarray:
    return np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)


def _exponential(scale: float, alpha: float, rate: float) -> Phi:
    return Phi(
        lambda z: np.where(z > 0, scale * z, scale * alpha * np.expm1(rate * np.minimum(z, 0))),
        lambda z: np.where(z > 0, scale, scale * alpha * rate * np.exp(rate * np.minimum(z, 0))),
        (0.0,),
    )


def _leaky(slope: float = 0.01) -> Phi:
    if slope == 0.0:
        return _TABLE["relu"]()
    return Phi(lambda z: np.where(z > 0, z, slope * z), lambda z: np.where(z > 0, 1.0, slope), (0.0,))


def _gelu_tanh() -> Phi:
    rate = math.sqrt(2.0 / math.pi)

    def inner(z: np.ndarray) -> np.ndarray:
        return np.tanh(rate * (z + 0.044715 * z**3))

    def slope(z: np.ndarray) -> np.ndarray:
        t = inner(z)
        return 0.5 * (1.0 + t) + 0.5 * z * (1.0 - t * t) * rate * (1.0 + 3.0 * 0.044715 * z * z)

    return Phi(lambda z: 0.5 * z * (1.0 + inner(z)), slope)


def _mish() -> Phi:
    def slope(z: np.ndarray) -> np.ndarray:
        t = np.tanh(np.logaddexp(0.0, z))
        return t + z * (1.0 - t * t) * expit(z)

    return Phi(lambda z: z * np.tanh(np.logaddexp(0.0, z)), slope)


def _silu() -> Phi:
    return Phi(lambda z: z * expit(z), lambda z: expit(z) * (1.0 + z * expit(-z)))


def _hard_swish() -> Phi:
    def slope(z: np.ndarray) -> np.ndarray:
        return np.where(z <= -3, 0.0, np.where(z >= 3, 1.0, (2.0 * z + 3.0) / 6.0))

    return Phi(lambda z: z * np.clip(z / 6 + 0.5, 0, 1), slope, (-3.0, 3.0), ((-INF, -3.0),))


_EVERYWHERE = ((-INF, INF),)
_TABLE: dict[str, Callable[..., Phi]] = {
    "linear": lambda: Phi(lambda z: z, np.ones_like),
    "relu": lambda: Phi(
        lambda z: np.maximum(z, 0), lambda z: (z > 0).astype(float), (0.0,), ((-INF, 0.0),)
    ),
    "leaky_relu": _leaky,
    "squared_relu": lambda: Phi(
        lambda z: np.maximum(z, 0) ** 2, lambda z: 2 * np.maximum(z, 0), (0.0,), ((-INF, 0.0),)
    ),
    "elu": lambda alpha=1.0: _exponential(1.0, alpha, 1.0),
    "celu": lambda alpha=1.0: _exponential(1.0, alpha, 1.0 / alpha),
    "selu": lambda: _exponential(1.0507009873554805, 1.6732632423543772, 1.0),
    "tanh": lambda: Phi(np.tanh, lambda z: 1.0 / np.cosh(np.clip(z, -300, 300)) ** 2),
    "sigmoid": lambda: Phi(expit, lambda z: expit(z) * expit(-z)),
    "softsign": lambda: Phi(lambda z: z / (1 + np.abs(z)), lambda z: 1 / (1 + np.abs(z)) ** 2, (0.0,)),
    "arctan": lambda: Phi(np.arctan, lambda z: 1 / (1 + np.minimum(np.abs(z), 1e150) ** 2)),
    "erf": lambda: Phi(
        _erf, lambda z: 2 / math.sqrt(math.pi) * np.exp(-np.minimum(np.abs(z), 1e150) ** 2)
    ),
    "softplus": lambda: Phi(lambda z: np.logaddexp(0.0, z), expit),
    "gelu": lambda: Phi(
        lambda z: z * ndtr(z), lambda z: ndtr(z) + z * _pdf(np.clip(z, -1e100, 1e100))
    ),
    "gelu_tanh": _gelu_tanh,
    "silu": _silu,
    "mish": _mish,
    "hardtanh": lambda: Phi(
        lambda z: np.clip(z, -1, 1), lambda z: (np.abs(z) < 1).astype(float), (-1.0, 1.0), ((-INF, -1.0), (1.0, INF))
    ),
    "hard_sigmoid": lambda: Phi(
        lambda z: np.clip(z / 6 + 0.5, 0, 1), lambda z: (np.abs(z) < 3) / 6.0, (-3.0, 3.0), ((-INF, -3.0), (3.0, INF))
    ),
    "relu6": lambda: Phi(
        lambda z: np.clip(z, 0, 6), lambda z: ((z > 0) & (z < 6)).astype(float), (0.0, 6.0), ((-INF, 0.0), (6.0, INF))
    ),
    "hard_swish": _hard_swish,
    "step": lambda: Phi(lambda z: (z > 0).astype(float), np.zeros_like, (0.0,), _EVERYWHERE),
    "sign": lambda: Phi(np.sign, np.zeros_like, (0.0,), _EVERYWHERE),
    "sin": lambda: Phi(np.sin, np.cos),
    "cos": lambda: Phi(np.cos, lambda z: -np.sin(z)),
    "gaussian": lambda: Phi(
        lambda z: np.exp(-0.5 * np.minimum(np.abs(z), 1e100) ** 2),
        lambda z: -z * np.exp(-0.5 * np.minimum(np.abs(z), 1e100) ** 2),
    ),
}  # fmt: skip
NAMES = tuple(_TABLE)


@lru_cache(maxsize=256)
def function(spelling: str) -> Phi:
    """Return the activation of a spelling such as ``leaky_relu(slope=0.2)``."""
    name, given = parse(spelling)
    return _TABLE[name](**given)


@lru_cache(maxsize=256)
def saturation(spelling: str) -> tuple[float, float]:
    """Return (low, high): saturated means ``z <= low`` or ``z >= high``; infinite ends for no tail."""
    phi = function(spelling)
    if spelling.startswith("squared_relu"):
        return 0.0, INF  # the supremum is infinite: the tails where phi' is 0
    if spelling in ("step", "sign"):
        return 0.0, 0.0  # the supremum is 0: everywhere
    if spelling in ("sin", "cos"):
        return -INF, INF
    grid = np.arange(-120_000, 120_001) / 2000.0
    size = np.abs(phi.slope(grid))
    level = SHARE * size.max()
    steep = np.flatnonzero(size > level)
    return _end(phi, level, grid, steep[0], -1), _end(phi, level, grid, steep[-1], 1)


def _end(phi: Phi, level: float, grid: np.ndarray, last: int, step: int) -> float:
    if last + step in (-1, grid.size):
        return step * INF
    inside, outside = grid[last], grid[last + step]
    for _ in range(80):
        middle = 0.5 * (inside + outside)
        if np.abs(phi.slope(np.array([middle])))[0] > level:
            inside = middle
        else:
            outside = middle
    return float(outside)


def head(
    kind: str, a: np.ndarray, targets: Any, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return dL/da, shape (draws, units, inputs), and the loss, shape (draws, inputs); for ``unit`` N(0, 1) and None.

    Parameters
    ----------
    targets : ndarray or None
        Shape (units, inputs); whole numbers of shape (inputs,) for ``softmax_ce``.
    """
    if kind == "unit":
        return rng.standard_normal(a.shape), None
    if kind == "mse":
        return a - targets, 0.5 * np.square(a - targets).sum(axis=1)
    if kind == "bce":
        return expit(a) - targets, (np.logaddexp(0.0, a) - targets * a).sum(axis=1)
    top = a.max(axis=1, keepdims=True)
    e = np.exp(a - top)
    truth = (np.arange(a.shape[1])[:, None] == targets).astype(float)
    loss = top[:, 0] + np.log(e.sum(axis=1)) - (truth * a).sum(axis=1)
    return e / e.sum(axis=1, keepdims=True) - truth, loss
