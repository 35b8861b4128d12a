"""The law of the logarithm of a layer's mean square over draws.

For Gaussian weights, zero biases and (leaky) ReLU or linear layers the logarithm of a norm is a sum of independent
terms with known mean and variance (Hanin and Nica 2020; `varprop.analytic.norm_factor`); otherwise both come from the
expansion in 1/width (`varprop.analytic.fluctuations`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import polygamma, psi

from varprop._validation import InputError, check_integer, check_one_of
from varprop.analytic.backward import backward
from varprop.analytic.fluctuations import (
    Fluctuation,
    GradientFluctuation,
    backward_fluctuations,
    forward_fluctuations,
)
from varprop.analytic.forward import forward
from varprop.analytic.gradients import Gradients
from varprop.analytic.heads import start
from varprop.analytic.norm_factor import norm_factor
from varprop.analytic.states import LayerState
from varprop.spec import Network

SPREAD_QUANTITIES = (
    "preactivation_second_moment",
    "activation_second_moment",
    "gradient_preactivation",
    "gradient_weight",
)


class LogLaw(NamedTuple):
    """Law over draws of the logarithm of a layer's mean square.

    Attributes
    ----------
    infinite : float
        Logarithm of the infinite-width value.
    mean, variance : float
        Of the logarithm, given that the network is alive.
    relative_variance : float
        Of the mean square itself: its variance over its squared mean.
    within : float
        Relative variance of one unit's square given the layer below (above, for gradients); NaN where the
        quantity is no mean over units.
    order : str
        ``exact`` or ``1/n``.
    reason : str
        Why there is none; then the numbers are NaN.
    """

    infinite: float
    mean: float
    variance: float
    relative_variance: float
    within: float
    order: str
    reason: str = ""


_UNKNOWN = (float("nan"),) * 5


def log_laws(network: Network, quantity: str, example: int = 0) -> list[LogLaw]:
    """Return the law of `quantity` at every layer, for one example of the input.

    Parameters
    ----------
    network : Network
        With the head ``unit`` where `quantity` is a gradient.
    quantity : str
        One of `SPREAD_QUANTITIES`.
    example : int
        Which column of the input.

    Raises
    ------
    InputError
        Another quantity, another head, or an example that is not there.
    """
    check_one_of("quantity", quantity, SPREAD_QUANTITIES)
    check_integer("example", example, minimum=0, maximum=network.input.batch - 1)
    if quantity.startswith("gradient") and network.head.kind != "unit":
        raise InputError("network.head", network.head.kind, "the head 'unit' for the spread of a gradient")
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        states = forward(network)
        if not all(isinstance(s, LayerState) for s in states):
            why = "the first layers are the same in every draw"
            return [LogLaw(*_UNKNOWN, "", why) for _ in states]
        random = [s for s in states if isinstance(s, LayerState)]
        head = start(network, random[-1])
        gradients = backward(states, head)
        below = forward_fluctuations(states)
        above = backward_fluctuations(states, below, head)
        exact = all(s.homogeneous for s in random)
        found = []
        for position in range(len(random)):
            if exact:
                found.append(_exact(random, gradients, position, quantity, example))
            else:
                finite, turned = below[position], above[position]
                assert finite is not None
                assert turned is not None
                law = _expanded(random[position], gradients[position], finite, turned, quantity, example)
                found.append(law)
        return found


def _exact(
    states: list[LayerState], gradients: list[Gradients], position: int, quantity: str, example: int
) -> LogLaw:
    state = states[position]
    below = [_log_factor(s) for s in states[:position]]
    own = _log_chi(state.width)
    if quantity == "preactivation_second_moment":
        parts, infinite = [*below, own], state.unit.log_variance[example]
    elif quantity == "activation_second_moment":
        parts, infinite = [*below, _log_factor(state)], state.averages.log_second_moment[example]
    else:
        # |delta^l|² goes through the layers l to L - 1 as |h|² does, from a chi-squared of n_L degrees.
        parts = [*(_log_factor(s) for s in states[position:-1]), _log_chi(states[-1].width)]
        infinite = gradients[position].log_preactivation[example]
        if quantity == "gradient_weight":
            parts, infinite = [*below, *parts], gradients[position].log_weight[example]
    mean, variance, log_ratio = np.sum(parts, axis=0)
    within = {"preactivation_second_moment": 2.0, "gradient_weight": np.nan}.get(quantity)
    if within is None:
        last = quantity == "gradient_preactivation" and position == len(states) - 1
        within = 2.0 if last else state.width * float(np.expm1(_log_factor(state)[2]))
    return LogLaw(
        float(infinite), float(infinite + mean), float(variance), float(np.expm1(log_ratio)), within, "exact"
    )


def _log_factor(state: LayerState) -> tuple[float, float, float]:
    """Mean and variance of log (X / E X), and log (E X² / (E X)²), for one layer's norm factor X."""
    assert state.activation.slopes is not None
    factor = norm_factor(state.activation.slopes, state.width)
    return (
        factor.log_mean - float(np.log(factor.mean)),
        factor.log_variance,
        float(np.log(factor.square_ratio)),
    )


def _log_chi(n: int) -> tuple[float, float, float]:
    return float(psi(0.5 * n) - np.log(0.5 * n)), float(polygamma(1, 0.5 * n)), float(np.log1p(2.0 / n))


def _expanded(
    state: LayerState,
    gradients: Gradients,
    finite: Fluctuation,
    turned: GradientFluctuation,
    quantity: str,
    example: int,
) -> LogLaw:
    n, a = state.width, finite.answer
    reason = turned.reason if quantity.startswith("gradient") else finite.reason
    if quantity == "preactivation_second_moment":
        logs = state.unit.log_second_moment
        share = np.exp(state.unit.log_variance - logs)
        scatter = (2.0 * share**2 + 4.0 * share * (1.0 - share)) / n
        variance, within = np.square(share) * finite.spread + scatter, n * scatter
        mean = share * finite.shift - 0.5 * variance
    elif quantity == "activation_second_moment":
        logs = state.averages.log_second_moment
        variance, within = np.square(a.square2) * finite.spread + a.scatter / n, a.scatter
        mean = a.square2 * finite.shift + a.square4 * finite.second - 0.5 * variance
    elif quantity == "gradient_preactivation":
        logs, mean, variance = gradients.log_preactivation, turned.log_mean, turned.log_variance
        within = a.slope_scatter if turned.inner else np.full_like(variance, 2.0)
    else:
        within = np.full_like(finite.spread, np.nan)
        logs, mean, variance = gradients.log_weight, turned.weight_log_mean, turned.weight_log_variance
    if reason:
        return LogLaw(float(logs[example]), *_UNKNOWN[1:], "", reason)
    centre, scatter_of_log = float((logs + mean)[example]), float(variance[example])
    own = float(within[example])
    return LogLaw(float(logs[example]), centre, scatter_of_log, scatter_of_log, own, "1/n")
