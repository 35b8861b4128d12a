"""Pools: means of positions, which are linear, and maxima of them, followed feature by feature."""

from __future__ import annotations

import numpy as np

from varprop.analytic.propagation.signal import Array, Gradient, Signal, gram
from varprop.analytic.propagation.walk import Place, Rule, always, kept_roots
from varprop.analytic.propagation.windows import Windows
from varprop.spec.ops import MaxPool, MeanPool


def _windows(place: Place) -> Windows:
    op = place.node.op
    assert isinstance(op, MeanPool | MaxPool)
    before = place.before[0].positions
    whole = op.window == 0
    outputs = (1,) * len(before) if whole else place.node.shape.positions
    return Windows(before, outputs, op.geometry(before), place.examples)


def _averaging(place: Place) -> Array:
    windows = _windows(place)
    return np.asarray(windows.matrix / windows.count)


def _mean_pool(place: Place, inputs: list[Signal]) -> Signal:
    (before,) = inputs
    if not place.before[0].positions:
        return before
    by = _averaging(place)
    return Signal(
        by @ before.second @ by.T,
        by @ before.mean,
        before.features,
        exact_mean=before.exact_mean,
        exact_diagonal=before.exact,
        exact=before.exact,
        reasons=before.reasons,
        gaussian=before.gaussian,
        law=before.law,
        symmetric=before.symmetric,
        common=None if before.common is None else by @ before.common @ by.T,
        fluctuation=before.fluctuation,
        kept=before.kept,
    )


def _mean_back(place: Place, gradient: Gradient, inputs: list[Signal]) -> list[Gradient]:
    if not place.before[0].positions:
        return [gradient]
    by = _averaging(place)
    return [Gradient(by.T @ gradient.second @ by, gradient.exact, gradient.reasons)]


def _mean_sample(place: Place, inputs: list[Signal], values: list[Array]) -> Array:
    return _averaging(place) @ values[0] if place.before[0].positions else values[0]


def _mean_sample_back(
    place: Place, gradient: Array, inputs: list[Signal], values: list[Array]
) -> list[Array]:
    return [_averaging(place).T @ gradient if place.before[0].positions else gradient]


def _max_pool(place: Place, inputs: list[Signal]) -> Signal:
    (before,) = inputs
    found = _max_sample(place, inputs, [place.walk.sample(place.node.sources[0])])
    return Signal(
        gram(found),
        found.mean(axis=1),
        before.features,
        reasons=before.reasons,
        fluctuation=before.fluctuation,
    )


def _max_sample(place: Place, inputs: list[Signal], values: list[Array]) -> Array:
    windows = _windows(place)
    found = np.full((windows.columns[1], values[0].shape[1]), -np.inf)
    for write, read in windows.taps:
        found[write] = np.maximum(found[write], values[0][read])
    return found


def _max_sample_back(place: Place, gradient: Array, inputs: list[Signal], values: list[Array]) -> list[Array]:
    # Of equal values the first takes the gradient, as in PyTorch.
    windows, top = _windows(place), _max_sample(place, inputs, values)
    found, taken = np.zeros_like(values[0]), np.zeros(top.shape, dtype=bool)
    for write, read in windows.taps:
        here = (values[0][read] == top[write]) & ~taken[write]
        taken[write] |= here
        found[read] += np.where(here, gradient[write], 0.0)
    return [found]


def _max_back(place: Place, gradient: Gradient, inputs: list[Signal]) -> list[Gradient]:
    raise AssertionError("followed feature by feature")


MEAN_POOL = Rule(_mean_pool, _mean_back, _mean_sample, _mean_sample_back, roots=kept_roots)
MAX_POOL = Rule(_max_pool, _max_back, _max_sample, _max_sample_back, coupling=always)
