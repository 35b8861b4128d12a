"""The laws of weights and biases for the referee, from their published definitions, in plain NumPy.

A law is a spelling such as ``uniform(low=-0.5, high=1.0)``. `sampler` returns a function ``(rng, shape)``; the shape of
weights is (draws, fan_out, fan_in), that of biases (draws, fan_out). Nothing of varprop is used.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri

Sampler = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]

FIXED = {
    *("zeros", "ones", "constant", "identity"),
    *("keras.zeros", "keras.ones", "keras.constant", "keras.identity"),
    *("torch.zeros_", "torch.ones_", "torch.constant_", "torch.eye_", "torch.dirac_"),
}
"""Laws under which every draw is the same."""

ATOMIC = FIXED | {"rademacher", "sparse", "torch.sparse_"}
"""Laws with values of positive probability: sums may tie, and rounding must not decide how."""


def parse(spelling: str) -> tuple[str, dict[str, Any]]:
    """Return name and arguments of ``name(key=value, …)``."""
    name, _, listed = spelling.partition("(")
    pairs = re.findall(r"(\w+)=([^,)\s]+)", listed)
    return name, {key: float(value) if re.match(r"[-+.\d]", value) else value for key, value in pairs}


def is_fixed(spelling: str) -> bool:
    """Say whether every draw of a law is the same: also laws whose spread is 0."""
    name, given = parse(spelling)
    return name in FIXED or (name in ("normal", "rademacher") and given.get("std") == 0.0)


def has_atoms(spelling: str) -> bool:
    """Say whether a law has values of positive probability."""
    return parse(spelling)[0] in ATOMIC or is_fixed(spelling)


def sampler(spelling: str, fan_in: int, fan_out: int, gain: float = 1.0) -> Sampler:
    """Return how to draw from a law, every value multiplied by `gain`."""
    name, given = parse(spelling)
    drawn = _BY_NAME[name](fan_in, fan_out, **given)
    return drawn if gain == 1.0 else lambda rng, shape: gain * drawn(rng, shape)


def _constant(value: float) -> Sampler:
    return lambda rng, shape: np.full(shape, value)


def _normal(mean: float, std: float) -> Sampler:
    return lambda rng, shape: mean + std * rng.standard_normal(shape)


def _uniform(low: float, high: float) -> Sampler:
    return lambda rng, shape: rng.uniform(low, high, shape)


def _truncated(mean: float, std: float, low: float, high: float) -> Sampler:
    if std == 0.0:
        return _constant(mean)
    bottom, top = ndtr((low - mean) / std), ndtr((high - mean) / std)
    return lambda rng, shape: mean + std * ndtri(bottom + (top - bottom) * rng.random(shape))


# Variance of N(0, 1) cut at ±2: 1 - 4 pdf(2)/(2 Phi(2) - 1).
_CUT = math.sqrt(1.0 - 4.0 * math.exp(-2.0) / math.sqrt(2.0 * math.pi) / (2.0 * ndtr(2.0) - 1.0))


def _scaled(kind: str, variance: float) -> Sampler:
    std = math.sqrt(variance)
    if kind == "normal":
        return _normal(0.0, std)
    if kind == "uniform":
        return _uniform(-math.sqrt(3.0) * std, math.sqrt(3.0) * std)
    return _truncated(0.0, std / _CUT, -2.0 * std / _CUT, 2.0 * std / _CUT)


def _signs(std: float) -> Sampler:
    return lambda rng, shape: np.where(rng.random(shape) < 0.5, -std, std)


def _sparse(sparsity: float, std: float) -> Sampler:
    return lambda rng, shape: np.where(rng.random(shape) < sparsity, 0.0, std * rng.standard_normal(shape))


def _sparse_columns(sparsity: float, std: float) -> Sampler:
    def draw(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        zeros = math.ceil(sparsity * shape[-2])
        rank = rng.random(shape).argsort(axis=-2).argsort(axis=-2)
        return np.where(rank < zeros, 0.0, std * rng.standard_normal(shape))

    return draw


def _eye(gain: float, groups: int) -> Sampler:
    def draw(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        block = gain * np.eye(shape[-2] // groups, shape[-1])
        return np.broadcast_to(np.tile(block, (groups, 1)), shape)

    return draw


def _haar(gain: float) -> Sampler:
    """Corner of a Haar matrix: Q of a Gaussian matrix with the signs that make the diagonal of R positive."""

    def draw(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        draws, rows, columns = shape
        q, r = np.linalg.qr(rng.standard_normal((draws, max(rows, columns), min(rows, columns))))
        q = gain * q * np.sign(np.diagonal(r, axis1=1, axis2=2))[:, None, :]
        return q.transpose(0, 2, 1) if rows < columns else q

    return draw


def _fan(mode: str, fan_in: int, fan_out: int) -> float:
    return {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[mode]


def _variance_scaling(
    i: int, o: int, scale: float = 1.0, mode: str = "fan_in", distribution: str = "normal"
) -> Sampler:
    return _scaled(distribution, scale / _fan(mode, i, o))


def _keras_scaling(
    i: int, o: int, scale: float = 1.0, mode: str = "fan_in", distribution: str = "truncated_normal"
) -> Sampler:
    kind = {"truncated_normal": "truncated", "untruncated_normal": "normal", "uniform": "uniform"}
    return _scaled(kind[distribution], scale / _fan(mode, i, o))


def _torch_kaiming(kind: str) -> Callable[..., Sampler]:
    def law(
        i: int, o: int, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu"
    ) -> Sampler:
        gains = {"leaky_relu": 2.0 / (1.0 + a * a), "relu": 2.0, "tanh": 25.0 / 9.0, "linear": 1.0}
        return _scaled(kind, gains[nonlinearity] / _fan(mode, i, o))

    return law


def _he(kind: str) -> Callable[..., Sampler]:
    def law(i: int, o: int, mode: str = "fan_in", slope: float = 0.0) -> Sampler:
        return _scaled(kind, 2.0 / (1.0 + slope**2) / _fan(mode, i, o))

    return law


def _fan_in_bound(i: int, o: int) -> Sampler:
    return _uniform(-1.0 / math.sqrt(i), 1.0 / math.sqrt(i))


_BY_NAME: dict[str, Callable[..., Sampler]] = {
    "zeros": lambda i, o: _constant(0.0),
    "ones": lambda i, o: _constant(1.0),
    "constant": lambda i, o, value: _constant(value),
    "identity": lambda i, o, gain=1.0: _eye(gain, 1),
    "standard_normal": lambda i, o: _normal(0.0, 1.0),
    "normal": lambda i, o, std=0.01, mean=0.0: _normal(mean, std),
    "uniform": lambda i, o, low=-0.05, high=0.05: _uniform(low, high),
    "uniform_fan_in": _fan_in_bound,
    "truncated_normal": lambda i, o, std=0.05, bound=2.0: _truncated(0.0, std, -bound * std, bound * std),
    "rademacher": lambda i, o, std=1.0: _signs(std),
    "sparse": lambda i, o, sparsity, std=1.0: _sparse(sparsity, std),
    "orthogonal": lambda i, o, gain=1.0: _haar(gain),
    "variance_scaling": _variance_scaling,
    "keras.zeros": lambda i, o: _constant(0.0),
    "keras.ones": lambda i, o: _constant(1.0),
    "keras.constant": lambda i, o, value=0.0: _constant(value),
    "keras.identity": lambda i, o, gain=1.0: _eye(gain, 1),
    "keras.orthogonal": lambda i, o, gain=1.0: _haar(gain),
    "keras.random_normal": lambda i, o, mean=0.0, stddev=0.05: _normal(mean, stddev),
    "keras.random_uniform": lambda i, o, minval=-0.05, maxval=0.05: _uniform(minval, maxval),
    "keras.truncated_normal": lambda i, o, mean=0.0, stddev=0.05: _truncated(
        mean, stddev, mean - 2 * stddev, mean + 2 * stddev
    ),
    "keras.variance_scaling": _keras_scaling,
    "keras.dense_default": lambda i, o: _scaled("uniform", 2.0 / (i + o)),
    "torch.zeros_": lambda i, o: _constant(0.0),
    "torch.ones_": lambda i, o: _constant(1.0),
    "torch.constant_": lambda i, o, val: _constant(val),
    "torch.eye_": lambda i, o: _eye(1.0, 1),
    "torch.dirac_": lambda i, o, groups=1: _eye(1.0, int(groups)),
    "torch.orthogonal_": lambda i, o, gain=1.0: _haar(gain),
    "torch.uniform_": lambda i, o, a=0.0, b=1.0: _uniform(a, b),
    "torch.normal_": lambda i, o, mean=0.0, std=1.0: _normal(mean, std),
    "torch.trunc_normal_": lambda i, o, mean=0.0, std=1.0, a=-2.0, b=2.0: _truncated(mean, std, a, b),
    "torch.xavier_uniform_": lambda i, o, gain=1.0: _scaled("uniform", gain**2 * 2.0 / (i + o)),
    "torch.xavier_normal_": lambda i, o, gain=1.0: _scaled("normal", gain**2 * 2.0 / (i + o)),
    "torch.kaiming_uniform_": _torch_kaiming("uniform"),
    "torch.kaiming_normal_": _torch_kaiming("normal"),
    "torch.sparse_": lambda i, o, sparsity, std=0.01: _sparse_columns(sparsity, std),
    "torch.linear_default": _fan_in_bound,
}
for _kind in ("normal", "uniform", "truncated"):
    _BY_NAME[f"lecun_{_kind}"] = lambda i, o, kind=_kind: _scaled(kind, 1.0 / i)
    _BY_NAME[f"glorot_{_kind}"] = lambda i, o, kind=_kind: _scaled(kind, 2.0 / (i + o))
    _BY_NAME[f"he_{_kind}"] = _he(_kind)
for _kind, _own in (("normal", "truncated"), ("uniform", "uniform")):
    _BY_NAME[f"keras.lecun_{_kind}"] = lambda i, o, kind=_own: _scaled(kind, 1.0 / i)
    _BY_NAME[f"keras.glorot_{_kind}"] = lambda i, o, kind=_own: _scaled(kind, 2.0 / (i + o))
    _BY_NAME[f"keras.he_{_kind}"] = lambda i, o, kind=_own: _scaled(kind, 2.0 / i)

NAMES = tuple(_BY_NAME)
