"""From the state of a layer to its entries: every quantity of the contract, with its label."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from varprop.analytic.entries import NO_SHIFT, Entry, Shift, moment, number, unpredicted
from varprop.analytic.fluctuations import Fluctuation, GradientFluctuation
from varprop.analytic.gradients import Gradients
from varprop.analytic.responses import set_responses
from varprop.analytic.sets import Interval, tails
from varprop.analytic.states import KnownLayer, LayerState
from varprop.analytic.unit_sets import unit_probability

Array = NDArray[np.float64]

LARGE = 0.5
"""Relative corrections beyond this are not trusted: the next order would be a quarter of the value."""

STRONGEST_KURTOSIS = 0.6
"""Excess kurtosis of a sum up to which its law is corrected by the fourth cumulant (Edgeworth)."""


def gradient_entries(
    gradients: Gradients, finite: GradientFluctuation | None, choice: str, note: str
) -> dict[str, Entry]:
    """Return the gradient quantities of one layer."""
    why = gradients.reasons
    shifts = dict.fromkeys(("preactivation", "weight", "input"), NO_SHIFT)
    if finite is not None:
        for name in shifts:
            values = getattr(finite, name)
            strength = float(np.max(finite.log_variance))
            shifts[name] = Shift(values, choice, strength, finite.reason or _doubt(np.abs(values)))
    before = moment(gradients.log_preactivation, gradients.exact, why, note, shifts["preactivation"])
    return {
        "gradient_preactivation": before,
        "gradient_weight": moment(
            gradients.log_weight, gradients.exact_weight, gradients.weight_reasons, note, shifts["weight"]
        ),
        "gradient_bias": before,
        "gradient_input": moment(gradients.log_input, gradients.exact_input, why, note, shifts["input"]),
    }


def random_entries(state: LayerState, finite: Fluctuation, share: float, choice: str) -> dict[str, Entry]:
    """Return the forward quantities of one random layer."""
    state, shape = _edgeworth(state, finite)
    one, none = np.ones_like(state.unit.mean), np.zeros_like(state.unit.mean)
    unit, means, exact, why, a = state.unit, state.averages, state.exact, state.reasons, finite.answer
    strengths = finite.spread + np.abs(finite.shift) + np.abs(finite.kurtosis) / 3.0
    trust = Shift(none, choice, float(np.max(strengths)), finite.reason or _doubt(strengths))

    def moved(first: Array, second: Array, of: Array | None = None) -> Shift:
        if state.shape_reason:
            return NO_SHIFT
        change = first * finite.shift + second * finite.second
        return replace(trust, values=change if of is None else np.log1p(np.maximum(change * of, -0.9)))

    with np.errstate(over="ignore", invalid="ignore"):
        # The shift concerns the Gaussian part of the variance; a mean, and a bias of another law, stay.
        of_variance = np.exp(unit.log_variance - _finite(unit.log_total_variance))
        of_second = np.exp(unit.log_variance - _finite(unit.log_second_moment))
        level = float(np.sqrt(np.mean(np.exp(means.log_second_moment))))
    return {
        "preactivation_mean": number(unit.mean, exact.mean, why),
        "preactivation_variance": moment(
            unit.log_total_variance, exact.variance, why, "", moved(one, none, of_variance)
        ),
        "preactivation_second_moment": moment(
            unit.log_second_moment, exact.variance and exact.mean, why, "", moved(one, none, of_second)
        ),
        "activation_mean": _activation_mean(state, shape, moved(a.mean2, a.mean4), level),
        "activation_second_moment": moment(
            means.log_second_moment, state.exact_second_moment, shape, means.reason,
            moved(a.square2, a.square4, one),
        ),
        "saturated_fraction": _fraction(state, finite, saturation_set(state, share), shape, trust),
        "inactive_fraction": _fraction(state, finite, state.activation.inactive, shape, trust),
        "derivative_second_moment": moment(
            means.log_derivative, state.exact_derivative, shape, means.reason,
            moved(a.slope2, a.slope4, one),
        ),
    }  # fmt: skip


def _activation_mean(state: LayerState, why: tuple[str, ...], shift: Shift, scale: float) -> Entry:
    phi, probe = state.activation, np.linspace(0.0, 9.0, 37)
    centre = float(phi(np.zeros(1))[0])
    # A law that is symmetric about 0 sees only the even part of the activation: tanh, sigmoid - 1/2, sin.
    odd = np.allclose(phi(probe) + phi(-probe), 2.0 * centre, rtol=4e-16, atol=4e-16 * abs(centre))
    if state.exact.mirrored and odd:
        return number(np.full_like(state.unit.mean, centre), True, ())
    return number(state.averages.mean, state.exact_mean, why, state.averages.reason, shift, scale)


def saturation_set(state: LayerState | KnownLayer, share: float) -> tuple[Interval, ...]:
    """Return the saturation set of a layer's activation as intervals."""
    ends = state.activation.saturation(share)
    return tails(ends.low, ends.high)


