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
from varprop.analytic.batch_moments import PairAverages, pair_averages
from varprop.analytic.entries import joined
from varprop.analytic.silence import slope_at_zero
from varprop.analytic.states import Known, KnownLayer, LayerState

Array = NDArray[np.float64]

LARGEST_BATCH = 2048
_EXACT, DOUBTFUL, _UNKNOWN = 1e-9, 1e-3, 0.5
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
    arriving, exact, note, lost = _known_log_distance(x, pairs), True, "", ""
    nothing = np.full(pairs.first.size, np.nan)
    before: Known | None = x
    for state in states:
        if isinstance(state, KnownLayer):
            own = _known_log_distance(state.preactivations, pairs)
            found.append(PairState(own, nothing, arriving, nothing, True, True))
            arriving, before = _known_log_distance(state.activations, pairs), state.activations
            continue
        reason = lost or _failing(state, found)
        if reason:
            found.append(PairState(nothing, nothing, nothing, nothing, False, False, reason))
            continue
        own, eps = _own(state, arriving, pairs, before)
        before = None
        found.append(PairState(own, eps, arriving, nothing, exact, exact, "", note))
        try:
            averages = _averages(state, eps, pairs)
        except InputError as error:
            lost = str(error)
            continue
        if not averages.doubt < _UNKNOWN:
            lost = f"distances of pairs are not known: {state.activation.name} is not resolved at layer {state.number}"
            continue
        found[-1] = replace(
            found[-1],
            slope_product=averages.slopes,
            slopes_note=_doubt("products of slopes", averages.slopes_doubt, DOUBTFUL),
        )
        arriving, exact = averages.log_distance, state.exact.law or (_linear(state) and exact)
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


def _own(state: LayerState, arriving: Array, pairs: Pairs, known: Known | None) -> tuple[Array, Array]:
    """Return the logarithm of E (z_a - z_b)²/2, and 1 - the correlation of the Gaussian parts."""
    unit, i, j = state.unit, pairs.first, pairs.second
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        own = np.log(state.fan_in * state.weights.variance) + arriving
        centre = 0.5 * (unit.log_variance[i] + unit.log_variance[j])
        # 1 - rho = (d - (sqrt q_a - sqrt q_b)²/2) / sqrt(q_a q_b)
        half = 0.25 * (unit.log_variance[i] - unit.log_variance[j])
        eps = np.exp(own - centre) - 2.0 * np.square(np.sinh(half))
    both = np.isfinite(centre)
    if known is not None and not state.biases.gaussian:
        # Of known inputs by their directions: lengths may be too different to be subtracted.
        eps = _angles(known.values, pairs)
    eps = np.where(both, np.clip(np.nan_to_num(eps, nan=0.0, posinf=2.0), 0.0, 2.0), 1.0)
    if state.weights.mean != 0.0:
        with np.errstate(divide="ignore"):
            own = np.logaddexp(own, 2.0 * np.log(np.abs(unit.mean[i] - unit.mean[j])) - np.log(2.0))
    return own, eps


def _averages(state: LayerState, eps: Array, pairs: Pairs) -> PairAverages:
    """Return distances after the activation, and products of slopes as a share of the roots of E phi'²."""
    unit, i, j = state.unit, pairs.first, pairs.second
    if unit.gaussian_alone.all():
        unit = unit.centre()
    scale = float(np.max(unit.log_variance, initial=-np.inf, where=np.isfinite(unit.log_variance)))
    homogeneous = state.activation.slopes is not None and unit.centred and np.isfinite(scale)
    if scale > _LARGEST and not homogeneous:
        raise InputError("input", "pre-activations beyond 1e50", "less, for averages over pairs of them")
    seen = replace(unit, log_variance=unit.log_variance - scale) if homogeneous else unit
    averages = pair_averages(state.activation, seen, eps, i, j)
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.exp(0.5 * (state.averages.log_derivative[i] + state.averages.log_derivative[j]))
        slopes = np.where(size > 0.0, averages.slopes / np.where(size > 0.0, size, 1.0), 0.0)
    log_distance = averages.log_distance + (scale if homogeneous else 0.0)
    at_zero = slope_at_zero(state.activation)
    if unit.centred and at_zero > 0.0 and 0.0 not in state.activation.kinks:
        # Beyond what pair averages can hold phi is a straight line through phi(0).
        with np.errstate(divide="ignore", invalid="ignore"):
            half = 0.25 * (unit.log_variance[i] - unit.log_variance[j])
            centre = 0.5 * (unit.log_variance[i] + unit.log_variance[j])
            straight = centre + np.log(eps + 2.0 * np.square(np.sinh(half))) + np.log(at_zero)
        tiny = np.maximum(unit.log_variance[i], unit.log_variance[j]) < _STRAIGHT
        log_distance = np.where(tiny & np.isfinite(centre), straight, log_distance)
    return replace(averages, log_distance=log_distance, slopes=slopes)


_STRAIGHT = -200.0
"""Logarithm of a variance below which a smooth activation is a straight line to rounding."""


_LARGEST = float(np.log(1e100))


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
