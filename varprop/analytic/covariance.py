"""Two inputs: how far apart a layer keeps them, for all pairs of a batch.

The recursion carries the distance d_ab = E (z_a - z_b)²/2 rather than the covariance (q_a + q_b)/2 - d_ab, because
inputs become alike with depth and the difference would drown (Poole et al. 2016, eq. 5, in these variables):

    d^1 = s_1 |x_a - x_b|²/2,        d^{l+1} = n_l s_{l+1} E (phi(z_a) - phi(z_b))²/2.

Biases are the same for all inputs and drop out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from varprop._validation import InputError
from varprop.analytic.activated_pairs import Below, activated_pairs
from varprop.analytic.entries import joined
from varprop.analytic.homogeneous_pairs import log_half_square
from varprop.analytic.states import Known, KnownLayer, LayerState

Array = NDArray[np.float64]

LARGEST_BATCH = 2048
_EXACT, DOUBTFUL, UNKNOWN = 1e-9, 1e-3, 0.5
"""Shares of the mean distance that may be in doubt in exact rows and in others; from the last on nothing is known."""


@dataclass(frozen=True)
class Pairs:
    """The pairs a < b of a batch: indices of their inputs, shape (B (B - 1)/2,) each."""

    first: NDArray[np.intp]
    second: NDArray[np.intp]

    @classmethod
    def of(cls, batch: int) -> Pairs:
        """Return all pairs of `batch` inputs."""
        return cls(*np.triu_indices(batch, 1))


@dataclass(frozen=True)
class PairState:
    """What is known of the pairs at one layer, shape (pairs,) each.

    Attributes
    ----------
    log_distance : ndarray
        Logarithm of E (z_a - z_b)²/2.
    eps : ndarray
        1 - correlation of the Gaussian parts of z_a and z_b.
    eps_doubt : ndarray
        Bound of its rounding error: large where lengths that differ by powers of ten are subtracted.
    arriving_log_distance : ndarray
        Logarithm of the mean over units of E (h_a - h_b)²/2 of what arrives.
    slope_product : ndarray
        E phi'(z_a) phi'(z_b) over the root of E phi'(z_a)² E phi'(z_b)².
    exact, arriving_exact : bool
        Whether the distances hold at any width.
    reason : str
        Why nothing is known; empty if something is.
    note : str
        What is in doubt in the averages below this layer: such a row is approximate. Empty if nothing is.
    slopes_note : str
        The same of `slope_product`.
    """

    log_distance: Array
    eps: Array
    eps_doubt: Array
    arriving_log_distance: Array
    slope_product: Array
    exact: bool
    arriving_exact: bool
    reason: str = ""
    note: str = ""
    slopes_note: str = ""


def pair_states(states: Sequence[KnownLayer | LayerState], x: Known, pairs: Pairs) -> list[PairState]:
    """Return the state of the pairs at every layer."""
    found: list[PairState] = []
    exact, note, lost = True, "", ""
    nothing = np.full(pairs.first.size, np.nan)
    below = _known_below(x, pairs)
    for state in states:
        if isinstance(state, KnownLayer):
            own = _known_log_distance(state.preactivations, pairs)
            found.append(
                PairState(own, nothing, np.zeros(nothing.size), below.log_distance, nothing, True, True)
            )
            below = _known_below(state.activations, pairs)
            continue
        reason = lost or _failing(state, found)
        if reason:
            found.append(PairState(nothing, nothing, nothing, nothing, nothing, False, False, reason))
            continue
        own, eps = _own(state, below, pairs)
        found.append(
            PairState(own, eps, below.gap_doubt, below.log_distance, nothing, exact, exact, "", note)
        )
        try:
            averages = activated_pairs(state, eps, below.gap_doubt, pairs.first, pairs.second)
        except InputError as error:
            lost = str(error)
            continue
        if not averages.doubt < UNKNOWN:
            lost = f"distances of pairs are not known: {state.activation.name} is not resolved at layer {state.number}"
            continue
        found[-1] = replace(
            found[-1],
            slope_product=averages.slopes,
            slopes_note=_doubt("products of slopes", averages.slopes_doubt, DOUBTFUL),
        )
        below, exact = averages.below, state.exact.law or (_linear(state) and exact)
        doubt = _doubt("distances of pairs", averages.doubt, _EXACT if exact else DOUBTFUL)
        note, exact = note or doubt, exact and not doubt
        # What is above a distance is worth no more than the law under which the distance was averaged.
        note = note if exact else joined(note, *state.reasons)
    return found


def _failing(state: LayerState, found: list[PairState]) -> str:
    if found and found[-1].reason:
        return found[-1].reason
    if state.averages.reason:
        return state.averages.reason
    if state.weights.family == "identity":
        return f"no pair recursion through identity weights (layer {state.number})"
    if state.weights.mean != 0.0 and not state.first:
        return f"no pair recursion for weights with a mean (layer {state.number})"
    return ""


def _known_below(x: Known, pairs: Pairs) -> Below:
    return Below(
        x.log_mean_square, _known_log_distance(x, pairs), _angles(x.values, pairs), np.zeros(pairs.first.size)
    )


def _own(state: LayerState, below: Below, pairs: Pairs) -> tuple[Array, Array]:
    """Return the logarithm of E (z_a - z_b)²/2, and 1 - the correlation of the Gaussian parts.

    With s = n Var w E h² of either input, b the variance of a Gaussian bias, q = s + b and 1 - gap the cosine of what
    arrives, nothing is subtracted:

        sqrt(q_a q_b) (1 - rho) = sqrt(s_a s_b) gap + b (sqrt s_a - sqrt s_b)² / (sqrt(q_a q_b) + sqrt(s_a s_b) + b).
    """
    unit, i, j = state.unit, pairs.first, pairs.second
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        gain = np.log(state.fan_in * state.weights.variance)
        own, arriving = gain + below.log_distance, gain + below.log_square
        bias = np.log(state.biases.variance if unit.bias_variance == 0.0 else 0.0)
        centre = 0.5 * (unit.log_variance[i] + unit.log_variance[j])
        share = np.exp(0.5 * (arriving[i] + arriving[j]) - centre)
        eps = share * below.gap
        if np.isfinite(bias):
            lengths = np.exp(log_half_square(arriving[i], arriving[j]) + np.log(2.0) + bias - 2.0 * centre)
            eps = eps + lengths / (1.0 + share + np.exp(bias - centre))
    both = np.isfinite(centre)
    eps = np.where(both, np.clip(np.nan_to_num(eps, nan=0.0, posinf=2.0), 0.0, 2.0), 1.0)
    if state.weights.mean != 0.0:
        with np.errstate(divide="ignore"):
            own = np.logaddexp(own, 2.0 * np.log(np.abs(unit.mean[i] - unit.mean[j])) - np.log(2.0))
    return own, eps


def _linear(state: LayerState) -> bool:
    slopes = state.activation.slopes
    return slopes is not None and slopes[0] == slopes[1]


def _doubt(what: str, share: float, allowed: float) -> str:
    return "" if share <= allowed else f"{what} known to {share:.1g} only"


def _angles(values: Array, pairs: Pairs) -> Array:
    """1 - cos of the angle between two columns, shape (pairs,)."""
    length = np.sqrt(np.square(values).sum(axis=0))
    unit = values / np.where(length > 0.0, length, 1.0)
    return np.asarray(_half_square_distance(unit, pairs) * values.shape[0])


def _known_log_distance(known: Known, pairs: Pairs) -> Array:
    """Logarithm of the mean over units of (h_a - h_b)²/2."""
    top = float(known.log_scale.max())
    values = known.values * np.exp(known.log_scale - top)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(_half_square_distance(values, pairs)) + 2.0 * top)


def _half_square_distance(values: Array, pairs: Pairs) -> Array:
    """Mean over rows of (v_a - v_b)²/2, shape (pairs,)."""
    distance = np.empty(pairs.first.size)
    step = max(1, (1 << 22) // values.shape[0])
    for start in range(0, distance.size, step):
        part = slice(start, start + step)
        gap = values[:, pairs.first[part]] - values[:, pairs.second[part]]
        distance[part] = 0.5 * np.mean(np.square(gap), axis=0)
    return distance
