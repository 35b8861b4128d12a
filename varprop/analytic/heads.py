"""Where the gradient starts: E (dL/dz)² per output unit, and the expected loss, for every head.

unit        dL/dz iid N(0, 1)
mse         L = |a - y|²/2:                E (a - y)² phi'(z)²
bce         L = softplus(a) - y a:         E (sigmoid(a) - y)² phi'(z)²
softmax_ce  L = log sum e^a - a_y:         (1 - 2/K + E sum p²)/K for iid logits, independent of the label

a = phi(z) is the last layer's activation, linear unless the network says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logsumexp, softmax

from varprop.analytic.cross_entropy import softmax_averages
from varprop.analytic.gaussian import gaussian_average
from varprop.analytic.states import KnownLayer, LayerState
from varprop.spec import Network

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Start:
    """The gradient at the last layer's pre-activations, shape (B,) each.

    Attributes
    ----------
    log_gradient : ndarray
        Logarithm of the mean over units of E (dL/dz)².
    loss : ndarray or None
        Expected loss; None for the unit head.
    exact, exact_loss : bool
        Whether they hold at any width.
    cross : ndarray
        E of the product of two units' gradients, as a share of the second moment; 0 for the unit head.
    values : ndarray or None
        The gradient itself, shape (n_L, B), where it is the same in every draw.
    reason : str
        Why something is NaN.
    """

    log_gradient: Array
    loss: Array | None
    exact: bool
    exact_loss: bool
    cross: Array
    values: Array | None = None
    reason: str = ""


def start(network: Network, last: KnownLayer | LayerState) -> Start:
    """Return where the backward pass starts."""
    batch = network.input.batch
    if network.head.kind == "unit":
        return Start(np.zeros(batch), None, True, True, np.zeros(batch))
    targets = network.targets
    assert targets is not None
    if isinstance(last, KnownLayer):
        return _from_known(network.head.kind, last, targets)
    rule = {"mse": _mse, "bce": _bce, "softmax_ce": _softmax}[network.head.kind]
    return rule(last, targets)


def _from_known(kind: str, last: KnownLayer, targets: Array) -> Start:
    with np.errstate(over="ignore"):
        a = last.activations.values * np.exp(last.activations.log_scale)
    if kind == "mse":
        gradient, loss = a - targets, 0.5 * np.square(a - targets).sum(axis=0)
    elif kind == "bce":
        gradient, loss = expit(a) - targets, (np.logaddexp(0.0, a) - targets * a).sum(axis=0)
    else:
        columns = np.arange(a.shape[1])
        gradient = softmax(a, axis=0)
        gradient[targets, columns] -= 1.0
        loss = logsumexp(a, axis=0) - a[targets, columns]
    gradient = gradient * last.slopes
    with np.errstate(divide="ignore"):
        return Start(
            np.log(np.mean(np.square(gradient), axis=0)), loss, True, True, np.zeros(a.shape[1]), gradient
        )


def _is_linear(state: LayerState) -> bool:
    return state.activation.slopes == (1.0, 1.0)


def _mse(state: LayerState, targets: Array) -> Start:
    outputs = state.width
    with np.errstate(over="ignore", divide="ignore"):
        if _is_linear(state):
            # E (z - y_i)² = Var z + (E z - y_i)²: both terms positive, so nothing cancels.
            distance = np.mean(np.square(state.unit.mean - targets), axis=0)
            log_square = np.logaddexp(state.unit.log_total_variance, np.log(distance))
            exact = state.exact.mean and state.exact.variance
            # Two outputs share the shift of their targets, and what weights with a mean have in common.
            shift = state.unit.mean - targets
            between = np.square(shift.sum(axis=0)) - np.square(shift).sum(axis=0)
            cross = (state.common + between / max(outputs * (outputs - 1), 1)) * np.exp(-log_square)
            return Start(log_square, 0.5 * outputs * np.exp(log_square), exact, exact, _share(cross))
        phi = state.activation
        level, power = targets.mean(axis=0), np.square(targets).mean(axis=0)

        def error(z: Array) -> Array:
            return np.square(phi(z) - level) + np.maximum(power - level**2, 0.0)

        square = gaussian_average(error, state.unit, phi.kinks)
        gradient = gaussian_average(lambda z: error(z) * np.square(phi.derivative(z)), state.unit, phi.kinks)
        return Start(
            np.log(gradient), 0.5 * outputs * square, state.exact.law, state.exact.law, np.zeros_like(square)
        )


def _bce(state: LayerState, targets: Array) -> Start:
    phi, level = state.activation, targets.mean(axis=0)

    def error(z: Array) -> Array:
        # The target is 0 or 1: (sigmoid - y)² averages to (1 - share) sigmoid² + share (1 - sigmoid)².
        a = phi(z)
        square = (1.0 - level) * np.square(expit(a)) + level * np.square(expit(-a))
        return np.asarray(square * np.square(phi.derivative(z)))

    def loss(z: Array) -> Array:
        a = phi(z)
        return np.asarray((1.0 - level) * np.logaddexp(0.0, a) + level * np.logaddexp(0.0, -a))

    gradient = gaussian_average(error, state.unit, phi.kinks)
    total = state.width * gaussian_average(loss, state.unit, phi.kinks)
    with np.errstate(divide="ignore"):
        return Start(np.log(gradient), total, state.exact.law, state.exact.law, np.zeros_like(total))


def _softmax(state: LayerState, targets: Array) -> Start:
    batch, classes = state.unit.mean.shape[0], state.width
    if not (_is_linear(state) and state.unit.bias.single):
        unknown = np.full(batch, np.nan)
        why = "softmax of outputs that are not Gaussian"
        return Start(unknown, unknown, False, False, np.zeros(batch), reason=why)
    # What all logits share, mean or fluctuation, drops out of the softmax.
    with np.errstate(over="ignore"):
        own = np.maximum(np.exp(state.unit.log_variance) - state.common, 0.0)
    pairs = {q: softmax_averages(classes, float(np.sqrt(q))) for q in set(own.tolist())}
    loss, squares = np.array([pairs[q] for q in own.tolist()]).T
    # Independent units only where the layer's inputs are the same in every draw.
    exact = state.exact.law and state.first and state.weights.iid
    total = 1.0 - 2.0 / classes + squares
    with np.errstate(divide="ignore"):
        # The gradients of one example add up to 0.
        cross = np.full(batch, -1.0 / (classes - 1))
        return Start(np.log(total / classes), loss, exact, exact, cross)


def _share(values: Array) -> Array:
    return np.clip(np.nan_to_num(values, nan=0.0), -1.0, 1.0)