def _edgeworth(state: LayerState, finite: Fluctuation) -> tuple[LayerState, tuple[str, ...]]:
    """Correct the averages of a first layer with non-Gaussian weights by the fourth cumulant."""
    if not state.shape_reason:
        return state, state.reasons
    if np.abs(state.unit.kurtosis).max() > STRONGEST_KURTOSIS:
        why = "its excess kurtosis is too large to correct for, so it is taken as Gaussian"
        return state, (*state.reasons, f"{state.shape_reason}; {why}")
    a, weight, means = finite.answer, state.unit.kurtosis / 3.0, state.averages
    corrected = replace(
        means,
        mean=means.mean + a.mean4 * weight,
        log_second_moment=means.log_second_moment + np.log1p(np.maximum(a.square4 * weight, -0.9)),
        log_derivative=means.log_derivative + np.log1p(np.maximum(a.slope4 * weight, -0.9)),
    )
    why = f"{state.shape_reason}; corrected to the fourth cumulant"
    return replace(state, averages=corrected), (*state.reasons, why)


def _fraction(
    state: LayerState,
    finite: Fluctuation,
    intervals: tuple[Interval, ...],
    why: tuple[str, ...],
    trust: Shift,
) -> Entry:
    if not intervals:
        return number(np.zeros_like(state.unit.mean), True, ())
    if state.averages.reason:
        return unpredicted(state.averages.reason)
    share = unit_probability(state.unit, state.biases, intervals)
    if state.exact.law:
        return number(share, True, ())
    only_signs = all(bound == 0.0 or np.isinf(bound) for interval in intervals for bound in interval)
    if only_signs and state.signs is not None:
        return number(state.signs.probability(intervals), True, ())
    second, fourth = set_responses(state, intervals)
    if state.shape_reason:
        if np.abs(state.unit.kurtosis).max() <= STRONGEST_KURTOSIS:
            share = np.clip(share + fourth * state.unit.kurtosis / 3.0, 0.0, 1.0)
        return number(share, False, why)
    moved = replace(trust, values=second * finite.shift + fourth * finite.second)
    return number(share, False, why, shift=moved, bounds=(0.0, 1.0))


def _doubt(sizes: Array) -> str:
    worst = float(sizes.max()) if sizes.size else 0.0
    return f"the 1/n correction of {worst:.0%} is too large to trust" if worst > LARGE else ""


def _finite(logs: Array) -> Array:
    return np.where(np.isneginf(logs), 0.0, logs)


def known_entries(layer: KnownLayer, share: float) -> dict[str, Entry]:
    """Return the forward quantities of a layer without randomness: its values, which do not vary."""
    z, a = layer.preactivations, layer.activations
    with np.errstate(divide="ignore"):
        log_slope = np.log(np.mean(np.square(layer.slopes), axis=0))

    def inside(intervals: tuple[Interval, ...]) -> Array:
        return np.asarray(z.within(intervals).mean(axis=0))

    return {
        "preactivation_mean": number(z.mean, True, ()),
        "preactivation_variance": moment(np.full(z.log_scale.shape, -np.inf), True, ()),
        "preactivation_second_moment": moment(z.log_mean_square, True, ()),
        "activation_mean": number(a.mean, True, ()),
        "activation_second_moment": moment(a.log_mean_square, True, ()),
        "saturated_fraction": number(inside(saturation_set(layer, share)), True, ()),
        "inactive_fraction": number(inside(layer.activation.inactive), True, ()),
        "derivative_second_moment": moment(log_slope, True, ()),
    }
