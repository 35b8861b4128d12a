"""Corrections of order one over the width to the forward and backward recursions, from one network to the next.

Given the layer below, the units of a layer are independent with a variance khat that is itself random. Its relative
mean shift mu, relative variance V and the excess kurtosis K that non-Gaussian weights leave follow, to first order
(Roberts, Yaida and Hanin 2022, ch. 4 for Gaussian weights; K and unequal widths by the same expansion),

    mu'  = (w'/k') [square2 mu + square4 (V + K/3)]
    V'   = (w'/k')² [square2² V + scatter / n]
    K'   = (w'/k')² kurtosis(W') fourth / n

where a prime marks the next layer, w' is the part of its variance k' that comes through the weights, and the names
are those of `Responses`.

Backward (own derivation), let P = |delta|² and let S be E (g.delta)² over P w, g = z - bias. Conditioned on its output
g = W h, a Gaussian matrix is g h^T/|h|² plus an independent remainder, so

    E |phi' W^T delta'|² = n' s' P' n d [1 + (S' - 1) joint / n],     S = (S' - 1) aligned + spread,

with S = 1 where the gradient does not depend on the weights, as at the unit head. An excess kurtosis of the weights
adds kurtosis(W') joint (w'/k') slope2' / n, by the cumulant expansion of E[w² F(w)]. The logarithm of the gradient is
a sum over layers of log E phi'²(khat) and of independent noise, which gives its mean and variance over draws; the mean
of the gradient itself has the logarithm (mean) + (variance)/2 to this order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from varprop.analytic.head_start import Start
from varprop.analytic.responses import Responses, responses
from varprop.analytic.states import KnownLayer, LayerState

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Fluctuation:
    """How the variance of one layer's pre-activations fluctuates over draws, shape (B,) each.

    Attributes
    ----------
    shift, spread, kurtosis : ndarray
        mu, V and K of the module's text.
    through : ndarray
        Share w/k of the variance that comes through the weights.
    answer : Responses
    reason : str
        Why the correction is not known from this layer on; empty if it is.
    """

    shift: Array
    spread: Array
    kurtosis: Array
    through: Array
    answer: Responses
    reason: str

    @property
    def second(self) -> Array:
        """What multiplies the responses to a squared fluctuation: V + K/3."""
        return self.spread + self.kurtosis / 3.0


@dataclass(frozen=True)
class GradientFluctuation:
    """Corrections to one layer's gradients, shape (B,) each.

    Attributes
    ----------
    log_mean, log_variance : ndarray
        Mean (less the infinite-width logarithm) and variance over draws of the logarithm of the mean square over
        units of the gradient at the pre-activations.
    preactivation, weight, input : ndarray
        Shifts of the logarithms of the expected squares.
    weight_log_mean, weight_log_variance : ndarray
        Like the first two, for the mean square over entries of the weight gradient.
    aligned : ndarray
        S of the module's text: 1 where the gradient does not lean towards the pre-activations.
    inner : bool
        Whether a layer's slopes come into its own gradient: not at the last layer.
    reason : str
        Why they are not known; empty if they are.
    """

    log_mean: Array
    log_variance: Array
    preactivation: Array
    weight: Array
    input: Array
    weight_log_mean: Array
    weight_log_variance: Array
    aligned: Array
    inner: bool
    reason: str


def forward_fluctuations(states: Sequence[KnownLayer | LayerState]) -> list[Fluctuation | None]:
    """Return the fluctuation of every random layer, None for layers without randomness."""
    found: list[Fluctuation | None] = []
    below: Fluctuation | None = None
    for state in states:
        if isinstance(state, KnownLayer):
            found.append(None)
            continue
        below = _next(state, below)
        found.append(below)
    return found


def _next(state: LayerState, below: Fluctuation | None) -> Fluctuation:
    nothing = np.zeros_like(state.unit.mean)
    through = through_weights(state)
    if below is None or state.weights.second_moment == 0.0:
        return Fluctuation(nothing, nothing, state.unit.kurtosis, through, responses(state), _failing(state))
    answer, n = below.answer, state.fan_in
    return Fluctuation(
        through * (answer.square2 * below.shift + answer.square4 * below.second),
        np.square(through) * (np.square(answer.square2) * below.spread + answer.scatter / n),
        np.square(through) * state.weights.finite_kurtosis * answer.fourth / n,
        through,
        responses(state),
        below.reason or _failing(state),
    )


def through_weights(state: LayerState) -> Array:
    """Return the share of a unit's Gaussian variance that comes through the weights, shape (B,)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        log_weights = np.log(state.fan_in * state.weights.second_moment) + state.arriving_log_square
        share = np.exp(np.minimum(log_weights - state.unit.log_variance, 0.0))
    return np.asarray(np.nan_to_num(share, nan=0.0))


