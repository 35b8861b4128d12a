"""The smallest networks that exercise a closed form or a rule, by what they have that others have not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import varprop as vp


def alike(batch: int = 4, apart: float = 0.1, size: int = 400) -> Any:
    """Return inputs of `size` numbers, any two of correlation 1 - apart."""
    rng = np.random.default_rng(0)
    shared, own = rng.standard_normal((size, 1)), rng.standard_normal((size, batch))
    return vp.data((np.sqrt(1.0 - apart) * shared + np.sqrt(apart) * own).T)


def orthogonal() -> Any:
    """Return 255 orthogonal inputs of sum 0.

    Weights with a mean give the units of a layer a common part, one number per draw and input, and a row that rests on
    it is known to root(2/numbers) only. The parts of orthogonal inputs are independent: 255 numbers per draw.
    """
    from scipy.linalg import hadamard

    return vp.data(hadamard(256)[1:].astype(float))


def batched(activation: Any, head: Any = "unit", depth: int = 3) -> vp.Network:
    """Return a network of width 400 with four inputs that are alike."""
    return vp.mlp([400] * depth, activation, "lecun_normal", input=alike(), head=head)


def pulled(
    activation: Any, weights: str = "lecun_normal", biases: str = "zeros", apart: float = 0.1
) -> vp.Network:
    """Return a network whose 32 inputs share their gradients: outputs far from their targets.

    The gradient of the batch mean at the first layer is then E phi'_a phi'_b over pairs, and known well.
    """
    head = vp.Head("mse", 100.0)
    return vp.mlp([6000, 20], activation, weights, biases, input=alike(32, apart, 100), head=head)


class Skewed:
    """A law of weights with mean 0 and skewness 0.12 that is not symmetric: s (g + 0.02 (g² - 1))."""

    mean = 0.0

    def __init__(self, std: float) -> None:
        self.scale = std / np.sqrt(1.0 + 2.0 * 0.02**2)
        self.variance = std**2

    def sample(self, shape: Any, *, rng: np.random.Generator) -> Any:
        """Return independent draws."""
        g = rng.standard_normal(shape)
        return self.scale * (g + 0.02 * (np.square(g) - 1.0))


def skewed(activation: Any) -> vp.Network:
    """Return a network with skewed weights, wide enough to know its first layer to 0.2 %."""
    return vp.mlp([10_000, 20], activation, Skewed(0.1), input=vp.constant(100, 1.0))


def _one(activation: Any, biases: str = "zeros") -> vp.Network:
    return vp.mlp([200] * 3, activation, "lecun_normal", biases, input=vp.half_on(200))


def _several(activation: Any, biases: str = "zeros") -> vp.Network:
    return vp.mlp([400] * 3, activation, "lecun_normal", biases, input=alike())


def _shared(activation: Any, biases: str = "zeros") -> vp.Network:
    return vp.mlp([256, 256], activation, "normal(std=0.03, mean=0.1)", biases, input=orthogonal())


def _close(activation: Any, apart: float, weights: str = "normal(std=1.0)") -> vp.Network:
    return vp.mlp([2000, 400], activation, weights, input=alike(2, apart, 100))


_BIAS = "constant(value=0.4)"

STUDIES: Mapping[str, Callable[[Any], vp.Network]] = {
    "one input": _one,
    "one input, bias": lambda a: _one(a, _BIAS),
    "4 inputs": _several,
    "4 inputs, bias": lambda a: _several(a, _BIAS),
    "4 inputs, mse": lambda a: batched(a, vp.Head("mse", 0.0), 6),
    "32 inputs, far targets": pulled,
    "32 inputs 0.01 apart, far targets, wide weights": lambda a: pulled(a, "normal(std=0.5)", apart=0.011),
    "32 inputs, far targets, bias": lambda a: pulled(a, biases=_BIAS),
    # Series of Hermite polynomials do not reach steep functions of inputs this close; formulas do.
    "2 inputs 0.03 apart, wide weights": lambda a: _close(a, 0.03),
    "2 inputs 0.005 apart, wide weights": lambda a: _close(a, 0.005),
    "2 inputs 0.005 apart": lambda a: _close(a, 0.005, "lecun_normal"),
    "weights with a mean, orthogonal inputs": _shared,
    "weights with a mean, orthogonal inputs, bias": lambda a: _shared(a, _BIAS),
    "skewed weights": skewed,
}
"""Studies by name, the smaller first: an error is looked for in all that the changed form has a part in."""
