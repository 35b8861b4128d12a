"""The backward recursion: second moments of gradients, from the last layer to the input.

With delta^l = dL/dz^l, h^l = phi(z^l), J^l = dz^L/dh^l, and weights of the backward pass taken as independent of what
they meet (Schoenholz et al. 2017, eq. 15; He et al. 2015, eq. 13):

    E (delta_i^l)² = E phi'(z_i^l)² n_{l+1} s_{l+1} E (delta_k^{l+1})²

Under the unit head, delta^L iid N(0, 1), it is exact wherever the network above is *isotropic*: for every vector u,

    E[|J^l u|² | layers up to l] = |u|² A_l if h^l is not 0,    |u|² B_l if it is.                               (1)

Then, with rho = E[phi'(z_i^l)²; h^l = 0],

    E (delta_i^l)² = E |J^l phi'(z_i^l) e_i|² = A_l (E phi'(z_i^l)² - rho) + B_l rho                               (2)

asks nothing of layer l but its E phi'², under whatever law its pre-activations have: (1) is given all of layer l.
For the weights, E (delta_i h_j)² = A_l E phi'(z_i^l)² h_j² over known inputs, or where E[phi'² | h^{l-1}] is a number.

(1) holds below the last layer: weights of mean 0 are uncorrelated in a row or a column (independent, Haar, sparse
columns), so E |W u|² = n s |u|² and A = B = n_L s_L. Suppose that it holds for h^l; let h = h^{l-1} be what arrives,
z^l = W^l h + b^l and u' = phi'(z^l) W^l u. Then it holds for h:

* Given h = 0, z^l = b^l does not depend on W^l, so E |u'|² = n_l s_l |u|² E phi'(b)²: B_{l-1} follows from (2) with
  b in place of z, for every law of weights and biases.
* phi linear: phi' is a number.
* Given h not 0, phi with slopes (a, b) and a law of (W^l, b^l) that does not change when a row and its bias change
  sign: (W_i u)² does not either, while phi'(z_i) is a or b with equal chances if z_i = 0 has probability 0. So
  E[phi'(z_i)² (W_i u)²] = (a² + b²)/2 E (W_i u)². If h^l = 0 then all slopes were 0 and u' is 0. Hence
  A_{l-1} = A_l (a² + b²)/2 n_l s_l.

Where z_i may be 0 (sparse weights, signs) the weights that it met are not what they are on average; a bias or weights
with a mean tie phi' to W u: there (1) ends, and the layers below are approximate. (After Hanin 2018 for ReLU, with
independent masks; this form, for one layer at a time and any mirrored law, is an own extension.)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from varprop.analytic.common import shared_slopes
from varprop.analytic.gradients import Arriving, Gradients
from varprop.analytic.head_start import Start
from varprop.analytic.known_gradients import known_gradients
from varprop.analytic.silence import bias_is_known, bias_signs, slope_at_zero
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
        gradients, arriving = _last(state, start) if arriving is None else _through(state, arriving)
        found.append(gradients)
    return known_gradients(known, arriving, start, aligned) + found[::-1]


def _last(state: LayerState, start: Start) -> tuple[Gradients, Arriving]:
    isotropic, log_p = start.loss is None, start.log_gradient
    reasons = () if isotropic else state.reasons
    after = _weighted(state, log_p, log_p, log_p, start.cross, isotropic, isotropic, reasons)
    exact_weight = start.exact and (state.first or (isotropic and state.arriving_exact))
    log_weight = log_p + state.arriving_log_square
    return Gradients(
        log_p, log_weight, after.log_square, start.exact, exact_weight, after.exact, reasons,
        _both(reasons, state.arriving_reasons),
    ), after  # fmt: skip


def _both(reasons: tuple[str, ...], others: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*reasons, *others)))


def _through(state: LayerState, arriving: Arriving) -> tuple[Gradients, Arriving]:
    nothing_arrives = arriving.exact and bool(np.isneginf(arriving.log_square).all())
    if nothing_arrives or _flat(state):
        # The one way to an exact 0: what is small underflows to the same number.
        none = np.full(state.unit.mean.shape, -np.inf)
        gradients = Gradients(none, none, none, True, True, True, ())
        return gradients, Arriving(none, np.zeros(none.shape), none, none, True, True, ())
    linear = _linear(state)
    alike = bool(np.array_equal(arriving.log_awake, arriving.log_silent))
    log_p, rest_is_exact = _slopes_over_silence(state, arriving, alike)
    exact = rest_is_exact and state.exact_derivative if arriving.isotropic else arriving.exact and linear
    reasons = (*arriving.reasons, *state.reasons)
    passes = arriving.isotropic and (
        (linear and (alike or state.no_atoms))
        or (state.activation.slopes is not None and state.exact.mirrored and state.no_atoms)
    )
    silent, silent_is_exact = _bias_slopes(state, arriving) if passes else (log_p, True)
    passes = passes and silent_is_exact
    awake = arriving.log_awake + _log_half(state) if passes else log_p
    # Where nothing arrives, weights get no gradient: what counts is the gradient given that something does.
    log_weight = (awake if passes else log_p) + state.arriving_log_square
    exact_weight = exact if state.first else passes and state.arriving_exact
    cross = arriving.cross * _derivative_alignment(state) if arriving.cross.any() else arriving.cross
    averaged = state.nothing.log_average(awake, silent) if passes else log_p
    exact_input = passes and not state.nothing.matters(1.0, np.exp(silent - awake))
    after = _weighted(state, averaged, awake, silent, cross, exact_input, passes, reasons)
    gradients = Gradients(
        log_p, log_weight, after.log_square, exact, exact_weight, after.exact, _both(reasons, ()),
        _both(reasons, state.arriving_reasons),
    )  # fmt: skip
    return gradients, after


def _slopes_over_silence(state: LayerState, arriving: Arriving, alike: bool) -> tuple[Array, bool]:
    """Equation (2), and whether all but E phi'² in it is exact."""
    log_derivative = state.averages.log_derivative
    at_zero = slope_at_zero(state.activation)
    if not arriving.isotropic or alike or at_zero == 0.0 or _value_at_zero(state) != 0.0:
        return (arriving.log_awake if arriving.isotropic else arriving.log_square) + log_derivative, True
    with np.errstate(divide="ignore", invalid="ignore"):
        log_rest = np.log(at_zero * state.zero.probability)
        # E phi'² is at least the part of it at 0.
        awake = log_derivative + np.log1p(-np.minimum(np.exp(log_rest - log_derivative), 1.0))
        found = np.logaddexp(arriving.log_awake + awake, arriving.log_silent + log_rest)
    return np.asarray(found), state.zero.exact


