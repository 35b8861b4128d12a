"""What an activation makes of all pairs of a batch: by lengths and directions where it can, else by distances."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from varprop._validation import InputError
from varprop.analytic.batch_moments import pair_averages
from varprop.analytic.homogeneous_pairs import (
    directions,
    log_distance,
    log_half_square,
    rectified_directions,
    slopes_at_zero,
)
from varprop.analytic.states import LayerState
from varprop.analytic.unit_law import UnitLaw

Array = NDArray[np.float64]
Index = NDArray[np.intp]


@dataclass(frozen=True)
class Below:
    """What arrives at a layer: log mean squares (B,), log distances, 1 - cosines and their rounding (pairs,)."""

    log_square: Array
    log_distance: Array
    gap: Array
    gap_doubt: Array


@dataclass(frozen=True)
class ActivatedPairs:
    """Averages over pairs after the activation, and their doubts as in `PairAverages`.

    ``slopes`` are shares of the roots of E phi'_a² E phi'_b².
    """

    below: Below
    slopes: Array
    doubt: float
    slopes_doubt: float


def activated_pairs(state: LayerState, eps: Array, eps_doubt: Array, i: Index, j: Index) -> ActivatedPairs:
    """Return what the activation makes of every pair: by lengths and directions where it can, else by distances."""
    phi, unit = state.activation, state.unit
    if unit.gaussian_alone.all():
        unit = unit.centre()
    squares, half = state.averages.log_second_moment, 0.5 * state.averages.log_derivative
    if unit.centred and phi.degree is not None:
        gap, slopes = directions(phi, eps)
        gap = np.where(np.isneginf(squares[i]) | np.isneginf(squares[j]), 1.0, gap)
        apart = log_distance(squares[i], squares[j], gap)
        passed = _passed(eps, eps_doubt, gap)
        return ActivatedPairs(
            Below(squares, apart, gap, passed), slopes, _lost(squares, apart, passed, i, j), 0.0
        )
    largest = np.maximum(unit.log_variance[i], unit.log_variance[j])
    if np.any(largest > _LARGEST):
        raise InputError("input", "pre-activations beyond 1e50", "less, for averages over pairs of them")
    lines = slopes_at_zero(phi) if unit.centred else None
    near = (largest < _STRAIGHT) if lines is not None else np.zeros(i.shape, dtype=bool)
    rest = ~near
    apart, slopes = np.empty(i.shape), np.empty(i.shape)
    gap = np.empty(i.shape)
    doubt = slopes_doubt = 0.0
    if rest.any():
        found = pair_averages(phi, _raised(unit) if lines is not None else unit, eps[rest], i[rest], j[rest])
        apart[rest], doubt, slopes_doubt = found.log_distance, found.doubt, found.slopes_doubt
        with np.errstate(divide="ignore", invalid="ignore"):
            size = np.exp(half[i[rest]] + half[j[rest]])
            slopes[rest] = np.where(size > 0.0, found.slopes / np.where(size > 0.0, size, 1.0), 0.0)
    if near.any():
        assert lines is not None
        gap[near], slopes[near] = rectified_directions(lines, eps[near])
        logs = unit.log_variance + float(np.log(0.5 * np.square(lines).sum()))
        apart[near] = log_distance(logs[i[near]], logs[j[near]], gap[near])
    at_zero = float(phi(np.zeros(1))[0])
    subtracted = rest if at_zero == 0.0 else np.ones_like(rest)
    a, b = squares[i[subtracted]], squares[j[subtracted]]
    gap[subtracted], own = _from_distance(a, b, apart[subtracted])
    passed = _passed(eps, eps_doubt, gap)
    doubt = doubt + _lost(squares, apart, passed, i, j)
    gap_doubt = passed.copy()
    gap_doubt[subtracted] = np.maximum(passed[subtracted], own)
    return ActivatedPairs(Below(squares, apart, gap, gap_doubt), slopes, doubt, slopes_doubt)


def _raised(unit: UnitLaw) -> UnitLaw:
    """Take lengths that are nothing beside the other of a pair for some that squares can hold."""
    logs = unit.log_variance
    return replace(unit, log_variance=np.where(np.isneginf(logs), logs, np.maximum(logs, 1.1 * _STRAIGHT)))


def _from_distance(first: Array, second: Array, apart: Array) -> tuple[Array, Array]:
    """Return 1 - cosine from the logarithms of both squares and of the distance, and its rounding error."""
    with np.errstate(over="ignore", invalid="ignore"):
        centre = 0.5 * (first + second)
        whole, lengths = np.exp(apart - centre), np.exp(log_half_square(first, second) - centre)
        digits = np.maximum(1.0, np.abs(np.where(np.isfinite(apart), apart, centre)))
        gap, doubt = whole - lengths, np.finfo(np.float64).eps * digits * (whole + lengths)
    nothing = ~np.isfinite(centre)
    lost = nothing | ~np.isfinite(gap)
    gap = np.where(lost, 1.0, np.clip(np.where(lost, 1.0, gap), 0.0, 2.0))
    return gap, np.where(nothing, 0.0, np.where(lost, 2.0, np.minimum(doubt, 2.0)))


def _passed(eps: Array, eps_doubt: Array, gap: Array) -> Array:
    """Return what becomes of a rounding error of eps: it grows or shrinks as eps does, where that is known."""
    known = eps > eps_doubt
    return np.where(known, eps_doubt * gap / np.where(known, eps, 1.0), eps_doubt)


def _lost(squares: Array, apart: Array, eps_doubt: Array, i: Index, j: Index) -> float:
    """Return the share of all distances that correlations lost to rounding may make up."""
    if not eps_doubt.any():
        return 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        errors = 0.5 * (squares[i] + squares[j]) + np.log(eps_doubt)
    error, whole = np.logaddexp.reduce(errors), np.logaddexp.reduce(apart)
    return float(np.exp(min(error - whole, 700.0))) if np.isfinite(error) else 0.0


_STRAIGHT = -200.0
"""Logarithm of a variance below which an activation is two straight lines about 0 to rounding."""


_LARGEST = float(np.log(1e100))
