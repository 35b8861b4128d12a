"""How a layer's averages answer when the variance of its pre-activations moves, and how much they scatter.

All numbers are relative, so they are free of scale. For z ~ N(m, k) and any f the heat equation gives
dE f/dk = E[f He_2(g)] / 2k and d²E f/dk² = E[f He_4(g)] / 4k², g = (z - m)/sqrt(k), without derivatives of f. The
fourth cumulant of a unit acts like a variance of k: an excess kurtosis K adds E[f He_4] K/24.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from varprop.activations import Activation
from varprop.analytic.averages import CHUNK
from varprop.analytic.gaussian_nodes import gaussian_nodes
from varprop.analytic.sets import Interval, hermite_moments
from varprop.analytic.states import LayerState
from varprop.analytic.unit_law import UnitLaw

Array = NDArray[np.float64]

_REACH = np.log(1e80)


@dataclass(frozen=True)
class Responses:
    """Dimensionless numbers of one layer, shape (B,) each; e = E phi², d = E phi'², g' = z - m - bias.

    Attributes
    ----------
    mean2, mean4 : ndarray
        E[phi He_2]/2 and E[phi He_4]/8: what a relative shift of the variance, and a relative squared
        fluctuation, add to E phi.
    square2, square4 : ndarray
        The same of phi², as a share of e.
    slope2, slope4 : ndarray
        The same of phi'², as a share of d.
    scatter : ndarray
        Var phi² / e².
    slope_scatter : ndarray
        Var(phi'² xi²) / d² with xi ~ N(0, 1) independent: 3 E phi'⁴/d² - 1.
    joint : ndarray
        E phi² phi'² / (e d).
    fourth : ndarray
        E phi⁴ / e².
    aligned, spread : ndarray
        (E g' phi phi')² / (e d w) and E g'² phi'² / (d w), w the variance that comes through the weights.
    """

    mean2: Array
    mean4: Array
    square2: Array
    square4: Array
    slope2: Array
    slope4: Array
    scatter: Array
    slope_scatter: Array
    joint: Array
    fourth: Array
    aligned: Array
    spread: Array


def responses(state: LayerState) -> Responses:
    """Return the responses of one layer."""
    unit, log_weights, root = _within_reach(state)
    found, start = [], 0
    for part in unit.split(CHUNK):
        stop = start + part.mean.size
        found.append(vars(_responses(state.activation, part, log_weights[start:stop], root[start:stop])))
        start = stop
    return Responses(*(np.concatenate([f[name] for f in found]) for name in found[0]))


def _responses(activation: Activation, unit: UnitLaw, log_weights: Array, root: Array) -> Responses:
    nodes = gaussian_nodes(unit, activation.kinks)
    phi, slope = activation(nodes.z), activation.derivative(nodes.z)
    he2 = nodes.ratio * (np.square(nodes.g) - 1.0)
    he4 = np.square(nodes.ratio) * (nodes.g**4 - 6.0 * np.square(nodes.g) + 3.0)
    square, slope_square = np.square(phi), np.square(slope)
    e, d = nodes.average(square), nodes.average(slope_square)
    part = np.exp(np.minimum(log_weights - unit.log_variance, 0.0)) * nodes.ratio
    # E[g' | z] and E[g'² | z]: given the sum of two independent Gaussians, one of them is again Gaussian.
    through = part * nodes.std * nodes.g
    through2 = np.square(through) + part * (1.0 - part) * np.square(nodes.std)
    with np.errstate(divide="ignore", invalid="ignore"):
        w = np.exp(log_weights)
        c = nodes.average(through * phi * slope)
        found = Responses(
            root * nodes.average(phi * he2) / 2.0,
            root * nodes.average(phi * he4) / 8.0,
            nodes.average(square * he2) / (2.0 * e),
            nodes.average(square * he4) / (8.0 * e),
            nodes.average(slope_square * he2) / (2.0 * d),
            nodes.average(slope_square * he4) / (8.0 * d),
            nodes.average(np.square(square)) / np.square(e) - 1.0,
            3.0 * nodes.average(np.square(slope_square)) / np.square(d) - 1.0,
            nodes.average(square * slope_square) / (e * d),
            nodes.average(np.square(square)) / np.square(e),
            np.square(c) / (e * d * w),
            nodes.average(through2 * slope_square) / (d * w),
        )
    # A layer that is silent, or flat, answers nothing.
    return Responses(*(np.nan_to_num(a, nan=0.0, posinf=0.0, neginf=0.0) for a in vars(found).values()))


def set_responses(state: LayerState, intervals: tuple[Interval, ...]) -> tuple[Array, Array]:
    """Return E[1 He_2]/2 and E[1 He_4]/8 for the indicator of a set, shape (B,) each."""
    means, logs, shares = state.unit.components()
    with np.errstate(over="ignore", invalid="ignore"):
        second, fourth = hermite_moments(intervals, means, np.exp(0.5 * logs))
        ratio = np.nan_to_num(np.exp(state.unit.log_variance - logs), nan=0.0)
    return (shares * ratio * second).sum(axis=0) / 2.0, (shares * ratio**2 * fourth).sum(axis=0) / 8.0


def _within_reach(state: LayerState) -> tuple[UnitLaw, Array, Array]:
    """Return law, weights' log variance, and the factor by which the activation was scaled down with them.

    Homogeneous activations may be looked at on any scale: take 1.
    """
    unit = state.unit
    with np.errstate(divide="ignore"):
        log_weights = np.log(state.fan_in * state.weights.second_moment) + state.arriving_log_square
    if state.activation.slopes is not None and unit.centred:
        shift = np.where(np.isneginf(unit.log_variance), 0.0, unit.log_variance)
    else:
        shift = unit.log_variance - np.clip(unit.log_variance, -_REACH, _REACH)
        shift = np.where(np.isfinite(shift), shift, 0.0)
    moved = replace(unit, log_variance=unit.log_variance - shift, uneven=0.0)
    return moved, log_weights - shift, np.exp(0.5 * shift)
