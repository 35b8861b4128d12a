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

The known functions F, V, χ come from `conditional_means`, by a route that the prediction does not take, and the means
of the innovations are kept, to be tested for zero. Where the innovations are so large that second order is no small
one (`WIDEST`), a row keeps its plain value.

Sources: control variates and conditioning as in Asmussen and Glynn (2007), *Stochastic Simulation*, ch. V; the
Markov chain of k_l as in Hanin (2022, arXiv:2204.01058). The recursion for P and S is derived above.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from varprop.activations.maps import FIELDS
from varprop.montecarlo.conditional_means import below as probability_below
from varprop.montecarlo.control_path import is_homogeneous, path
from varprop.montecarlo.scaled import Power

if TYPE_CHECKING:
    from varprop.montecarlo.samplers.program import Program, Step

Array = NDArray[Any]
Values = dict[str, tuple[Array, Power]]
"""Per-draw values of shape (draws, depth), with the binary exponents of the layers."""

WIDEST = 0.1
"""Relative variance of what a control removes up to which the rest, of second order, is taken as small."""

_FAR = 64  # binary exponents from which the size of the gradient is taken out


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
    relative : array of shape (draws, depth, 2)
        Both in units of their conditional means, for the test; NaN where there is none.
    """

    step: Array
    drift: Array
    gap: Array
    relative: Array


def forward_values(program: Program, sums: list[Sums]) -> tuple[Values, Innovations]:
    """Return the forward quantities and the innovations."""
    mean_field, depth = path(program.network), program.depth
    shape = (len(sums[0].k), depth)
    zeros = (np.zeros(shape), np.zeros(shape), np.zeros(shape))
    new = Innovations(*zeros, np.full((*shape, 2), np.nan))
    values = {name: np.empty(shape) for name in (*_DIRECT, *_OF_FIELD.values(), *_FRACTIONS)}
    for i, (step, held) in enumerate(zip(program.steps, sums, strict=True)):
        table, typical = mean_field.maps[i], float(mean_field.k[i])
        moments, slopes = table(held.k), table.slopes(typical)
        if i:
            below = sums[i - 1]
            expected = step.weight.variance * step.fan_in * mean_field.maps[i - 1](below.k)[1]
            new.step[:, i] = held.k - expected - step.bias.variance
            new.drift[:, i] = mean_field.forward[i - 1] * new.drift[:, i - 1] + new.step[:, i]
            new.relative[:, i, 0] = _ratio(new.step[:, i], expected)
        if i + 1 < depth and mean_field.chi[i] > 0:
            gap = held.d / step.fan_out - moments[2]
            new.gap[:, i] = gap / mean_field.chi[i]
            new.relative[:, i, 1] = _ratio(gap, moments[2])
        drift = new.drift[:, i]
        values["preactivation_variance"][:, i] = held.k - drift
        values["preactivation_second_moment"][:, i] = held.k - drift + step.bias.mean**2
        values["preactivation_mean"][:, i] = step.bias.mean
        for place, field in enumerate(FIELDS):
            values[_OF_FIELD[field]][:, i] = moments[place] - slopes[place] * drift
        for name in _FRACTIONS:
            values[name][:, i] = fraction(step, name, held.k) - _fraction_slope(step, name, typical) * drift
    return {name: (value, 0) for name, value in values.items()}, new


def _fraction_slope(step: Step, name: str, k: float) -> float:
    """Return the derivative of a fraction by the conditional variance, by a central difference."""
    low, high = fraction(step, name, k * np.array([1 - _STEP, 1 + _STEP]))
    return float(high - low) / (2 * _STEP * k) if k > 0 else 0.0


def _relative_slope(step: Step, name: str, k: float) -> float:
    share = float(fraction(step, name, np.array([k]))[0])
    return _fraction_slope(step, name, k) / share if share > 0 else 0.0


def _ratio(one: Array, other: Array) -> Array:
    ratio: Array = np.divide(one, other, out=np.full(one.shape, np.nan), where=other > 0)
    return ratio


def backward_values(program: Program, sums: list[Sums], p: Array, s: Array, new: Innovations) -> Values:
    """Return the squared gradients' conditional means less their martingale.

    Parameters
    ----------
    p, s : arrays of shape (draws,)
        E|delta|² and E(w·delta)² of the last layer given the forward pass.
    """
    mean_field, depth = path(program.network), program.depth
    values = {name: np.empty((len(p), depth)) for name in _BACKWARD}
    powers, power = np.zeros(depth, np.int64), 0
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
        powers[i] = power
        if i:
            below = sums[i - 1]
            p, s = (
                s * below.a * own**2 + variance * p * (below.d - below.a * own),
                s * below.c**2 * own**2 + variance * p * (below.z - below.c**2 * own),
            )
            typical *= variance * step.fan_in * float(mean_field.chi[i - 1])
            above = above + sensitivity * new.step[:, i]
            far = math.frexp(typical)[1]
            if typical > 0 and abs(far) > _FAR:
                p, s, typical = np.ldexp(p, -far), np.ldexp(s, -far), math.ldexp(typical, -far)
                power += far
    values["gradient_bias"] = values["gradient_preactivation"]
    values["gradient_weight_batch"] = values["gradient_weight"]
    return {name: (value, powers) for name, value in values.items()}


@functools.lru_cache(maxsize=64)
def controlled(program: Program) -> dict[str, Array]:
    """Return of every quantity in which layers control holds, arrays of bool of shape (depth,).

    To first order in the innovations a quantity *is* its control. It holds where the rest is of higher order in
    something small, or is exactly 0.
    """
    mean_field, depth = path(program.network), program.depth
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.nan_to_num(mean_field.variance / mean_field.k**2)
    narrow = spread <= WIDEST
    rows = dict.fromkeys(_DIRECT, narrow | mean_field.affine)
    homogeneous = np.array([is_homogeneous(step.activation, step.bias.mean) for step in program.steps])
    for name in ("activation_second_moment", "derivative_second_moment"):
        rows[name] = narrow | (mean_field.affine & homogeneous)
    for name in _FRACTIONS:
        # A rare tail changes by a multiple of what the variance does, and is as skewed as that.
        tails = np.array(
            [_relative_slope(step, name, k) for step, k in zip(program.steps, mean_field.k, strict=True)]
        )
        rows[name] = (narrow & (tails**2 * mean_field.variance <= WIDEST)) | (mean_field.affine & homogeneous)
    rows["activation_mean"] = narrow
    above, sensitivity = 0.0, 0.0
    path_spread, entry_spread = np.zeros(depth), np.zeros(depth)
    for i in range(depth - 1, -1, -1):
        if i < depth - 1 and mean_field.chi[i] > 0:
            sensitivity = mean_field.chi_slope[i] / mean_field.chi[i] + mean_field.forward[i] * sensitivity
            above += mean_field.gap_variance[i]
        path_spread[i] = above + sensitivity**2 * mean_field.variance[i]
        size = mean_field.k[i] - program.steps[i].bias.variance
        entry = sensitivity + (1 / size if i and size > 0 else 0.0)
        entry_spread[i] = above + entry**2 * mean_field.variance[i]
        above += sensitivity**2 * mean_field.step_variance[i]
    for name in ("gradient_preactivation", "gradient_bias", "gradient_input"):
        rows[name] = path_spread <= WIDEST
    for name in ("gradient_weight", "gradient_weight_batch"):
        rows[name] = entry_spread <= WIDEST
    return rows


@functools.lru_cache(maxsize=64)
def event_errors(program: Program) -> dict[str, Array]:
    """Return the standard deviation over draws that dying layers alone give each quantity, shape (depth,).

    An event that no draw has shown leaves no spread. Its probability, here the conditional one, bounds what it can
    have done: the standard error is at least this over the root of the number of draws. Backward quantities are in
    units of their value.
    """
    mean_field, depth = path(program.network), program.depth
    chance = np.sqrt(mean_field.dead * (1.0 - mean_field.dead))
    errors = {name: np.zeros(depth) for name in (*_OF_FIELD.values(), *_FRACTIONS)}
    for i, step in enumerate(program.steps):
        if not chance[i]:
            continue
        k, dead = float(mean_field.k[i]), step.bias.variance
        table, slopes = mean_field.maps[i], mean_field.maps[i].slopes(k)
        jump = table(np.array([dead]))[:, 0] - table(np.array([k]))[:, 0] - slopes * (dead - k)
        for place, name in enumerate(_OF_FIELD.values()):
            errors[name][i] = chance[i] * abs(jump[place])
        for name in _FRACTIONS:
            share = fraction(step, name, np.array([dead, k]))
            errors[name][i] = chance[i] * abs(share[0] - share[1])
    for name in (*_BACKWARD, "gradient_bias", "gradient_weight_batch"):
        errors[name] = np.full(depth, chance[-1])
    if program.network.head.kind == "unit":
        # Nothing below the head changes its gradient: only the weight's own rests on what the layer below sends.
        for name in ("gradient_preactivation", "gradient_bias", "gradient_input"):
            errors[name][-1] = 0.0
    return errors


_DIRECT = ("preactivation_mean", "preactivation_variance", "preactivation_second_moment")
_OF_FIELD = {
    "mean": "activation_mean",
    "second_moment": "activation_second_moment",
    "derivative_second_moment": "derivative_second_moment",
}
_FRACTIONS = ("saturated_fraction", "inactive_fraction", "dead_fraction")
_BACKWARD = ("gradient_preactivation", "gradient_weight", "gradient_input")
_STEP = 1e-3


def fraction(step: Step, name: str, k: Array) -> Array:
    """Return the probability of a set of pre-activations at variances k; with one input, inactive is dead."""
    mean = step.bias.mean
    if name == "saturated_fraction":
        if step.low >= step.high:
            return np.ones(k.shape)
        intervals: tuple[tuple[float, float], ...] = ((-np.inf, step.low), (step.high, np.inf))
    else:
        intervals = step.inactive
    # Disjoint, so the probabilities add; the ends belong to an interval, which matters at variance 0 alone.
    total = np.zeros(k.shape)
    for low, high in intervals:
        if high == math.inf:  # from the upper side, where a small tail keeps its digits
            inside = probability_below(-low, -mean, k)
        else:
            inside = probability_below(high, mean, k) - probability_below(low, mean, k)
        total += np.where(k > 0, inside, float(low <= mean <= high))
    return total


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
