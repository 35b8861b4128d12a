"""Normalizations over features: LayerNorm, RMSNorm, GroupNorm.

Over many features mean and variance of a column are numbers: y_t = (x_t - m_t) r_t, r_t = (E (x_t - m_t)² + eps)^-1/2.
Backward each divides by what it divided by, and takes one direction of the features (two with the mean) out of the
gradient: factors 1 - 1/n, 1 - 2/n for a gradient that is isotropic over features.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from varprop.analytic.propagation.signal import Array, Gradient, Signal
from varprop.analytic.propagation.walk import Place, Rule, odd_roots
from varprop.spec.ops import GroupNorm, Norm


@dataclass(frozen=True, eq=False)
class Normalized:
    """What a normalization keeps.

    Attributes
    ----------
    centre : ndarray
        What is subtracted, shape (N,), as far as it is the same in every draw.
    inverse : ndarray
        r, shape (N,).
    kept : float
        Share of an isotropic gradient that passes.
    centring : bool
        Whether the mean over features is taken out of every column, and out of its gradient.
    """

    centre: Array
    inverse: Array
    kept: float
    centring: bool = False


def _eps(place: Place) -> float:
    op = place.node.op
    assert isinstance(op, Norm)
    return op.eps


def _scaled(before: Signal, second: Array, common: Array | None, kept: Normalized, spread: Array) -> Signal:
    both = np.outer(kept.inverse, kept.inverse)
    return Signal(
        second * both,
        (before.mean - kept.centre) * kept.inverse,
        before.features,
        exact_mean=False,
        reasons=before.reasons,
        gaussian=before.gaussian,
        symmetric=before.symmetric,
        common=None if common is None else common * both,
        fluctuation=before.fluctuation,
        token=None if before.token is None else before.token * kept.inverse,
        kept=kept,
    )


def _inverse(spread: Array, eps: float) -> Array:
    total = np.maximum(spread, 0.0) + eps
    return np.asarray(np.where(total > 0.0, 1.0 / np.sqrt(np.where(total > 0.0, total, 1.0)), 0.0))


def _layer_norm(place: Place, inputs: list[Signal]) -> Signal:
    (before,) = inputs
    second = before.second - before.feature_means
    spread = np.diagonal(second)
    kept = Normalized(before.mean, _inverse(spread, _eps(place)), max(1.0 - 2.0 / before.features, 0.0), True)
    found = _scaled(before, second, np.zeros_like(second), kept, spread)
    return Signal(**{**vars(found), "mean": np.zeros_like(before.mean), "exact_mean": True})


def _rms_norm(place: Place, inputs: list[Signal]) -> Signal:
    (before,) = inputs
    kept = Normalized(
        np.zeros_like(before.mean),
        _inverse(before.diagonal, _eps(place)),
        max(1.0 - 1.0 / before.features, 0.0),
    )
    found = _scaled(before, before.second, before.common, kept, before.diagonal)
    return Signal(**{**vars(found), "exact_mean": before.symmetric})


def _group_norm(place: Place, inputs: list[Signal]) -> Signal:
    op = place.node.op
    assert isinstance(op, GroupNorm)
    (before,) = inputs
    count, size = place.node.shape.count, before.features // op.groups
    blocks = np.arange(place.columns) // count
    same = (blocks[:, None] == blocks).astype(np.float64) / count
    # The mean over a group's features and positions: of independent features E m m' is a `size`-th part of a feature's.
    means = np.outer(before.mean, before.mean) + (
        before.feature_means - np.outer(before.mean, before.mean)
    ) * (before.features / size)
    if before.common is not None:
        means = before.between + (before.second - before.between) / size
    half, whole = means @ same, same @ means @ same
    second = before.second - half - half.T + whole
    spread = same @ np.diagonal(second)
    kept = Normalized(same @ before.mean, _inverse(spread, op.eps), max(1.0 - 2.0 / (size * count), 0.0))
    found = _scaled(before, second, None, kept, spread)
    if before.mean.any():
        return found
    return Signal(**{**vars(found), "exact_mean": before.symmetric})


def _backward(place: Place, gradient: Gradient, inputs: list[Signal]) -> list[Gradient]:
    kept = place.walk.signals[place.node.index].kept
    assert isinstance(kept, Normalized)
    second = gradient.scaled(kept.inverse * np.sqrt(kept.kept)).second
    spread = inputs[0].spread
    if spread > 0.0:
        # E 1/x = (1 + v)/E x of a mean square with relative variance v; E (x x')^-1/2 has 3/4 v for independent ones.
        second = second * (1.0 + 0.75 * spread) + np.diag(0.25 * spread * np.diagonal(second))
    return [
        Gradient(second, False, gradient.reasons, common=np.zeros_like(second) if kept.centring else None)
    ]


def _sample(place: Place, inputs: list[Signal], values: list[Array]) -> Array:
    kept = place.walk.signals[place.node.index].kept
    assert isinstance(kept, Normalized)
    return np.asarray((values[0] - kept.centre[:, None]) * kept.inverse[:, None])


def _sample_back(place: Place, gradient: Array, inputs: list[Signal], values: list[Array]) -> list[Array]:
    kept = place.walk.signals[place.node.index].kept
    assert isinstance(kept, Normalized)
    return [gradient * (kept.inverse * np.sqrt(kept.kept))[:, None]]


def _rule(forward: Callable[[Place, list[Signal]], Signal]) -> Rule:
    return Rule(forward, _backward, _sample, _sample_back, roots=odd_roots)


LAYER_NORM = _rule(_layer_norm)
RMS_NORM = _rule(_rms_norm)
GROUP_NORM = _rule(_group_norm)
