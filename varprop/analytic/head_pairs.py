"""How the gradients of two inputs go together where the backward pass starts, for all pairs of a batch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from varprop._random import generator
from varprop.activations import activation
from varprop.analytic.averages import averages
from varprop.analytic.batch_moments import pair_averages
from varprop.analytic.covariance import DOUBTFUL, Pairs, PairState
from varprop.analytic.head_start import Start
from varprop.analytic.states import LayerState
from varprop.spec import Network

Array = NDArray[np.float64]

_DRAWS = 2048
_STREAM = (1 << 32) - 3


def head_products(
    network: Network, last: LayerState, start: Start, pair: PairState, pairs: Pairs
) -> tuple[Array, str]:
    """Return E delta_a delta_b over the root of E delta_a² E delta_b² at the last layer, and how it is known.

    A note that is not empty says why there is nothing, or how accurate it is.
    """
    shape = pairs.first.shape
    if network.head.kind == "unit":
        return np.zeros(shape), ""
    unknown = np.full(shape, np.nan)
    if pair.reason:
        return unknown, pair.reason
    mixed = network.head.kind != "mse" and not last.unit.single
    if last.activation.slopes != (1.0, 1.0) or mixed or last.common.any():
        return unknown, "no pair rule for this head and these outputs"
    targets = network.targets
    assert targets is not None
    rule = {"mse": _mse, "bce": _bce, "softmax_ce": _softmax}[network.head.kind]
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        product, note = rule(last, targets, pair, pairs)
        centre = 0.5 * (start.log_gradient[pairs.first] + start.log_gradient[pairs.second])
        return np.clip(product * np.exp(-centre), -1.0, 1.0), note


def _covariance(last: LayerState, pair: PairState, pairs: Pairs) -> Array:
    logs = last.unit.log_variance
    return (1.0 - pair.eps) * np.exp(0.5 * (logs[pairs.first] + logs[pairs.second]))


def _mse(last: LayerState, targets: Array, pair: PairState, pairs: Pairs) -> tuple[Array, str]:
    shift = last.unit.mean - targets
    return _covariance(last, pair, pairs) + last.unit.bias_variance + _gram(shift, pairs), ""


def _gram(values: Array, pairs: Pairs) -> Array:
    """Mean over units of the products of two columns."""
    return np.asarray((values.T @ values / values.shape[0])[pairs.first, pairs.second])


def _bce(last: LayerState, targets: Array, pair: PairState, pairs: Pairs) -> tuple[Array, str]:
    sigmoid, unit = activation("sigmoid"), last.unit
    found = pair_averages(sigmoid, unit, pair.eps, pairs.first, pairs.second)
    alone = averages(sigmoid, unit)
    if alone.reason:
        return np.full(pairs.first.shape, np.nan), alone.reason
    i, j = pairs.first, pairs.second
    m, e, y = alone.mean, np.exp(alone.log_second_moment), targets.mean(axis=0)
    product = 0.5 * (e[i] + e[j]) - found.distance
    note = "" if found.doubt <= DOUBTFUL else f"products of sigmoid outputs known to {found.doubt:.1g} only"
    return product - m[i] * y[j] - m[j] * y[i] + _gram(targets, pairs), note


def _softmax(last: LayerState, targets: Array, pair: PairState, pairs: Pairs) -> tuple[Array, str]:
    """Draw the logits: no closed form of E p_a p_b is known. The draws are fixed, so the result is too."""
    classes, batch = last.width, last.unit.mean.size
    correlations = np.eye(batch)
    correlations[pairs.first, pairs.second] = correlations[pairs.second, pairs.first] = 1.0 - pair.eps
    values, vectors = np.linalg.eigh(correlations)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    root = root * np.exp(0.5 * last.unit.log_variance)[:, None]
    noise = generator(0, _STREAM).standard_normal((batch, _DRAWS * classes))
    p = softmax((root @ noise).reshape(batch, _DRAWS, classes), axis=2)
    gram = np.einsum("adk,bdk->ab", p, p, optimize=True) / _DRAWS
    same = targets[pairs.first] == targets[pairs.second]
    # E sum_i (p_ia - y_ia)(p_ib - y_ib), with E p_i = 1/K whatever the label.
    product = gram[pairs.first, pairs.second] - 2.0 / classes + same
    return product / classes, f"pairs of softmax outputs from {_DRAWS} draws"