def _failing(state: LayerState) -> str:
    if state.reasons:
        return state.reasons[0]
    law = state.weights
    if law.second_moment > 0.0 and not (law.iid or law.family == "sparse_columns"):
        return f"no 1/n correction for {law.family} weights"
    if law.excess_kurtosis == math.inf:
        return "no 1/n correction for weights whose fourth moment is infinite or not known"
    return "" if law.symmetric else "no 1/n correction for weights with a skewed law"


def backward_fluctuations(
    states: Sequence[KnownLayer | LayerState], forward: Sequence[Fluctuation | None], start: Start
) -> list[GradientFluctuation | None]:
    """Return the corrections to every layer's gradients, None for layers without randomness."""
    found: list[GradientFluctuation | None] = []
    pending: _Pending | None = None
    for state, here in zip(reversed(states), reversed(forward), strict=True):
        if isinstance(state, KnownLayer) or here is None:
            found.append(None)
            continue
        pending = _top(state, here, start) if pending is None else _pass(state, here, pending)
        found.append(_corrections(state, here, pending, state is not states[-1]))
    return found[::-1]


@dataclass(frozen=True)
class _Pending:
    """What has been summed from the top down to a layer (symbols of the module's text).

    ``pull`` is the change of the log gradient per relative change of this layer's variance, ``noise`` the variance of
    the log gradient from everything that is independent of it.
    """

    log_mean: Array
    noise: Array
    pull: Array
    aligned: Array
    slope2: Array
    state: LayerState
    here: Fluctuation
    reason: str


def _top(state: LayerState, here: Fluctuation, start: Start) -> _Pending:
    first, second, scatter, aligned = start.first, start.second, start.scatter, start.aligned
    half = 0.5 * (np.square(first) * here.spread + scatter / state.width)
    log_mean = first * here.shift + second * here.second - half
    reason = "" if np.isfinite(log_mean).all() else "no 1/n correction for this head"
    return _Pending(
        log_mean, scatter / state.width, first, aligned, first, state, here, here.reason or reason
    )


def _pass(state: LayerState, here: Fluctuation, above: _Pending) -> _Pending:
    a, n = here.answer, state.width
    noise = a.slope_scatter / n
    turned = (above.aligned - 1.0) * a.joint / n
    tail = above.state.weights.finite_kurtosis * a.joint * above.here.through * above.slope2 / n
    half = 0.5 * (np.square(a.slope2) * here.spread + noise)
    moved = a.slope2 * here.shift + a.slope4 * here.second - half
    log_mean = above.log_mean + moved + np.log1p(np.maximum(turned + tail, -0.9))
    carried = above.here.through
    own = np.square(above.pull * carried) * a.scatter / n + noise
    both = 2.0 * above.pull * carried * (a.joint - 1.0) / n
    return _Pending(
        log_mean,
        above.noise + own + both,
        a.slope2 + carried * a.square2 * above.pull,
        (above.aligned - 1.0) * a.aligned + a.spread,
        a.slope2,
        state,
        here,
        above.reason or here.reason,
    )


def _corrections(state: LayerState, here: Fluctuation, total: _Pending, inner: bool) -> GradientFluctuation:
    variance = np.square(total.pull) * here.spread + total.noise
    preactivation = total.log_mean + 0.5 * variance
    tail = state.weights.finite_kurtosis * here.through * total.slope2
    turned = ((total.aligned - 1.0) + tail) / state.fan_in
    arriving = preactivation + np.log1p(np.maximum(turned, -0.9))
    # The mean square of what arrives fluctuates with the part of the variance that comes through the weights.
    inverse = np.where(here.through > 0.0, 1.0 / np.where(here.through > 0.0, here.through, 1.0), 0.0)
    together = 0.0 if state.first else total.pull * here.spread * inverse
    own = 0.0 if state.first else here.shift * inverse
    own_variance = 0.0 if state.first else here.spread * np.square(inverse)
    return GradientFluctuation(
        total.log_mean,
        variance,
        preactivation,
        preactivation + own + together,
        arriving,
        total.log_mean + own - 0.5 * own_variance,
        variance + own_variance + 2.0 * together,
        total.aligned,
        inner,
        total.reason,
    )
