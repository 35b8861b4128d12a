"""What a sampler must know of a network, worked out once per plan: laws, thresholds, modes, grids."""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from varprop.montecarlo.nominal import nominal_exponents

if TYPE_CHECKING:
    from varprop.activations import Activation
    from varprop.initializers import Law
    from varprop.spec import Layer, Network

Array = NDArray[Any]

Mean = Literal["none", "known", "inputs", "units"]
"""What the pre-activation's mean over weights and biases is, at a fixed input: see `Step.mean`."""


@dataclass(frozen=True, eq=False)
class Step:
    """One layer as the samplers see it.

    Attributes
    ----------
    number : int
        From 1.
    layer : Layer
    fan_in, fan_out : int
    weight, bias : Law
    activation : Activation
    low, high : float
        Saturated means ``z <= low`` or ``z >= high``.
    inactive : tuple of (float, float)
    homogeneous : bool
        Whether ``phi(c z) = c phi(z)`` for c > 0.
    mean : {"none", "known", "inputs", "units"}
        ``none``: nothing is random up to here. ``known``: the weights have mean zero, so the mean is the bias
        law's. ``inputs``: it depends on the input and is the same for every unit. ``units``: it depends on both.
    exponent : int
        Histogram grid.
    """

    number: int
    layer: Layer
    fan_in: int
    fan_out: int
    weight: Law
    bias: Law
    activation: Activation
    low: float
    high: float
    inactive: tuple[tuple[float, float], ...]
    homogeneous: bool
    mean: Mean
    exponent: int


@dataclass(frozen=True, eq=False)
class Program:
    """A network as the samplers see it.

    Attributes
    ----------
    network : Network
    steps : tuple of Step
    x : array of float64, shape (n_0, B)
    copies : array of int, shape (B,) or None
        For every input the first equal one; None if all differ.
    histogram : bool
    compiled : bool
        Whether the compiled kernels are used.
    double : bool
        Whether to start in double precision: where some numbers do not vary, rounding would be all one sees.
    """

    network: Network
    steps: tuple[Step, ...]
    x: Array
    copies: Array | None
    histogram: bool
    compiled: bool
    double: bool

    @property
    def depth(self) -> int:
        """Number of layers."""
        return len(self.steps)

    @property
    def batch(self) -> int:
        """Number of inputs B."""
        return int(self.x.shape[1])

    @functools.cached_property
    def scaled_input(self) -> tuple[Array, int]:
        """The input in units of a power of two, and the power: 0 unless its squares strain single precision."""
        power = math.frexp(float(np.abs(self.x).max()))[1]
        return (self.x, 0) if abs(power) <= _NEAR else (np.ldexp(self.x, -power), power)


@functools.lru_cache(maxsize=64)
def compile_network(network: Network, share: float, histogram: bool, compiled: bool = False) -> Program:
    """Work out the program of a network; the same for every block of a plan."""
    exponents = nominal_exponents(network)
    steps = []
    random = False
    for number, layer in enumerate(network.layers, start=1):
        fan_in, fan_out = network.fans(number)
        weight, bias = network.weight_law(number), network.bias_law(number)
        random = random or not (weight.deterministic and bias.deterministic)
        tails = layer.activation.saturation(share)
        steps.append(
            Step(
                number,
                layer,
                fan_in,
                fan_out,
                weight,
                bias,
                layer.activation,
                tails.low,
                tails.high,
                tuple(layer.activation.inactive),
                layer.activation.slopes is not None,
                _mean_kind(weight, random),
                exponents[number - 1],
            )
        )
    x = network.input.array()
    double = any(step.mean == "none" or extreme(step.weight) or extreme(step.bias) for step in steps)
    double = double or size_ratio(x) > 2.0**_NEAR
    return Program(network, tuple(steps), x, _first_equal(x), histogram, compiled, double)


def extreme(law: Law) -> bool:
    """Say whether a law's values or their products with ordinary ones need more range than single precision has."""
    sizes = [size for size in (law.std, abs(law.mean)) if size]
    return any(not 1e-30 < size < 1e30 for size in sizes)


def size_ratio(x: Array) -> float:
    """Return the largest input's size over the smallest one's that is not zero; 1 if all are zero."""
    sizes = np.abs(x).max(axis=0)
    sizes = sizes[sizes > 0]
    if not sizes.size:
        return 1.0
    with np.errstate(over="ignore"):
        return float(sizes.max() / sizes.min())


def _mean_kind(weight: Law, random: bool) -> Mean:
    if not random:
        return "none"
    if weight.mean == 0.0 and weight.family != "identity":
        return "known"
    return "units" if weight.family == "identity" else "inputs"


def _first_equal(x: Array) -> Array | None:
    _, first, inverse = np.unique(x, axis=1, return_index=True, return_inverse=True)
    copies: Array = first[inverse.reshape(-1)]
    return None if np.array_equal(copies, np.arange(x.shape[1])) else copies


def bytes_per_draw(network: Network, sampler: str) -> int:
    """Return roughly how many bytes one draw holds while it is sampled, in single precision."""
    widths, batch = network.widths, network.input.batch
    if sampler == "chain":
        return 64 * network.depth
    inner = sum(widths[1:])
    held = 4 * batch * (4 * inner + widths[0])
    if sampler == "dense":
        sizes = [4 * a * b for a, b in itertools.pairwise(widths)]
        held += sum(sizes) if keeps_weights(network) else 2 * max(sizes)
    return held + 8 * 6 * batch * max(widths) + 16 * batch * batch


def keeps_weights(network: Network) -> bool:
    """Say whether a draw's weight matrices are few enough to keep them for the way back."""
    widths = network.widths
    return 4 * sum(a * b for a, b in itertools.pairwise(widths)) <= _BYTES


def group_sizes(network: Network, sampler: str, draws: int) -> list[int]:
    """Cut `draws` into groups that are sampled side by side, as equal as can be.

    A group is large enough to make vectorised work worth its calls and small enough for the caches; a few draws at
    least where memory allows, because some estimators compare the draws of a group.
    """
    elements = max(network.widths) * network.input.batch
    wide = max(1, _ELEMENTS // elements)
    fits = max(1, _BYTES // bytes_per_draw(network, sampler))
    size = min(max(wide, _FEWEST), fits, draws)
    number = math.ceil(draws / size)
    return [draws // number + (i < draws % number) for i in range(number)]


_NEAR = 40  # binary exponents of inputs whose squares, and those of products with ordinary weights, are safe
_ELEMENTS = 3 << 16
_BYTES = 1 << 28
_FEWEST = 4
