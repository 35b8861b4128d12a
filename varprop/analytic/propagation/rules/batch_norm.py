"""Batch normalization: one feature's N columns, minus their mean, over their own root mean square.

The centred columns are a Gaussian vector u of covariance C K C. Its normalized second moment is an exact integral in
the limit of wide layers (`varprop.analytic.propagation.quadratic`). Backward the projections that it makes meet the
slopes of the activation behind it: the columns' mean, and the direction of the values themselves, which ReLU's mask
does not leave alone. That is followed feature by feature (`Walk.sample`). The gradient in front of it is that of the
sum of all examples' losses, as every column moves the others.
"""

from __future__ import annotations

import numpy as np

from varprop.analytic.propagation.quadratic import effective_count, normalized
from varprop.analytic.propagation.signal import Array, Gradient, Signal
from varprop.analytic.propagation.walk import Place, Rule, always, odd_roots
from varprop.spec.ops import Norm

_ENOUGH = 30.0
"""Equal directions of a feature's columns from which on its normalized columns are as good as Gaussian."""


def _eps(place: Place) -> float:
    op = place.node.op
    assert isinstance(op, Norm)
    return op.eps


def _forward(place: Place, inputs: list[Signal]) -> Signal:
    (before,) = inputs
    # A mean of the feature that all columns share drops out.
    centred = _centred(before.second)
    shared = before.common is not None
    second = normalized(centred, _eps(place))
    common = None
    if shared:
        level = float(np.trace(centred)) / centred.shape[0] + _eps(place)
        common = _centred(before.feature_means) / level if level > 0.0 else np.zeros_like(second)
    count = effective_count(centred)
    return Signal(
        second,
        np.zeros(before.mean.size),
        before.features,
        exact_mean=before.symmetric,
        reasons=before.reasons,
        gaussian=before.gaussian and count >= _ENOUGH,
        symmetric=before.symmetric,
        common=common,
        fluctuation=before.fluctuation,
        kept=count,
    )


def _centred(second: Array) -> Array:
    rows = second - second.mean(axis=0)
    return np.asarray(rows - rows.mean(axis=1)[:, None])


def _sample(place: Place, inputs: list[Signal], values: list[Array]) -> Array:
    u = values[0] - values[0].mean(axis=0)
    return np.asarray(u * _inverse(u, _eps(place)))


def _inverse(u: Array, eps: float) -> Array:
    total = np.mean(np.square(u), axis=0) + eps
    return np.asarray(np.where(total > 0.0, 1.0 / np.sqrt(np.where(total > 0.0, total, 1.0)), 0.0))


def _sample_back(place: Place, gradient: Array, inputs: list[Signal], values: list[Array]) -> list[Array]:
    u = values[0] - values[0].mean(axis=0)
    inverse = _inverse(u, _eps(place))
    y = u * inverse
    g = gradient - gradient.mean(axis=0)
    return [(g - y * np.mean(y * gradient, axis=0)) * inverse]


def _backward(place: Place, gradient: Gradient, inputs: list[Signal]) -> list[Gradient]:
    raise AssertionError("followed feature by feature")


RULE = Rule(_forward, _backward, _sample, _sample_back, coupling=always, roots=odd_roots, meets_examples=True)
