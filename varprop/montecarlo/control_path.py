"""The mean-field path that the control estimator leans on: maps, sensitivities, and how far they can be trusted."""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from varprop._validation import InputError
from varprop.activations.maps import VarianceMap
from varprop.montecarlo.conditional_means import SPREADS, gaussian_means
from varprop.montecarlo.nominal import nominal_exponents

if TYPE_CHECKING:
    from varprop.activations import Activation
    from varprop.spec import Network

Array = NDArray[Any]

_SIGMAS, _WIDE = 4.0, 10.0
_DEEPEST = 200  # binary exponents of sizes between which variances and their products stay in range


def why_no_control(network: Network) -> str:
    """Return why the control estimator is not available for a network, or an empty text."""
    if network.input.batch > 1:
        return f"the input has {network.input.batch} examples, and the control estimator takes one"
    for number, layer in enumerate(network.layers, start=1):
        weight, bias = network.weight_law(number), network.bias_law(number)
        if weight.family != "normal" or weight.mean != 0.0:
            return (
                f"layer {number} has {layer.weights.name} weights, and control needs normal ones with mean 0"
            )
        if bias.family not in ("normal", "constant"):
            return f"layer {number} has {layer.biases.name} biases, and control needs normal or constant ones"
    exponents = nominal_exponents(network)
    largest = float(np.abs(network.input.array()).max())
    if largest and not 2.0**-_DEEPEST < largest < 2.0**_DEEPEST:
        return "its inputs leave the range whose squares double precision holds"
    if max(map(abs, exponents), default=0) > _DEEPEST:
        return "its pre-activations leave the range of double precision"
    try:
        path(network)
    except InputError as error:
        return f"the moments of {error.value} cannot be integrated here"
    return ""


@dataclass(frozen=True, eq=False)
class Path:
    """The mean-field path of a network and the sensitivities along it; arrays of shape (depth,).

    Attributes
    ----------
    maps : tuple of VarianceMap, one per layer
        E phi, E phi², E phi'² as functions of k.
    k : array
        k̄.
    forward : array
        F_l'(k̄_l); 0 for the last layer.
    chi, chi_slope : arrays
        χ_l(k̄_l) and its derivative.
    step_variance, gap_variance : arrays
        Variance of the innovation that leads to layer l, and relative variance of D_l, at k̄.
    variance : array
        Of k_l, to first order in the innovations.
    affine : array of bool
        Whether every map below layer l is affine in its variance, so that k_l *is* its control.
    dead : array
        Probability that the layer below l, or (without biases) any before, is all zeros.
    """

    maps: tuple[VarianceMap, ...]
    k: Array
    forward: Array
    chi: Array
    chi_slope: Array
    step_variance: Array
    gap_variance: Array
    variance: Array
    affine: Array
    dead: Array


@functools.lru_cache(maxsize=64)
def path(network: Network) -> Path:
    """Work out the path of a network, once per process.

    Raises
    ------
    InputError
        If a moment cannot be integrated.
    """
    depth = network.depth
    weights = [network.weight_law(i + 1) for i in range(depth)]
    biases = [network.bias_law(i + 1) for i in range(depth)]
    fans = [network.fans(i + 1) for i in range(depth)]
    keys = [(layer.activation, bias.mean) for layer, bias in zip(network.layers, biases, strict=True)]
    x = network.input.array()
    variances = [weights[0].variance * float((x**2).sum()) + biases[0].variance]
    for i in range(depth - 1):
        # The point of expansion alone: whatever it is, it scales coefficients and biases nothing.
        phi, mean = keys[i]
        size = float(phi.moments(variances[-1], mean, fields=("second_moment",)).second_moment) * fans[i][1]
        variances.append(weights[i + 1].variance * size + biases[i + 1].variance)
    k = np.array(variances)
    higher = _higher(keys, k)
    width = np.array([fan[1] for fan in fans])
    gains = np.array([*(w.variance * fan[0] for w, fan in zip(weights[1:], fans[1:], strict=True)), 0.0])
    maps = _maps(keys, k, _reach(higher, width))
    values = np.array([m(k[i : i + 1])[:, 0] for i, m in enumerate(maps)])
    slopes = np.array([m.slopes(v) for m, v in zip(maps, variances, strict=True)])
    second, chi = values[:, 1], values[:, 2]
    forward = slopes[:, 1] * gains
    step = np.concatenate([[0.0], (gains**2 * np.maximum(higher[:, 0] - second**2, 0.0) / width)[:-1]])
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = np.where(chi > 0, np.maximum(higher[:, 1] / chi**2 - 1.0, 0.0) / width, 0.0)
    gap[-1] = 0.0
    variance, straight = step.copy(), np.ones(depth, bool)
    for i in range(1, depth):
        variance[i] += forward[i - 1] ** 2 * variance[i - 1]
        straight[i] = straight[i - 1] and is_homogeneous(*keys[i - 1])
    silent = higher[:, 2] ** width
    return Path(
        maps, k, forward, chi, slopes[:, 2], step, gap, variance, straight, _dead_before(silent, biases)
    )


def is_homogeneous(activation: Activation, mean: float) -> bool:
    """Say whether E phi² is proportional to the variance, and E phi'² and shares of either sign do not change."""
    return activation.slopes is not None and mean == 0.0


def _maps(keys: list[tuple[Activation, float]], k: Array, reach: Array) -> tuple[VarianceMap, ...]:
    tables: dict[Any, VarianceMap] = {}
    for key in dict.fromkeys(keys):
        own = [i for i, other in enumerate(keys) if other == key]
        ends = float((k[own] / reach[own]).min()), float((k[own] * reach[own]).max())
        tables[key] = VarianceMap(functools.partial(_means, *key), *ends)
    return tuple(tables[key] for key in keys)


def _reach(higher: Array, width: Array) -> Array:
    """Return factors within which most draws' variances lie, as if each layer passed on all fluctuations below it."""
    with np.errstate(divide="ignore", invalid="ignore"):
        local = np.nan_to_num(higher[:, 0] / np.square(higher[:, 3]) - 1.0, posinf=0.0) / width
    total = np.log1p(np.minimum(np.concatenate([[0.0], np.cumsum(local)[:-1]]), _WIDE))
    return np.asarray(np.exp(_SIGMAS * np.sqrt(total)))


def _means(activation: Activation, mean: float, k: Array) -> Array:
    return gaussian_means(activation, k, mean)


def _higher(keys: list[tuple[Activation, float]], k: Array) -> Array:
    """Return the means that `SPREADS` names, shape (depth, names)."""
    found = np.empty((len(keys), len(SPREADS)))
    for key in dict.fromkeys(keys):
        own = [i for i, other in enumerate(keys) if other == key]
        found[own] = gaussian_means(key[0], k[own], key[1], SPREADS).T
    return found


def _dead_before(silent: Array, biases: list[Any]) -> Array:
    dead = np.zeros(len(silent))
    for i, below in enumerate(itertools.islice(silent, len(silent) - 1), start=1):
        revived = biases[i - 1].variance > 0 or biases[i - 1].mean != 0
        before = 0.0 if revived else dead[i - 1]
        dead[i] = before + (1.0 - before) * below
    return dead
