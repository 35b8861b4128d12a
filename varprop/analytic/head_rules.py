"""The heads on random outputs: second moment of the gradient, expected loss, and how both answer to fluctuations."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from varprop.analytic.cross_entropy import softmax_averages
from varprop.analytic.gaussian_nodes import gaussian_average, gaussian_nodes
from varprop.analytic.head_start import Start, unknown_answers
from varprop.analytic.states import LayerState

Array = NDArray[np.float64]


def _is_linear(state: LayerState) -> bool:
    return state.activation.slopes == (1.0, 1.0)


def _through(state: LayerState) -> Array:
    """Share of the outputs' Gaussian variance that comes through the weights."""
    with np.errstate(divide="ignore", invalid="ignore"):
        log_weights = np.log(state.fan_in * state.weights.second_moment) + state.arriving_log_square
        return np.asarray(np.nan_to_num(np.exp(np.minimum(log_weights - state.unit.log_variance, 0.0))))


def _mse(state: LayerState, targets: Array) -> Start:
    if not _is_linear(state):
        return _curved_mse(state, targets)
    if np.any(state.unit.uneven) and state.unit.positions is None:
        return _unknown(state, _UNEVEN)
    n, unit = state.width, state.unit
    shift = unit.unit_means - targets
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        # E (z - y_i)² = Var z + (E z - y_i)²: both terms positive, so nothing cancels.
        distance = np.log(np.mean(np.square(shift), axis=0))
        log_square = np.logaddexp(unit.log_total_variance, distance)
        # Two outputs share the shift of their targets, and what weights with a mean have in common.
        between = np.square(shift.sum(axis=0)) - np.square(shift).sum(axis=0)
        cross = (state.common + between / max(n * (n - 1), 1)) * np.exp(-log_square)
        share = _finite(np.exp(unit.log_variance - log_square))
        own = _finite(np.exp(unit.log_total_variance - log_square))
        exact = state.exact.mean and state.exact.variance
        return Start(
            log_square, 0.5 * n * np.exp(log_square), exact, exact, np.clip(_finite(cross), -1.0, 1.0),
            first=share, second=np.zeros_like(share), scatter=2.0 * own**2 + 4.0 * own * (1.0 - own),
            # g_i = z_i - b_i: E (sum g_i (g_i + rest))² = (n² + 2n) w² + n w (p - w)
            aligned=1.0 + (n + 1) * share * _through(state),
            loss_first=0.5 * n * np.exp(unit.log_variance), loss_second=np.zeros_like(share),
        )  # fmt: skip


_UNEVEN = "outputs of identity weights have different laws, and this head weighs each by its target"


def _unknown(state: LayerState, why: str) -> Start:
    batch = state.unit.mean.size
    unknown = np.full(batch, np.nan)
    return Start(unknown, unknown, False, False, np.zeros(batch), *unknown_answers(batch), reason=why)


def _finite(values: Array) -> Array:
    return np.asarray(np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0))


def _curved_mse(state: LayerState, targets: Array) -> Start:
    if np.any(state.unit.uneven) or state.averages.reason:
        return _unknown(state, state.averages.reason or _UNEVEN)
    phi, level = state.activation, targets.mean(axis=0)
    rest = np.maximum(np.square(targets).mean(axis=0) - np.square(level), 0.0)

    def error(z: Array) -> Array:
        return np.asarray(np.square(phi(z) - level) + rest)

    square = gaussian_average(error, state.unit, phi.kinks)
    gradient = gaussian_average(lambda z: error(z) * np.square(phi.derivative(z)), state.unit, phi.kinks)
    exact = state.exact.law
    with np.errstate(divide="ignore"):
        log_square = np.log(gradient)
    nothing = np.zeros_like(square)
    return Start(log_square, 0.5 * state.width * square, exact, exact, nothing, *unknown_answers(square.size))


