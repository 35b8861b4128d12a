"""The losses of the three heads, from logits: value, gradient, accuracy, and what the naive formula would do.

Arrays are (networks, outputs, examples); targets are (outputs, examples) or (networks, outputs, examples).
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Loss(Protocol):
    """What the trainer asks of a loss; every method reduces over outputs."""

    def gradient(self, z: Array, y: Array, out: Array) -> Array:
        """Write the derivative of each example's loss with respect to its logits into `out`."""

    def value(self, z: Array, y: Array) -> Array:
        """Return the loss of each example, shape (networks, examples)."""

    def correct(self, z: Array, y: Array) -> Array | None:
        """Return which examples are classified rightly, None where there are no classes."""

    def naive_fails(self, z: Array, y: Array) -> Array | None:
        """Return for which examples the textbook formula gives inf or nan, None where it has no logarithm."""


class BinaryCrossEntropy:
    """−y log p − (1 − y) log(1 − p) with p = sigmoid(z), summed over outputs."""

    def gradient(self, z: Array, y: Array, out: Array) -> Array:
        """Write p − y; where exp(−z) overflows, p = 1/inf = 0 is right."""
        np.negative(z, out=out)
        np.exp(out, out=out)
        out += 1
        np.reciprocal(out, out=out)
        out -= y
        return out

    def value(self, z: Array, y: Array) -> Array:
        """Return max(z, 0) − z y + log(1 + exp(−|z|)): no cancellation and no overflow for any z."""
        summands: Array = np.maximum(z, 0) - z * y + np.log1p(np.exp(-np.abs(z)))
        return np.asarray(summands.sum(axis=-2))

    def correct(self, z: Array, y: Array) -> Array | None:
        """Whether all outputs are on the right side of 0; a logit of exactly 0 says class 0."""
        return np.asarray(((z > 0) == (y > 0.5)).all(axis=-2))

    def naive_fails(self, z: Array, y: Array) -> Array | None:
        """Whether p rounds to 0 or 1: the formula then has a log(0), even if it is multiplied by 0."""
        p = 1 / (1 + np.exp(-z))
        return np.asarray(~((p > 0) & (p < 1)).all(axis=-2))


class SoftmaxCrossEntropy:
    """−log p_y with p = softmax(z)."""

    def gradient(self, z: Array, y: Array, out: Array) -> Array:
        """Write p − y."""
        np.subtract(z, z.max(axis=-2, keepdims=True), out=out)
        np.exp(out, out=out)
        out /= out.sum(axis=-2, keepdims=True)
        out -= y
        return out

    def value(self, z: Array, y: Array) -> Array:
        """Return log Σ exp(z − max) + (max − z_y), which keeps its digits however large the logits are."""
        below = z - z.max(axis=-2, keepdims=True)
        total: Array = np.log(np.exp(below).sum(axis=-2))
        return np.asarray(total - (below * y).sum(axis=-2))

    def correct(self, z: Array, y: Array) -> Array | None:
        """Whether the largest logit is the target's; of equal ones the first counts."""
        return np.asarray(z.argmax(axis=-2) == y.argmax(axis=-2))

    def naive_fails(self, z: Array, y: Array) -> Array | None:
        """Whether exp(z) overflows, or the target's probability rounds to 0."""
        power = np.exp(z)
        p = (power / power.sum(axis=-2, keepdims=True) * y).sum(axis=-2)
        return np.asarray(~(p > 0))


class SquaredError:
    """Half the squared distance to the targets, summed over outputs."""

    def gradient(self, z: Array, y: Array, out: Array) -> Array:
        """Write z − y."""
        return np.subtract(z, y, out=out)

    def value(self, z: Array, y: Array) -> Array:
        """Return ½|z − y|²."""
        return np.asarray(0.5 * np.square(z - y).sum(axis=-2))

    def correct(self, z: Array, y: Array) -> Array | None:
        """Return None: there are no classes."""
        return None

    def naive_fails(self, z: Array, y: Array) -> Array | None:
        """Return None: there is no logarithm."""
        return None


LOSSES: dict[str, Loss] = {
    "bce": BinaryCrossEntropy(),
    "softmax_ce": SoftmaxCrossEntropy(),
    "mse": SquaredError(),
}
"""From a head's kind to its loss."""
