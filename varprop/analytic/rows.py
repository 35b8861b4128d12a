"""From the state of a layer to its entries: every quantity of the contract, with its label."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from varprop.analytic.entries import Entry, moment, number
from varprop.analytic.gradients import Gradients
from varprop.analytic.sets import Interval, probability, tails
from varprop.analytic.states import KnownLayer, LayerState

Array = NDArray[np.float64]

FORWARD = (
    "preactivation_mean",
    "preactivation_variance",
    "preactivation_second_moment",
    "activation_mean",
    "activation_second_moment",
    "saturated_fraction",
    "inactive_fraction",
    "derivative_second_moment",
)


def gradient_entries(gradients: Gradients, note: str) -> dict[str, Entry]:
    """Return the gradient quantities of one layer."""
    why = gradients.reasons
    return {
        "gradient_preactivation": moment(gradients.log_preactivation, gradients.exact, why, note),
        "gradient_weight": moment(gradients.log_weight, gradients.exact_weight, why, note),
        "gradient_bias": moment(gradients.log_preactivation, gradients.exact, why, note),
        "gradient_input": moment(gradients.log_input, gradients.exact_input, why, note),
    }


def random_entries(state: LayerState, share: float) -> dict[str, Entry]:
    """Return the forward quantities of one random layer."""
    unit, means, exact, why = state.unit, state.averages, state.exact, state.reasons
    shape = (*why, state.shape_reason) if state.shape_reason else why
    note = means.reason
    log_derivative, exact_derivative = means.log_derivative, state.exact_derivative
    return {
        "preactivation_mean": number(unit.mean, exact.mean, why),
        "preactivation_variance": moment(unit.log_total_variance, exact.variance, why),
        "preactivation_second_moment": moment(unit.log_second_moment, exact.variance and exact.mean, why),
        "activation_mean": number(means.mean, state.exact_mean, shape, note),
        "activation_second_moment": moment(means.log_second_moment, state.exact_second_moment, shape, note),
        "saturated_fraction": _fraction(state, saturation_set(state, share), shape),
        "inactive_fraction": _fraction(state, state.activation.inactive, shape),
        "derivative_second_moment": moment(log_derivative, exact_derivative, shape, note),
    }


def saturation_set(state: LayerState | KnownLayer, share: float) -> tuple[Interval, ...]:
    """Return the saturation set of a layer's activation as intervals."""
    ends = state.activation.saturation(share)
    return tails(ends.low, ends.high)


def _fraction(state: LayerState, intervals: tuple[Interval, ...], why: tuple[str, ...]) -> Entry:
    if not intervals:
        return number(np.zeros_like(state.zero), True, ())
    means, logs, weights = state.unit.components()
    with np.errstate(over="ignore"):
        share = (weights * probability(intervals, means, np.exp(0.5 * logs))).sum(axis=0)
    if state.exact.law:
        return number(share, True, ())
    # Only the sign matters, and signs are fair coins in every layer that is not silent.
    only_signs = all(bound == 0.0 or np.isinf(bound) for interval in intervals for bound in interval)
    if only_signs and state.exact.mirrored and state.no_atoms:
        at_zero = float(any(low <= 0.0 <= high for low, high in intervals))
        return number((1.0 - state.zero) * share + state.zero * at_zero, True, ())
    return number(share, False, why)


def known_entries(layer: KnownLayer, share: float) -> dict[str, Entry]:
    """Return the forward quantities of a layer without randomness: its values, which do not vary."""
    z, a = layer.preactivations, layer.activations
    with np.errstate(over="ignore", divide="ignore"):
        actual = z.values * np.exp(z.log_scale)
        log_slope = np.log(np.mean(np.square(layer.slopes), axis=0))
    inside: Callable[[tuple[Interval, ...]], Array] = lambda intervals: probability(  # noqa: E731
        intervals, actual, np.zeros_like(actual)
    ).mean(axis=0)
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
