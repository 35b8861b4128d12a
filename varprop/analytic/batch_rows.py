"""The quantities that need two inputs: data variance, correlation, dead fraction, batch-mean gradient."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from varprop.analytic.covariance import DOUBTFUL, UNKNOWN, Pairs, PairState
from varprop.analytic.entries import Entry, moment, number, unpredicted
from varprop.analytic.silent_units import LARGEST, silent_share
from varprop.analytic.states import KnownLayer, LayerState

Array = NDArray[np.float64]


def data_variance(pair: PairState) -> Entry:
    """Return the mean over pairs of E (z_a - z_b)²/2, which is the variance over inputs with B - 1 below."""
    if pair.reason:
        return unpredicted(pair.reason)
    return moment(pair.log_distance, pair.exact, _doubts(pair))


def correlation(state: KnownLayer | LayerState, pair: PairState, pairs: Pairs) -> Entry:
    """Return the mean over pairs of E z_a z_b / sqrt(E z_a² E z_b²); pairs with a zero vector do not count."""
    if pair.reason:
        return unpredicted(pair.reason)
    known = isinstance(state, KnownLayer)
    logs = (
        state.preactivations.log_mean_square
        if isinstance(state, KnownLayer)
        else state.unit.log_second_moment
    )
    if _doubted(pair) > UNKNOWN:
        return unpredicted(_LOST)
    i, j = pairs.first, pairs.second
    usable = np.isfinite(logs[i]) & np.isfinite(logs[j])
    if not usable.any():
        return unpredicted("all pre-activations are 0: no correlation is defined")
    with np.errstate(over="ignore", invalid="ignore"):
        # (q_a + q_b)/2 - d over sqrt(q_a q_b)
        half = 0.5 * (logs[i] - logs[j])
        values = np.cosh(half) - np.exp(pair.log_distance - 0.5 * (logs[i] + logs[j]))
    exact = known or pair.exact
    if isinstance(state, LayerState) and state.unit.centred:
        values = 1.0 - pair.eps
    reasons = state.reasons if isinstance(state, LayerState) else ()
    exact = exact and _doubted(pair) < _DIGITS
    return number(np.clip(values[usable], -1.0, 1.0), exact, (*reasons, *_doubts(pair), *_lost_digits(pair)))


_DIGITS = 1e-10
"""Rounding error of a correlation up to which it is exact."""
_LOST = "correlations are not known: they are lost in differences of lengths that are too far apart"


def _doubted(pair: PairState) -> float:
    return float(np.max(pair.eps_doubt, initial=0.0))


def _lost_digits(pair: PairState) -> tuple[str, ...]:
    doubt = _doubted(pair)
    return (f"correlations known to {doubt:.1g} only",) if doubt > DOUBTFUL else ()


def dead_fraction(state: LayerState, pair: PairState, pairs: Pairs) -> Entry:
    """Return the probability that a unit is inactive for all inputs."""
    intervals = state.activation.inactive
    if not intervals:
        return number(np.zeros(1), True, ())
    if pair.reason or state.averages.reason:
        return unpredicted(pair.reason or state.averages.reason)
    if _doubted(pair) > UNKNOWN:
        return unpredicted(_LOST)
    batch = state.unit.mean.size
    if batch > LARGEST:
        return unpredicted(f"an orthant probability of more than {LARGEST} inputs")
    correlations = np.eye(batch)
    correlations[pairs.first, pairs.second] = correlations[pairs.second, pairs.first] = 1.0 - pair.eps
    means, logs, shares = state.unit.components()
    half_line = len(intervals) == 1 and intervals[0] in ((-np.inf, 0.0), (0.0, np.inf))
    if half_line and state.unit.centred:
        # Signs do not depend on sizes, which may be too small or too far apart to be multiplied.
        still = np.isneginf(state.unit.log_variance)
        size = np.where(still, 0.0, 1.0)
        share, error = silent_share(intervals, np.zeros(batch), correlations * np.outer(size, size))
        return _dead_entry(state, pair, share, error)
    share, error = 0.0, 0.0
    for mean, log, extra, weight in zip(means, logs, state.unit.bias.extra, shares[:, 0], strict=True):
        top = max(float(log.max()), -600.0)
        root = np.exp(0.5 * (state.unit.log_variance - top))
        covariance = correlations * np.outer(root, root) + extra * np.exp(-top)
        scaled = [tuple(end * np.exp(-0.5 * top) for end in interval) for interval in intervals]
        part, spread = silent_share(scaled, mean * np.exp(-0.5 * top), covariance)
        share, error = share + weight * part, error + weight * spread
    return _dead_entry(state, pair, share, error)


def _dead_entry(state: LayerState, pair: PairState, share: float, error: float) -> Entry:
    exact = state.exact.law and pair.exact and _doubted(pair) < _DIGITS
    why = (*state.reasons, *_doubts(pair), *_lost_digits(pair), *_why_not(exact and error > 0.0, error))
    return number(np.array([share]), exact and error == 0.0, why)


def _doubts(pair: PairState) -> tuple[str, ...]:
    return (pair.note,) if pair.note else ()


def _why_not(sampled: bool, error: float) -> tuple[str, ...]:
    return (f"orthant probability by a lattice rule, to about {2.0 * error:.1e}",) if sampled else ()


def known_dead_fraction(layer: KnownLayer) -> Entry:
    """Return the share of units whose known pre-activations are inactive for all inputs."""
    inactive = layer.preactivations.within(layer.activation.inactive)
    return number(np.array([float(np.mean(inactive.all(axis=1)))]), True, ())


def batch_gradient(
    log_squares: Array, products: Array, arriving: Array, pair: PairState | None, pairs: Pairs
) -> Array:
    """Return the logarithm of the expected square of a batch-mean weight gradient, shape (1,).

    (1/B²) sum_ab E (delta_a delta_b) E (h_a h_b): the mean over entries for independent gradient and activation.

    Parameters
    ----------
    log_squares, arriving : ndarray
        Logarithms of E delta_a² and E h_a², shape (B,).
    products : ndarray
        E delta_a delta_b over the root of E delta_a² E delta_b², shape (pairs,).
    pair : PairState or None
        How far apart the inputs are; None for inputs all alike.
    """
    i, j = pairs.first, pairs.second
    top = float(np.max(log_squares)), float(np.max(arriving))
    if not np.all(np.isfinite(top)):
        return np.array([-np.inf if -np.inf in top else np.nan])
    p, e = np.exp(log_squares - top[0]), np.exp(arriving - top[1])
    with np.errstate(under="ignore"):
        apart = 0.0 if pair is None else np.exp(pair.arriving_log_distance - top[1])
        shared = 0.5 * (e[i] + e[j]) - apart
    total = float(p @ e + 2.0 * np.sum(products * np.sqrt(p[i] * p[j]) * shared))
    with np.errstate(divide="ignore", invalid="ignore"):
        log_total = np.log(total / p.size**2) + sum(top) if total > 0.0 else -np.inf
    return np.array([log_total])


def gradient_products(
    states: Sequence[KnownLayer | LayerState], pair_states: Sequence[PairState], top: Array
) -> list[Array]:
    """Return E delta_a delta_b over its geometric mean at every layer, from `top` at the last one, shape (pairs,)."""
    found = [top]
    for pair in reversed(pair_states[:-1]):
        found.append(found[-1] * pair.slope_product)
    return found[::-1]
