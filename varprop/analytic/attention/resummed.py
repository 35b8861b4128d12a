"""Attention's averages without sampling: second order in the logits, times what iid logits make of higher orders.

To second order A = A0 + J0 l + ..., A0 uniform over visible keys, and with F the form over keys of `forms`

    E[A S A^T] = A0 S A0^T + Kq * F0(Kk) + X + X^T,   X = E2 S A0^T,   E2[t, s] = Kq_tt A0_ts (c_ts - mean c_t) / 2,

c the diagonal of the row's centred Kk. The higher orders enter by exact ratios for iid logits with the row's effective
number of keys and variance (engine (B) of the notes), for pairs of rows by the law of `_Pairs` (own derivation). Where
keys are not far from exchangeable, averages are good to 2 % for s <= 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from varprop.analytic.attention.averages import BackwardAverages, ForwardAverages
from varprop.analytic.attention.fluctuation import double_trace, own_pair_factor
from varprop.analytic.attention.forms import Forms, left, right, symmetrized, transposed
from varprop.analytic.attention.iid_logits import Ratios, growth, ratios
from varprop.analytic.attention.kernels import HeadKernels

Array = NDArray[np.float64]

_NODES = 24


def forward(kernels: HeadKernels) -> ForwardAverages:
    """Return the averages of the forward pass."""
    shape, rows = kernels.shape, kernels.rows
    a0, answers = shape.uniform, _ratios(kernels)
    output = right(left(a0, kernels.value), transposed(a0))
    output = output + _over_keys(kernels) * _Pairs(kernels, answers).output()
    bent = _bent(kernels, answers)
    output = output + symmetrized(right(left(bent, kernels.value), transposed(a0)))
    squares = _squares(kernels, answers)
    double = _double(kernels, squares)
    factor = own_pair_factor(squares, squares**2, squares**2 - squares**3, (1.0 - squares) ** 2)
    np.fill_diagonal(double, np.diagonal(double) * factor)
    return ForwardAverages(output, np.where(rows.keys > 1.0, squares, 1.0), double, 0.0)


def backward(kernels: HeadKernels, gradient: Array) -> BackwardAverages:
    """Return the averages of the backward pass for a second moment `gradient` at the output."""
    shape = kernels.shape
    a0, answers = shape.uniform, _ratios(kernels)
    back, pairs = transposed(a0), _Pairs(kernels, answers)
    query = _over_keys(kernels) * pairs.query()
    key = _over_queries(kernels, gradient * pairs.key())
    value = left(back, right(gradient, a0)) + symmetrized(
        left(transposed(_bent(kernels, answers)), right(gradient, a0))
    )
    value = value + _spread_of_rows(kernels, gradient * pairs.output())
    return BackwardAverages(query, key, value, _double(kernels, _squares(kernels, answers)), 0.0)


def _ratios(kernels: HeadKernels) -> Ratios:
    rows = kernels.rows
    return ratios(rows.count, rows.variance, kernels.shape.head_size)


def _squares(kernels: HeadKernels, answers: Ratios) -> Array:
    """Return E sum_s A_ts², shape (N,)."""
    rows = kernels.rows
    added = answers.forward * rows.variance * (1.0 - 1.0 / rows.count)
    return np.asarray(np.minimum((1.0 + added) / rows.keys, 1.0))


def _bent(kernels: HeadKernels, answers: Ratios) -> Array:
    """Return the average second-order change of the attention matrix, shape (B, T, T)."""
    shape = kernels.shape
    scale = 0.5 * np.diagonal(kernels.query) * answers.forward
    return np.asarray(shape.uniform * kernels.rows.deviation * scale.reshape(shape.blocks, -1, 1))


class _Pairs:
    """How the form F between two rows answers to the correlation g of their queries, shape (N, N) each.

    F grows with g like f0 E exp(lam q.q'/d), from f0 = (E tr J)² (in units of no logits) of independent rows to the
    ratio f1 of equal ones, and E exp(lam q.q'/d) = M_g = [(1 - lam g/d)² - lam²/d²]^(-d/2) for Gaussian queries.
    """

    def __init__(self, kernels: HeadKernels, answers: Ratios) -> None:
        rows = kernels.rows
        several = rows.keys > 1.0
        full = np.where(several, 1.0 - 1.0 / rows.keys, 1.0)
        self._apart = np.where(several, (1.0 - _squares(kernels, answers)) / full, 1.0)
        self._answers = answers
        self._d = float(kernels.shape.head_size)
        own = np.sqrt(np.maximum(np.diagonal(kernels.query), 0.0))
        self._scale = np.outer(own, own)
        positive = self._scale > 0.0
        self._g = np.clip(
            np.where(positive, kernels.query / np.where(positive, self._scale, 1.0), 0.0), -1.0, 1.0
        )

    def output(self) -> Array:
        """Return what stands in place of Kq * F0 in the output: d/dKq_tt' E[A S A^T] = F, over F0."""
        f0, f1 = self._apart**2, self._answers.query
        log = np.log(np.maximum(f1, 1e-300) / np.maximum(f0, 1e-300))
        log = 0.5 * np.add.outer(log, log)
        row = np.sqrt(np.outer(self._answers.forward, self._answers.forward))
        return np.asarray(self._scale * self._g * row * growth(self._g * log) / growth(log))

    def query(self) -> Array:
        """Return F over F0."""
        lam, f0 = self._coupling(self._answers.query, 0.0)
        return np.asarray(f0 * self._moment(lam))

    def key(self) -> Array:
        """Return what stands in place of Kq in the form over queries: E[q.q'/d exp(lam q.q'/d)] = dM_g / dlam."""
        lam, f0 = self._coupling(self._answers.key, 2.0)
        x = lam / self._d
        rest = 1.0 - x * self._g
        return np.asarray(self._scale * f0 * self._moment(lam) * (self._g * rest + x) / (rest**2 - x**2))

    def _coupling(self, row: Array, more: float) -> tuple[Array, Array]:
        """Return lam, with f0 M_1 (1 - 2 lam/d)^(-more/2) = row for equal rows, and f0."""
        x = 0.5 * (1.0 - (self._apart**2 / np.maximum(row, 1e-300)) ** (2.0 / (self._d + more)))
        x = np.clip(x, -0.25, 0.5 - 1e-9)
        return self._d * 0.5 * np.add.outer(x, x), np.outer(self._apart, self._apart)

    def _moment(self, lam: Array) -> Array:
        x = lam / self._d
        return np.asarray(np.square(1.0 - x * self._g) - np.square(x)) ** (-0.5 * self._d)


def _over_keys(kernels: HeadKernels) -> Array:
    """Return tr(J0_t S J0_t'^T Kk), keys and queries turned by their positions, shape (N, N)."""
    forms = Forms(kernels.shape.uniform, kernels.value)
    if kernels.shape.rotary is None:
        return forms.over_keys(kernels.key)
    total = np.zeros_like(kernels.key)
    for weight, cos, sin in _turns(kernels):
        total += weight * forms.over_keys(kernels.key * cos) * cos
        total += weight * forms.over_keys(kernels.key * sin, -1.0) * sin
    np.fill_diagonal(total, np.diagonal(forms.over_keys(kernels.rotated_key)))
    return total


def _over_queries(kernels: HeadKernels, weight: Array) -> Array:
    """Return sum_tt' weight (J0_t S J0_t'^T), queries and keys turned by their positions, shape (N, N)."""
    forms = Forms(kernels.shape.uniform, kernels.value)
    if kernels.shape.rotary is None:
        return forms.over_queries(weight)
    total = np.zeros_like(weight)
    for share, cos, sin in _turns(kernels):
        total += share * forms.over_queries(weight * cos) * cos
        total += share * forms.over_queries(weight * sin, -1.0) * sin
    return total


def _spread_of_rows(kernels: HeadKernels, weight: Array) -> Array:
    """Return sum_tt' weight (J0_t Kk J0_t'^T), keys and queries turned by their positions, shape (N, N)."""
    a0 = kernels.shape.uniform
    if kernels.shape.rotary is None:
        return Forms(a0, kernels.key).over_queries(weight)
    total = np.zeros_like(weight)
    for share, cos, sin in _turns(kernels):
        for turn in (cos, sin):
            # Both antisymmetric for sin: the signs cancel.
            total += share * Forms(a0, kernels.key * turn).over_queries(weight * turn)
    return total


def _turns(kernels: HeadKernels) -> list[tuple[float, Array, Array]]:
    angles, weights = kernels.shape.nodes(_NODES)
    return [(float(w), *kernels.shape.turns(float(angle))) for angle, w in zip(angles, weights, strict=True)]


def _double(kernels: HeadKernels, squares: Array) -> Array:
    """Return the double trace at uniform attention, shrunk as tr J = 1 - sum A² is."""
    shape = kernels.shape
    full = 1.0 - 1.0 / kernels.rows.keys
    shrunk = np.where(full > 0.0, (1.0 - squares) / np.where(full > 0.0, full, 1.0), 0.0)
    return np.asarray(double_trace(shape.uniform, kernels.common, shape) * np.outer(shrunk, shrunk))
