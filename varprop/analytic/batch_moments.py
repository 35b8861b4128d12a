"""Averages over two inputs at once, for all pairs of a batch.

For one unit and inputs a, b the pre-activations are jointly Gaussian about a common bias, with correlation
rho = 1 - eps. Mehler's expansion in normalised Hermite polynomials h_k gives, with a_k = E phi(m + sqrt(q_a) g) h_k(g),

    E phi_a phi_b           = sum_k a_k b_k rho^k
    E (phi_a - phi_b)² / 2  = sum_k (a_k - b_k)²/2 + eps sum_j rho^j sum_{k>j} a_k b_k,

the second because 1 - rho^k = eps (1 + rho + ... + rho^{k-1}): nothing cancels as rho goes to 1. A batch needs one
vector of coefficients per input. The sum of what is left out is known from Parseval's identity, but for the powers of
rho that belong to it: they lie between 0 and rho^T; rho^{2T} is taken, which is right at both ends.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from varprop.activations import Activation
from varprop.analytic.gaussian_nodes import gaussian_nodes
from varprop.analytic.rectified_pairs import rectified_pairs, shifted_rectified_pairs
from varprop.analytic.unit_law import BiasMixture, UnitLaw
from varprop.moments.hermite import TERMS, coefficients

Array = NDArray[np.float64]
Index = NDArray[np.intp]

_CHUNK = 1 << 14
_ENOUGH = 1e-13
_SMALL = 1e-8
_ONE = BiasMixture(np.zeros(1), np.zeros(1), np.ones(1))


@dataclass(frozen=True)
class PairAverages:
    """Averages over pairs of inputs, shape (pairs,) each.

    Attributes
    ----------
    distance : ndarray
        E (phi_a - phi_b)²/2.
    slopes : ndarray
        E phi'_a phi'_b.
    doubt : float
        Bound of what Mehler's series leaves open in `distance`, as a share of E phi².
    """

    distance: Array
    slopes: Array
    doubt: float


def pair_averages(phi: Activation, unit: UnitLaw, eps: Array, first: Index, second: Index) -> PairAverages:
    """Return the averages for all pairs of a batch.

    Parameters
    ----------
    phi : Activation
    unit : UnitLaw
        Law of a unit, for B inputs.
    eps : ndarray
        1 - correlation of the Gaussian parts, shape (pairs,).
    first, second : ndarray of int
        The inputs of each pair.
    """
    means, logs, shares = unit.components()
    roots = np.exp(0.5 * np.clip(logs, -230.0, 230.0)) * (logs > -np.inf)
    base = np.exp(0.5 * np.clip(unit.log_variance, -230.0, 230.0)) * (unit.log_variance > -np.inf)
    gap = eps * base[first] * base[second] + 0.5 * np.square(base[first] - base[second])
    distance, slopes, doubt = np.zeros(eps.size), np.zeros(eps.size), 0.0
    for mean, root, extra, share in zip(means, roots, unit.bias.extra, shares[:, 0], strict=True):
        own = eps
        if extra > 0.0:
            # A Gaussian component of the bias is the same for both inputs: it leaves their distance alone.
            a, b = root[first], root[second]
            own = np.clip((gap - 0.5 * np.square(a - b)) / (a * b), 0.0, 2.0)
        found = _component(phi, mean, np.square(root), own, first, second)
        distance, slopes = distance + share * found.distance, slopes + share * found.slopes
        doubt = max(doubt, found.doubt)
    return PairAverages(distance, slopes, doubt)


def _component(
    phi: Activation, mean: Array, variance: Array, eps: Array, first: Index, second: Index
) -> PairAverages:
    if phi.slopes is not None:
        if not mean.any():
            return PairAverages(*rectified_pairs(phi.slopes, variance, eps, first, second), 0.0)
        return PairAverages(*shifted_rectified_pairs(phi.slopes, mean, variance, eps, first, second), 0.0)
    if not mean.any() and phi.kinks and "product" in phi.forms.pair:
        fields = ("squared_difference", "derivative_product")
        m = phi.pair_moments(variance[first], variance[second], one_minus_correlation=eps, fields=fields)
        return PairAverages(0.5 * m.squared_difference, np.asarray(m.derivative_product), 0.0)
    table, slope_table = _coefficients(phi, mean, variance)
    rest = slope_rest = np.zeros(variance.size)
    if table.shape[0] == TERMS:
        norms = phi.moments(variance, mean=mean, fields=("second_moment", "derivative_second_moment"))
        rest = _left(table, norms.second_moment)
        slope_rest = _left(slope_table, norms.derivative_second_moment)
    distance, slopes, doubt = np.empty(eps.size), np.empty(eps.size), 0.0
    for start in range(0, eps.size, _CHUNK):
        part = slice(start, start + _CHUNK)
        i, j, e = first[part], second[part], eps[part]
        rho = 1.0 - e
        with np.errstate(under="ignore"):
            last = np.abs(rho) ** TERMS
        a, b = table[:, i], table[:, j]
        tails = np.cumsum((a * b)[::-1], axis=0)[::-1]
        left = np.sqrt(rest[i] * rest[j])
        apart = 0.5 * np.square(a - b).sum(axis=0) + 0.5 * np.square(np.sqrt(rest[i]) - np.sqrt(rest[j]))
        distance[part] = apart + e * _horner(tails[1:], rho) + left * (1.0 - np.square(last))
        slopes[part] = _horner(slope_table[:, i] * slope_table[:, j], rho)
        slopes[part] += np.square(last) * np.sqrt(slope_rest[i] * slope_rest[j])
        size = np.maximum(distance[part], 1e-300)
        doubt = max(
            doubt, float(np.max(0.5 * left * last / size, initial=0.0, where=(left > 0.0) & (e > 0.0)))
        )
    return PairAverages(distance, slopes, doubt)


def _horner(terms: Array, x: Array) -> Array:
    total = np.zeros_like(x)
    for row in terms[::-1]:
        total *= x
        total += row
    return total


def _left(table: Array, norms: Array) -> Array:
    rest = norms - np.square(table).sum(axis=0)
    return np.where(rest > _ENOUGH * norms, rest, 0.0)


def _coefficients(phi: Activation, mean: Array, variance: Array) -> tuple[Array, Array]:
    """Return the Hermite coefficients of phi and phi' for every input, shape (terms, B)."""
    level = mean[0]
    if any(kink != level for kink in phi.kinks) or np.any(mean != level):
        return _split_coefficients(phi, mean, variance)
    values = coefficients(_moved(phi, level), variance).T
    slopes = coefficients(_moved(phi.derivative, level), variance).T
    # What is left below this size has less than `_ENOUGH` of the square, and is neglected as a whole.
    used = np.flatnonzero((_size(values) > _SMALL) | (_size(slopes) > _SMALL))
    count = int(used[-1]) + 1 if used.size else 1
    return np.ascontiguousarray(values[:count]), np.ascontiguousarray(slopes[:count])


def _size(table: Array) -> Array:
    return np.asarray((np.abs(table) / np.maximum(np.abs(table).max(axis=0), 1e-300)).max(axis=1))


def _moved(f: Callable[[Array], Array], level: float) -> Callable[[Array], Array]:
    return lambda z: f(z + level)


def _split_coefficients(phi: Activation, mean: Array, variance: Array) -> tuple[Array, Array]:
    """Return the same on nodes that are split at the kinks of each input."""
    with np.errstate(divide="ignore"):
        unit = UnitLaw(mean, np.log(variance), _ONE, 0.0, np.zeros_like(mean))
    nodes = gaussian_nodes(unit, phi.kinks)
    value, slope = nodes.weights * phi(nodes.z), nodes.weights * phi.derivative(nodes.z)
    table, slopes = np.empty((TERMS, mean.size)), np.empty((TERMS, mean.size))
    before, now = np.zeros_like(nodes.g), np.ones_like(nodes.g)
    for k in range(TERMS):
        table[k], slopes[k] = (value * now).sum(axis=0), (slope * now).sum(axis=0)
        before, now = now, (nodes.g * now - np.sqrt(k) * before) / np.sqrt(k + 1)
    return table, slopes
