"""The rough size of every layer's pre-activations, to place histogram bins before anything is drawn.

Only a grid depends on it, never an estimate, so a coarse infinite-width recursion is enough.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from varprop.spec import Network

_SMALLEST, _GREATEST = 1e-300, 1e300

# Midpoints and weights of a plain Riemann sum for N(0, 1).
_NODES = (np.arange(-60, 60) + 0.5) / 10
_WEIGHTS = np.exp(-(_NODES**2) / 2) / np.exp(-(_NODES**2) / 2).sum()


@functools.lru_cache(maxsize=64)
def nominal_exponents(network: Network) -> tuple[int, ...]:
    """Return, for every layer, the whole number e such that 2**e is near the expected size of z.

    Examples
    --------
    >>> from varprop.spec import mlp
    >>> nominal_exponents(mlp("1000,1000", activation="tanh", weights="standard_normal"))
    (4, 5)
    """
    data = network.input.array()
    with np.errstate(over="ignore"):
        second, mean_square = float(np.mean(data**2)), float(np.mean(data.mean(axis=0) ** 2))
    exponents = []
    for number, layer in enumerate(network.layers, start=1):
        fan_in, _ = network.fans(number)
        weight, bias = network.weight_law(number), network.bias_law(number)
        second, mean_square = min(second, _GREATEST), min(mean_square, _GREATEST)
        spread = max(weight.second_moment - weight.mean**2, 0.0)
        size = fan_in * spread * second + fan_in**2 * weight.mean**2 * mean_square + bias.second_moment
        size = min(max(size, _SMALLEST), _GREATEST)
        exponents.append(round(math.log2(size) / 2))
        with np.errstate(all="ignore"):
            values = np.nan_to_num(layer.activation(math.sqrt(size) * _NODES))
        values = np.clip(values, -1e150, 1e150)
        second, mean_square = float(_WEIGHTS @ values**2), float(_WEIGHTS @ values) ** 2
    return tuple(exponents)
