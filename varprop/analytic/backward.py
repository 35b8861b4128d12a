"""The backward recursion: second moments of gradients, from the last layer to the input.

With delta^l = dL/dz^l and p^l = E (delta_i^l)², weights of the backward pass taken as independent of what they meet
(Schoenholz et al. 2017, eq. 15; He et al. 2015, eq. 13):

    p^l = p^{l+1} n_{l+1} s_{l+1} E phi'(z^l)²

It is exact where delta^{l+1} does not depend on W^{l+1}: at the head's own layer and through linear layers; and,
for (leaky) ReLU nets under the unit head, because signs of rows are fair coins that can be moved into the next
layer's columns, which leaves Jacobians equal in law to products with independent coin-flip masks (after Hanin
2018; own extension to any mirrored law).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from varprop.analytic.common import coin_slopes, over_silence, shared_slopes
from varprop.analytic.gradients import Arriving, Gradients
from varprop.analytic.head_start import Start
from varprop.analytic.known_gradients import known_gradients
from varprop.analytic.states import KnownLayer, LayerState

Array = NDArray[np.float64]


def backward(
    states: Sequence[KnownLayer | LayerState], start: Start, aligned: Array | None = None
) -> list[Gradients]:
    """Return the gradients of every layer, first to last.

    Parameters
    ----------
    states : sequence of KnownLayer or LayerState
    start : Start
    aligned : ndarray, optional
        How much more than its share of the gradient lies along what arrives at the first random layer, shape (B,):
        `GradientFluctuation.aligned`. Only layers without randomness below it need it.
    """
    found: list[Gradients] = []
    known = [s for s in states if isinstance(s, KnownLayer)]
    random = [s for s in states if isinstance(s, LayerState)]
    arriving: Arriving | None = None
    for state in reversed(random):
        gradients, arriving = _through(state, arriving, start)
        found.append(gradients)
    return known_gradients(known, arriving, start, aligned) + found[::-1]


def _through(state: LayerState, arriving: Arriving | None, start: Start) -> tuple[Gradients, Arriving]:
    unit_head = start.loss is None
    if arriving is None:
        log_p, cross, exact, apart, fair = start.log_gradient, start.cross, start.exact, unit_head, unit_head
        log_alive = log_dead = log_p
        reasons = state.reasons if not unit_head else ()
    else:
        fair = arriving.fair and state.exact_derivative and state.activation.slopes is not None
        log_p, log_alive, log_dead = _masked(state, arriving, fair)
        cross = arriving.cross * _derivative_alignment(state) if arriving.cross.any() else arriving.cross
        exact = fair or (arriving.exact and state.exact_derivative and (arriving.apart or _linear(state)))
        apart = arriving.apart and _linear(state)
        reasons = (*arriving.reasons, *state.reasons)
        if np.isneginf(log_p).all():
            exact, reasons = True, ()
    # Signs can be moved into the columns of a matrix only if its law does not change with them.
    fair = fair and state.weights.symmetric
    # Where nothing arrives, weights get no gradient: what counts is the gradient given that something does.
    log_weight = (log_alive if fair else log_p) + state.arriving_log_square
    exact_weight = exact and (state.first or ((apart or fair) and state.arriving_exact))
    after = _weighted(
        state, log_p, log_alive, log_dead, cross, exact and (apart or fair), apart, fair, reasons
    )
    gradients = Gradients(
        log_p, log_weight, after.log_square, exact, exact_weight, after.exact, tuple(dict.fromkeys(reasons))
    )
    return gradients, after


def _masked(state: LayerState, arriving: Arriving, fair: bool) -> tuple[Array, Array, Array]:
    """Multiply by phi'(z)²: returns the second moment, and the two it consists of under fair signs."""
    if not fair:
        log_p = arriving.log_square + state.averages.log_derivative
        return log_p, log_p, log_p
    alive, dead = coin_slopes(state)
    log_alive, log_dead = arriving.log_alive + alive, arriving.log_dead + dead
    return over_silence(state, log_alive, log_dead), log_alive, log_dead


def _weighted(
    state: LayerState, log_p: Array, log_alive: Array, log_dead: Array, cross: Array,
    exact: bool, apart: bool, fair: bool, reasons: tuple[str, ...],
) -> Arriving:  # fmt: skip
    """Multiply by W^T."""
    n, law = state.width, state.weights
    with np.errstate(divide="ignore"):
        gain = np.log(n * law.second_moment)
    if law.second_moment == 0.0:
        nothing = np.full(log_p.shape, -np.inf)
        return Arriving(nothing, np.zeros(log_p.shape), nothing, nothing, True, True, True, ())
    if law.mean == 0.0 or law.family == "identity":
        lifted = log_dead if _silent(state) else log_alive
        if law.family == "identity":
            reasons = (*reasons, f"identity weights of layer {state.number} in the backward pass")
            exact = False
        return Arriving(
            log_p + gain, np.zeros(log_p.shape), log_alive + gain, lifted + gain, exact, apart, fair, reasons
        )
    # E (sum_i W_ij d_i)² = n E W² p + n (n - 1) mu² r with r = E d_i d_k; two columns share only the mean's part.
    pairs = 1.0 + (n - 1) * cross
    own = law.variance + law.mean**2 * pairs
    with np.errstate(divide="ignore"):
        log_square = log_p + np.log(n) + np.log(np.maximum(own, 0.0))
    share = np.where(own > 0.0, law.mean**2 * pairs / np.where(own > 0.0, own, 1.0), 0.0)
    why = f"weights of layer {state.number} have a mean"
    exact = exact and apart and not cross.any()
    return Arriving(log_square, share, log_square, log_square, exact, False, False, (*reasons, why))


def _silent(state: LayerState) -> bool:
    return state.biases.deterministic and state.biases.mean == 0.0


def _linear(state: LayerState) -> bool:
    slopes = state.activation.slopes
    return slopes is not None and slopes[0] == slopes[1]


def _derivative_alignment(state: LayerState) -> Array:
    """E phi'(z_i) phi'(z_j) over E phi'(z)² for two units of the layer, shape (B,)."""
    if _linear(state):
        return np.ones_like(state.zero)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        pair = shared_slopes(state) / np.exp(state.averages.log_derivative)
    return np.nan_to_num(pair, nan=0.0)
