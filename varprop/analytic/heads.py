"""Where the gradient starts: E (dL/dz)² per output unit, and the expected loss, for every head.

unit        dL/dz iid N(0, 1)
mse         L = |a - y|²/2:                E (a - y)² phi'(z)²
bce         L = softplus(a) - y a:         E (sigmoid(a) - y)² phi'(z)²
softmax_ce  L = log sum e^a - a_y:         (1 - 2/K + E sum p²)/K for iid logits, independent of the label

a = phi(z) is the last layer's activation, linear unless the network says otherwise.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logsumexp, softmax

from varprop.analytic.head_rules import RULES
from varprop.analytic.head_start import Start, unknown_answers
from varprop.analytic.states import KnownLayer, LayerState
from varprop.spec import Network

Array = NDArray[np.float64]


def start(network: Network, last: KnownLayer | LayerState) -> Start:
    """Return where the backward pass starts."""
    batch = network.input.batch
    if network.head.kind == "unit":
        nothing, one = np.zeros(batch), np.ones(batch)
        return Start(nothing, None, True, True, nothing, nothing, nothing, 2.0 * one, one, nothing, nothing)
    targets = network.targets
    assert targets is not None
    if isinstance(last, KnownLayer):
        return _from_known(network.head.kind, last, targets)
    return RULES[network.head.kind](last, targets)


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
            np.log(np.mean(np.square(gradient), axis=0)),
            loss,
            True,
            True,
            np.zeros(a.shape[1]),
            *unknown_answers(a.shape[1]),
            gradient,
        )
