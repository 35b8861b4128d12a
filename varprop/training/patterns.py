"""What must vanish and what must stay alike under gradient descent, from the start values alone.

A calculus of patterns, in exact arithmetic and full batches, layer by layer and step by step. A signal (h or
delta, units by examples) may be *alike* (all units equal), *shared* (the same for every example), known to be
zero, or *balanced* (its mean over examples vanishes). A weight matrix may be zero or have equal rows (units
with the same incoming weights) or equal columns. The rules:

- z = W h + b is shared if W = 0 or h is; alike if b is and W = 0, h = 0 or W has equal rows.
- delta^l = (W^T delta^{l+1}) phi'(z^l) vanishes if a factor does, and if W has equal rows and the outputs of
  delta^{l+1} sum to 0 (softmax); it is alike if W has equal columns and z^l is alike; balanced if
  delta^{l+1} is and z^l is shared, for then phi' comes out of the mean.
- dL/dW = mean(delta h^T) vanishes if delta or h does, and if delta is balanced and h shared; it has equal
  rows if delta is alike, equal columns if h is, and rank 1 if delta or h is alike or h is shared.
- dL/db = mean(delta) vanishes if delta does or is balanced.
- A sum of matrices with a pattern has the pattern, and its rank is at most the sum of ranks.

What the rules say vanishes, vanishes; what they leave open is nonzero for generic data. Known special cases:
all zeros with phi(0) = 0 moves the output bias only; with phi(0) ≠ 0 one more layer from the top in each
step; and with balanced classes nothing at all, because the mean of p − y is 0 at p = 1/2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from varprop.activations import Activation
from varprop.training.losses import Loss
from varprop.training.statistics import ranks

Array = NDArray[Any]

# Of a mean of head gradients, which are of order 1.
_ROUNDING = 1e-13


@dataclass(frozen=True)
class Weights:
    """Pattern of a weight matrix (n_l, n_{l-1}); `rank` is an upper bound."""

    zero: bool
    rows: bool
    columns: bool
    rank: int
    shape: tuple[int, int]


@dataclass(frozen=True)
class Biases:
    """Pattern of a bias vector; `values` are known until they first move."""

    values: Array | None
    alike: bool


@dataclass(frozen=True)
class Signal:
    """Pattern of h or z (units by examples); `values`, if known, are those of a shared one, per unit."""

    values: Array | None
    alike: bool
    shared: bool

    @property
    def zero(self) -> bool:
        """Whether every entry is known to be 0."""
        return self.values is not None and not self.values.any()


@dataclass(frozen=True)
class Delta:
    """Pattern of the gradient at the pre-activations; `cancels`: its units sum to 0 in every example."""

    zero: bool
    alike: bool
    balanced: bool
    cancels: bool


@dataclass(frozen=True)
class Forecast:
    """What one step must do to one layer: which gradients vanish, and bounds on rank and distinct units."""

    weights_zero: bool
    biases_zero: bool
    rank: int
    distinct: int


def weights_pattern(matrix: Array) -> Weights:
    """Return the pattern of start values."""
    return Weights(
        zero=not matrix.any(),
        rows=bool((matrix == matrix[:1]).all()),
        columns=bool((matrix == matrix[:, :1]).all()),
        rank=int(ranks(matrix[None])[0]),
        shape=matrix.shape,
    )


def biases_pattern(vector: Array) -> Biases:
    """Return the pattern of start values."""
    return Biases(vector.copy(), bool((vector == vector[0]).all()))


def forecast(
    weights: Sequence[Weights],
    biases: Sequence[Biases],
    activations: Sequence[Activation],
    x: Array,
    y: Array,
    loss: Loss,
) -> tuple[list[Weights], list[Biases], list[Forecast]]:
    """Return the patterns after one step of full-batch descent, and what that step must do.

    Parameters
    ----------
    weights, biases : sequence
        Patterns before the step, layers 1 to L.
    activations : sequence of Activation
        Of layers 1 to L − 1.
    x, y : ndarray
        Inputs (n_0, B) and targets (n_L, B).
    loss : Loss
        Of the head.
    """
    given = bool((x == x[:, :1]).all())
    h = [Signal(x[:, 0] if given else None, bool((x == x[:1]).all()), given)]
    z = []
    for w, b, activation in zip(weights, biases, [*activations, None], strict=True):
        z.append(_affine(w, b, h[-1]))
        if activation is not None:
            h.append(_applied(activation, z[-1]))
    delta = _head(z[-1], y, loss)
    after_w, after_b, said = [], [], []
    for number in reversed(range(len(weights))):
        w, b, below = weights[number], biases[number], h[number]
        weights_zero = delta.zero or below.zero or (delta.balanced and below.shared)
        biases_zero = delta.zero or delta.balanced
        rank_one = delta.alike or below.alike or below.shared
        gradient = Weights(
            weights_zero,
            weights_zero or delta.alike,
            weights_zero or below.alike,
            0 if weights_zero else 1 if rank_one else min(*w.shape, y.shape[1]),
            w.shape,
        )
        after_w.append(_sum(w, gradient))
        after_b.append(b if biases_zero else Biases(None, b.alike and delta.alike))
        distinct = 1 if after_w[-1].rows and after_b[-1].alike else w.shape[0]
        said.append(Forecast(weights_zero, biases_zero, after_w[-1].rank, distinct))
        if number > 0:
            delta = _passed(delta, w, z[number - 1], activations[number - 1])
    return after_w[::-1], after_b[::-1], said[::-1]


def _affine(w: Weights, b: Biases, h: Signal) -> Signal:
    product_zero = w.zero or h.zero
    return Signal(
        values=b.values if product_zero else None,
        alike=b.alike and (product_zero or w.rows),
        shared=product_zero or h.shared,
    )


def _applied(activation: Activation, z: Signal) -> Signal:
    return Signal(None if z.values is None else activation(z.values), z.alike, z.shared)


def _head(z: Signal, y: Array, loss: Loss) -> Delta:
    alike = len(y) == 1 or (z.alike and bool((y == y[:1]).all()))
    cancels = bool((y.sum(axis=0) == 1).all()) and _sums_to_zero(loss, y)
    if z.values is None:
        return Delta(False, alike, False, cancels)
    logits = np.repeat(z.values[:, None], y.shape[1], axis=1).astype(np.float64)
    gradient = loss.gradient(logits[None], y, np.empty((1, *y.shape)))[0]
    balanced = bool((np.abs(gradient.mean(axis=1)) <= _ROUNDING).all())
    return Delta(not gradient.any(), alike, balanced, cancels)


def _sums_to_zero(loss: Loss, y: Array) -> bool:
    """Whether the gradient sums to 0 over outputs at arbitrary logits."""
    probe = np.linspace(-1.0, 1.5, y.size).reshape(1, *y.shape)
    return bool(np.abs(loss.gradient(probe, y, np.empty_like(probe)).sum(axis=1)).max() <= _ROUNDING)


def _passed(delta: Delta, w: Weights, z: Signal, activation: Activation) -> Delta:
    """Return the pattern of (W^T delta) phi'(z)."""
    flat = _is_flat(activation) or (z.values is not None and not activation.derivative(z.values).any())
    zero = delta.zero or w.zero or flat or (w.rows and delta.cancels)
    return Delta(zero, w.columns and z.alike, delta.balanced and z.shared, cancels=False)


def _is_flat(activation: Activation) -> bool:
    """Whether the derivative vanishes almost everywhere (step, sign): nothing below ever learns."""
    return not activation.derivative(np.linspace(-10.0, 10.0, 1001)).any()


def _sum(w: Weights, gradient: Weights) -> Weights:
    zero, rows, columns = w.zero and gradient.zero, w.rows and gradient.rows, w.columns and gradient.columns
    most = 0 if zero else 1 if rows or columns else min(*w.shape, w.rank + gradient.rank)
    return Weights(zero, rows, columns, most, w.shape)
