"""The control estimator: conditional means and a martingale instead of raw averages, for one input.

With Gaussian weights and biases, layer l's pre-activations given the layer below are iid N(m_l, k_l) with

    k_l = s_l |h^{l-1}|² + s_b,l,      E[k_{l+1} | k_l] = F_l(k_l) = s_{l+1} n_l V_l(k_l) + s_b,l+1,

V_l(k) = E phi(z)², z ~ N(m_l, k). Three steps, each of which leaves the mean as it is at any width:

1. *Rao and Blackwell.* A forward quantity, E[f(z)] over units, is replaced by its mean given k_l, a known function
   f_l(k_l). A squared gradient is replaced by its mean given the forward pass. With w = W h the weights' part of z,
   P = E|delta|² and S = E(w·delta)², the conditional law of the way back (see `samplers.conditional`) gives

       |Wᵀ delta|²: S/H + s P (n - 1),
       P' = S A/H² + s P (D - A/H),   S' = S C²/H² + s P (Z - C²/H),

   with sums over the units of the layer below, H = Σ phi², A = Σ phi'² phi², C = Σ w phi' phi, D = Σ phi'²,
   Z = Σ w² phi'². No gradient is drawn.
2. *Martingale.* The innovations k_{l+1} - F_l(k_l) and D_l - n_l χ_l(k_l), χ = E phi'², have conditional mean zero
   exactly. Any constant times them may be subtracted.
3. *Coefficients.* The constants are the sensitivities of the quantity to each innovation along the mean-field path
   k̄_{l+1} = F_l(k̄_l). To first order in the innovations the quantity *is* its control, so that what remains is
   of second order: the variance falls by a factor that grows like the width.

Sources: control variates and conditioning as in Asmussen and Glynn (2007), *Stochastic Simulation*, ch. V; the
Markov chain of k_l as in Hanin (2022, arXiv:2204.01058). The recursion for P and S is derived above.
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from varprop.activations import interval_probability
from varprop.activations.maps import FIELDS, MomentMap
from varprop.montecarlo.nominal import nominal_exponents

if TYPE_CHECKING:
    from varprop.montecarlo.samplers.program import Program, Step
    from varprop.spec import Network

Array = NDArray[Any]

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
    return ""


@dataclass(frozen=True, eq=False)
class Path:
    """The mean-field path of a network and the sensitivities along it.

    Attributes
    ----------
    maps : tuple of MomentMap, one per layer
    k : array of shape (depth,)
        k̄.
    forward : array of shape (depth,)
        F_l'(k̄_l); 0 for the last layer.
    chi, chi_slope : arrays of shape (depth,)
        χ_l(k̄_l) and its derivative.
    """

    maps: tuple[MomentMap, ...]
    k: Array
    forward: Array
    chi: Array
    chi_slope: Array


@functools.lru_cache(maxsize=64)
def path(program: Program) -> Path:
    """Work out the path of a program, once per process."""
    steps = program.steps
    variances = [steps[0].weight.variance * float((program.x**2).sum()) + steps[0].bias.variance]
    for step, after in itertools.pairwise(steps):
        moments = step.activation.moments(variances[-1], step.bias.mean, fields=("second_moment",))
        size = float(moments.second_moment) * step.fan_out
        variances.append(after.weight.variance * size + after.bias.variance)
    k = np.array(variances)
    tables: dict[Any, MomentMap] = {}
    maps = []
    for step in steps:
        key = (step.activation, step.bias.mean)
        if key not in tables:
            same = [v for s, v in zip(steps, variances, strict=True) if (s.activation, s.bias.mean) == key]
            tables[key] = MomentMap(step.activation, step.bias.mean, min(same), max(same))
        maps.append(tables[key])
    slopes = np.array([m.slopes(v) for m, v in zip(maps, variances, strict=True)])
    gains = [after.weight.variance * after.fan_in for after in steps[1:]]
    chi = np.array([m(np.array([v]))[2, 0] for m, v in zip(maps, variances, strict=True)])
    return Path(tuple(maps), k, slopes[:, 1] * np.array([*gains, 0.0]), chi, slopes[:, 2])


@dataclass(frozen=True, eq=False)
class Sums:
    """What one layer of a group leaves for the control estimator, arrays of shape (draws,).

    Attributes
    ----------
    k : array
        Conditional variance of the pre-activations.
    h : array
        |h|² of the layer's input.
    a, c, d, z : array
        The sums A, C, D, Z of the layer.
    """

    k: Array
    h: Array
    a: Array
    c: Array
    d: Array
    z: Array


@dataclass(frozen=True, eq=False)
class Innovations:
    """The zero-mean steps of a group, arrays of shape (draws, depth).

    Attributes
    ----------
    step : array
        ``k_l - F_{l-1}(k_{l-1})``, 0 at the first layer.
    drift : array
        The steps up to layer l carried along the mean-field path: k_l - drift_l is k_l's control estimate.
    gap : array
        ``(D_l / n_l - χ_l(k_l)) / χ_l(k̄_l)``, 0 at the last layer.
    """

    step: Array
    drift: Array
    gap: Array


def forward_values(program: Program, sums: list[Sums]) -> tuple[dict[str, Array], Innovations]:
    """Return the forward quantities, arrays of shape (draws, depth), and the innovations."""
    mean_field, depth = path(program), program.depth
    shape = (len(sums[0].k), depth)
    new = Innovations(np.zeros(shape), np.zeros(shape), np.zeros(shape))
    values = {name: np.empty(shape) for name in (*_DIRECT, *_OF_FIELD.values(), *_FRACTIONS)}
    for i, (step, held) in enumerate(zip(program.steps, sums, strict=True)):
        table, typical = mean_field.maps[i], float(mean_field.k[i])
        moments, slopes = table(held.k), table.slopes(typical)
        if i:
            below = sums[i - 1]
            expected = step.weight.variance * step.fan_in * mean_field.maps[i - 1](below.k)[1]
            new.step[:, i] = held.k - expected - step.bias.variance
            new.drift[:, i] = mean_field.forward[i - 1] * new.drift[:, i - 1] + new.step[:, i]
        if i + 1 < depth and mean_field.chi[i] > 0:
            new.gap[:, i] = (held.d / step.fan_out - moments[2]) / mean_field.chi[i]
        drift = new.drift[:, i]
        values["preactivation_variance"][:, i] = held.k - drift
        values["preactivation_second_moment"][:, i] = held.k - drift + step.bias.mean**2
        values["preactivation_mean"][:, i] = step.bias.mean
        for place, field in enumerate(FIELDS):
            values[_OF_FIELD[field]][:, i] = moments[place] - slopes[place] * drift
        ends = typical * np.array([1 - _STEP, 1 + _STEP])
        for name in _FRACTIONS:
            share, near = _fraction(step, name, held.k), _fraction(step, name, ends)
            slope = (near[1] - near[0]) / (ends[1] - ends[0]) if typical > 0 else 0.0
            values[name][:, i] = share - slope * drift
    return values, new


def backward_values(
    program: Program, sums: list[Sums], p: Array, s: Array, new: Innovations
) -> dict[str, Array]:
    """Return the squared gradients' conditional means less their martingale, arrays of shape (draws, depth).

    Parameters
    ----------
    p, s : arrays of shape (draws,)
        E|delta|² and E(w·delta)² of the last layer given the forward pass.
    """
    mean_field, depth = path(program), program.depth
    values = {name: np.empty((len(p), depth)) for name in _BACKWARD}
    typical = _typical_start(program, float(mean_field.k[-1]))
    # d log p̄ / d k̄ of the layers above, and the controls that they bring along.
    sensitivity, above = 0.0, np.zeros(len(p))
    for i in range(depth - 1, -1, -1):
        step, held = program.steps[i], sums[i]
        variance = step.weight.variance
        own = np.divide(1.0, held.h, out=np.zeros_like(held.h), where=held.h > 0)
        back = s * own + variance * p * (step.fan_in - (held.h > 0))
        if i < depth - 1 and mean_field.chi[i] > 0:
            sensitivity = mean_field.chi_slope[i] / mean_field.chi[i] + mean_field.forward[i] * sensitivity
            above = above + new.gap[:, i]
        drift = new.drift[:, i]
        relative = above + sensitivity * drift
        size = (mean_field.k[i] - step.bias.variance) / variance
        entry = relative + (drift / (variance * size) if i and size > 0 else 0.0)
        entries = step.fan_in * step.fan_out
        values["gradient_preactivation"][:, i] = (p - typical * relative) / step.fan_out
        values["gradient_weight"][:, i] = (p * held.h - typical * size * entry) / entries
        values["gradient_input"][:, i] = (back - variance * step.fan_in * typical * relative) / step.fan_in
        if i:
            below = sums[i - 1]
            p, s = (
                s * below.a * own**2 + variance * p * (below.d - below.a * own),
                s * below.c**2 * own**2 + variance * p * (below.z - below.c**2 * own),
            )
            typical *= variance * step.fan_in * float(mean_field.chi[i - 1])
            above = above + sensitivity * new.step[:, i]
    values["gradient_bias"] = values["gradient_preactivation"]
    values["gradient_weight_batch"] = values["gradient_weight"]
    return values


_DIRECT = ("preactivation_mean", "preactivation_variance", "preactivation_second_moment")
_OF_FIELD = {
    "mean": "activation_mean",
    "second_moment": "activation_second_moment",
    "derivative_second_moment": "derivative_second_moment",
}
_FRACTIONS = ("saturated_fraction", "inactive_fraction", "dead_fraction")
_BACKWARD = ("gradient_preactivation", "gradient_weight", "gradient_input")
_STEP = 1e-3


def _fraction(step: Step, name: str, k: Array) -> Array:
    """Return the probability of a set of pre-activations at variances k; with one input, inactive is dead."""
    mean = step.bias.mean
    if name == "saturated_fraction":
        if step.low >= step.high:
            return np.ones(k.shape)
        intervals: tuple[tuple[float, float], ...] = ((-np.inf, step.low), (step.high, np.inf))
    else:
        intervals = step.inactive
    # Disjoint, so the probabilities add.
    return sum((interval_probability(low, high, mean, k) for low, high in intervals), np.zeros(k.shape))


def _typical_start(program: Program, k: float) -> float:
    """Return roughly E|delta|² of the last layer; it scales coefficients and biases nothing."""
    step, network = program.steps[-1], program.network
    if network.head.kind == "unit":
        return float(step.fan_out)
    if network.head.kind == "mse":
        assert network.targets is not None
        return step.fan_out * (k + step.bias.mean**2) + float((network.targets**2).sum())
    if network.head.kind == "bce":
        return step.fan_out / 4
    return 1 - 1 / step.fan_out