def _bce(state: LayerState, targets: Array) -> Start:
    if np.any(state.unit.uneven) or state.averages.reason:
        return _unknown(state, state.averages.reason or _UNEVEN)
    phi, level = state.activation, targets.mean(axis=0)
    nodes = gaussian_nodes(state.unit, phi.kinks)
    a, slope = phi(nodes.z), phi.derivative(nodes.z)
    # The target is 0 or 1: (sigmoid - y)² averages to (1 - level) sigmoid² + level (1 - sigmoid)².
    error = ((1.0 - level) * np.square(expit(a)) + level * np.square(expit(-a))) * np.square(slope)
    entropy = (1.0 - level) * np.logaddexp(0.0, a) + level * np.logaddexp(0.0, -a)
    square, loss = nodes.average(error), state.width * nodes.average(entropy)
    exact = state.exact.law
    with np.errstate(divide="ignore"):
        log_square = np.log(square)
    centre = nodes.average((expit(a) - level) * slope)
    cross = np.square(centre) / np.where(square > 0.0, square, 1.0)
    answers = unknown_answers(level.size)
    if _is_linear(state) and state.unit.single:
        he2, he4 = np.square(nodes.g) - 1.0, nodes.g**4 - 6.0 * np.square(nodes.g) + 3.0
        part, n = _through(state), state.width
        # E (g.d)² = n E g² d² + n (n - 1) (E g d)², with E g y = 0; g given z is Gaussian, in units of std z.
        own = nodes.average(error * (np.square(part * nodes.g) + part * (1.0 - part)))
        tied = np.square(nodes.average(part * nodes.g * expit(a)))
        fourth = nodes.average((1.0 - level) * expit(a) ** 4 + level * expit(-a) ** 4)
        answers = (
            nodes.average(error * he2) / (2.0 * square),
            nodes.average(error * he4) / (8.0 * square),
            fourth / np.square(square) - 1.0,
            np.where(part > 0.0, (own + (n - 1) * tied) / (square * np.where(part > 0.0, part, 1.0)), 1.0),
            n * nodes.average(entropy * he2) / 2.0,
            n * nodes.average(entropy * he4) / 8.0,
        )
    return Start(log_square, loss, exact, exact, cross, *answers)


def _softmax(state: LayerState, targets: Array) -> Start:
    classes, unit = state.width, state.unit
    unknown_law = bool(np.isnan(unit.log_variance).any())
    if unknown_law or not (_is_linear(state) and unit.single) or np.any(unit.uneven) or state.averages.reason:
        return _unknown(
            state, state.averages.reason or "softmax of outputs that are not known to be Gaussian"
        )
    # What all logits share, mean or fluctuation, drops out of the softmax.
    with np.errstate(over="ignore"):
        own = np.maximum(np.exp(state.unit.log_variance) - state.common, 0.0)
    found = {q: softmax_averages(classes, float(np.sqrt(q))) for q in set(own.tolist())}
    table = np.array([found[q] for q in own.tolist()]).T
    loss, squares, first, second, alignment = table
    # Independent units only where the layer's inputs are the same in every draw.
    exact = state.exact.law and state.first and state.weights.iid
    total = 1.0 - 2.0 / classes + squares
    part = _through(state)
    # E (z.d)² splits off the biases: given z, the weights' part of it is Gaussian.
    aligned = part * alignment / total + 1.0 - part
    return Start(
        np.log(total / classes), loss, exact, exact,
        # The gradients of one example add up to 0.
        cross=np.full(state.unit.mean.size, -1.0 / (classes - 1)),
        first=first / total, second=second / total,
        scatter=np.zeros(state.unit.mean.size), aligned=aligned,
        # The Laplacian of log sum e^z is 1 - sum p².
        loss_first=0.5 * own * (1.0 - squares), loss_second=-0.25 * own * first,
    )  # fmt: skip


RULES = {"mse": _mse, "bce": _bce, "softmax_ce": _softmax}
"""From the kind of a head to its rule, ``rule(state, targets) -> Start``."""
