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

from varprop.analytic.batch_moments import pair_averages
from varprop.analytic.states import Known, KnownLayer, LayerState

Array = NDArray[np.float64]

LARGEST_BATCH = 2048
_DOUBTFUL = 1e-3


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
        How accurate the averages below this layer are, where that is worth mentioning.
    """

    log_distance: Array
    eps: Array
    arriving_log_distance: Array
    slope_product: Array
    exact: bool
    arriving_exact: bool
    reason: str = ""
    note: str = ""


def pair_states(states: Sequence[KnownLayer | LayerState], x: Known, pairs: Pairs) -> list[PairState]:
    """Return the state of the pairs at every layer."""
    found: list[PairState] = []
    arriving, exact, note = _known_log_distance(x, pairs), True, ""
    nothing = np.full(pairs.first.size, np.nan)
    for state in states:
        if isinstance(state, KnownLayer):
            own = _known_log_distance(state.preactivations, pairs)
            found.append(PairState(own, nothing, arriving, nothing, True, True))
            arriving = _known_log_distance(state.activations, pairs)
            continue
        reason = _failing(state, found)
        if reason:
            found.append(PairState(nothing, nothing, nothing, nothing, False, False, reason))
            continue
        here, exact, arriving, note = _random(state, arriving, exact, pairs, note)
        found.append(here)
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


def _random(
    state: LayerState, arriving: Array, arriving_exact: bool, pairs: Pairs, note: str
) -> tuple[PairState, bool, Array, str]:
    unit, i, j = state.unit, pairs.first, pairs.second
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        own = np.log(state.fan_in * state.weights.variance) + arriving
        centre = 0.5 * (unit.log_variance[i] + unit.log_variance[j])
        # 1 - rho = (d - (sqrt q_a - sqrt q_b)²/2) / sqrt(q_a q_b)
        half = 0.25 * (unit.log_variance[i] - unit.log_variance[j])
        eps = np.exp(own - centre) - 2.0 * np.square(np.sinh(half))
    both = np.isfinite(centre)
    eps = np.where(both, np.clip(np.nan_to_num(eps, nan=0.0, posinf=2.0), 0.0, 2.0), 1.0)
    log_distance = own
    if state.weights.mean != 0.0:
        with np.errstate(divide="ignore"):
            log_distance = np.logaddexp(own, 2.0 * np.log(np.abs(unit.mean[i] - unit.mean[j])) - np.log(2.0))
    scale = float(np.max(unit.log_variance, initial=-np.inf, where=np.isfinite(unit.log_variance)))
    homogeneous = state.activation.slopes is not None and unit.centred and np.isfinite(scale)
    seen = replace(unit, log_variance=unit.log_variance - scale) if homogeneous else unit
    averages = pair_averages(state.activation, seen, eps, i, j)
    with np.errstate(divide="ignore", invalid="ignore"):
        after = np.log(averages.distance) + (scale if homogeneous else 0.0)
        size = np.exp(0.5 * (state.averages.log_derivative[i] + state.averages.log_derivative[j]))
        slopes = np.where(size > 0.0, averages.slopes / np.where(size > 0.0, size, 1.0), 0.0)
    if averages.doubt > _DOUBTFUL:
        note = f"distances of pairs to {averages.doubt:.1%}"
    linear = state.activation.slopes is not None and state.activation.slopes[0] == state.activation.slopes[1]
    here = PairState(log_distance, eps, arriving, slopes, arriving_exact, arriving_exact, "", note)
    return here, state.exact.law or (linear and arriving_exact), after, note


def _known_log_distance(known: Known, pairs: Pairs) -> Array:
    """Logarithm of the mean over units of (h_a - h_b)²/2."""
    top = float(known.log_scale.max())
    values = known.values * np.exp(known.log_scale - top)
    distance = np.empty(pairs.first.size)
    step = max(1, (1 << 22) // values.shape[0])
    for start in range(0, distance.size, step):
        part = slice(start, start + step)
        gap = values[:, pairs.first[part]] - values[:, pairs.second[part]]
        distance[part] = 0.5 * np.mean(np.square(gap), axis=0)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(distance) + 2.0 * top)