def _bias_slopes(state: LayerState, arriving: Arriving) -> tuple[Array, bool]:
    """Equation (2) with a bias in place of a pre-activation, and whether it is exact or does not matter."""
    biases, phi, n = state.biases, state.activation, state.width
    signs, at_zero = bias_signs(biases), slope_at_zero(state.activation)
    with np.errstate(divide="ignore"):
        all_zero = float(signs.at[0]) ** (1 if biases.deterministic else n)
        rest = at_zero * all_zero
        log_rest = np.log(rest)
        log_awake = np.log(np.maximum(signs.slope_square(phi) - rest, 0.0))
    found = np.logaddexp(arriving.log_awake + log_awake, arriving.log_silent + log_rest)
    known = bias_is_known(biases) or (biases.symmetric and biases.continuous) or _linear(state)
    return found, known or not state.nothing.probability.any()


def _log_half(state: LayerState) -> float:
    """Log of (a² + b²)/2."""
    assert state.activation.slopes is not None
    with np.errstate(divide="ignore"):
        return float(np.log(0.5 * np.square(state.activation.slopes).sum()))


def _value_at_zero(state: LayerState) -> float:
    return float(state.activation(np.zeros(1))[0])


def _flat(state: LayerState) -> bool:
    """Whether phi' is 0 everywhere, as `Activation.inactive` declares."""
    reached = -np.inf
    for low, high in sorted(state.activation.inactive):
        reached = high if low <= reached else reached
    return reached == np.inf


def _weighted(
    state: LayerState, log_p: Array, log_awake: Array, log_silent: Array, cross: Array,
    exact: bool, isotropic: bool, reasons: tuple[str, ...],
) -> Arriving:  # fmt: skip
    """Multiply by W^T."""
    n, law = state.width, state.weights
    with np.errstate(divide="ignore"):
        gain = np.log(n * law.second_moment)
    if law.second_moment == 0.0:
        nothing = np.full(log_p.shape, -np.inf)
        return Arriving(nothing, np.zeros(log_p.shape), nothing, nothing, True, True, ())
    if law.mean == 0.0 or law.family == "identity":
        if law.family == "identity":
            reasons = (*reasons, f"identity weights of layer {state.number} in the backward pass")
            exact = isotropic = False
        alone = np.zeros(log_p.shape)
        return Arriving(log_p + gain, alone, log_awake + gain, log_silent + gain, exact, isotropic, reasons)
    # E (sum_i W_ij d_i)² = n E W² p + n (n - 1) mu² r with r = E d_i d_k; two columns share only the mean's part.
    pairs = 1.0 + (n - 1) * cross
    own = law.variance + law.mean**2 * pairs
    with np.errstate(divide="ignore"):
        log_square = log_p + np.log(n) + np.log(np.maximum(own, 0.0))
    share = np.where(own > 0.0, law.mean**2 * pairs / np.where(own > 0.0, own, 1.0), 0.0)
    why = f"weights of layer {state.number} have a mean"
    exact = exact and isotropic and not cross.any()
    return Arriving(log_square, share, log_square, log_square, exact, False, (*reasons, why))


def _linear(state: LayerState) -> bool:
    slopes = state.activation.slopes
    return slopes is not None and slopes[0] == slopes[1]


def _derivative_alignment(state: LayerState) -> Array:
    """E phi'(z_i) phi'(z_j) over E phi'(z)² for two units of the layer, shape (B,)."""
    if _linear(state):
        return np.ones_like(state.unit.mean)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        pair = shared_slopes(state) / np.exp(state.averages.log_derivative)
    return np.nan_to_num(pair, nan=0.0)
