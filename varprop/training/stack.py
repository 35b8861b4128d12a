"""Many networks of one architecture, evaluated and differentiated together.

The parameters of layer l are one array (networks, n_l, n_{l-1} + 1) whose last column is the bias, and every
activation array ends with a row of ones: one batched product per layer then does weights and biases, forward
and backward. Each network is computed on its own within the batch, so its numbers do not depend on how many
others there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from varprop._random import generator
from varprop.spec import Network
from varprop.training.losses import LOSSES

Array = NDArray[Any]

# Streams of a seed: start values and batch order must not share random numbers.
START, ORDER = 0, 1


def start_values(network: Network, seeds: Sequence[int], dtype: Any = np.float64) -> list[Array]:
    """Return the parameters of one network per seed, drawn in double precision in the order of layers.

    Returns
    -------
    list of ndarray
        For each layer an array of shape (networks, n_l, n_{l-1} + 1), biases in the last column.
    """
    parameters = [
        np.empty((len(seeds), fan_out, fan_in + 1), dtype)
        for fan_in, fan_out in zip(network.widths, network.widths[1:], strict=False)
    ]
    for index, seed in enumerate(seeds):
        rng = generator(seed, START)
        for number, layer in enumerate(network.layers, start=1):
            own = parameters[number - 1][index]
            own[:, :-1] = layer.sample_weights(*network.fans(number), rng=rng)
            own[:, -1] = layer.sample_biases(*network.fans(number), rng=rng)
    return parameters


class Stack:
    """Networks that share architecture and loss and differ in their parameters.

    Parameters
    ----------
    network : Network
        With a head that has a loss.
    parameters : list of ndarray
        As `start_values` gives them; changed in place by `descend`.

    Attributes
    ----------
    preactivations : list of ndarray
        z^1 to z^L of the last `forward`, each (networks, n_l, examples).
    activations : list of ndarray
        h^0 to h^{L-1} of the last `forward`, each with its row of ones.
    """

    def __init__(self, network: Network, parameters: list[Array]) -> None:
        self.hidden = [layer.activation for layer in network.layers[:-1]]
        self.loss = LOSSES[network.head.kind]
        self.parameters = parameters
        self.preactivations: list[Array] = []
        self.activations: list[Array] = []
        self._deltas: list[Array] = []
        self._rooms: dict[int, tuple[list[Array], list[Array], list[Array]]] = {}

    def forward(self, x: Array) -> Array:
        """Return the logits (networks, n_L, examples) of `x`, which ends with its row of ones.

        The result is overwritten by the next call with as many examples.
        """
        self._enter(x.shape[-1])
        self.activations[0] = x
        for number, (theta, z) in enumerate(zip(self.parameters, self.preactivations, strict=True)):
            np.matmul(theta, self.activations[number], out=z)
            if number < len(self.hidden):
                self.activations[number + 1][:, :-1] = self.hidden[number](z)
        return self.preactivations[-1]

    def gradients(self, y: Array) -> list[Array]:
        """Return the derivative of the summed loss of all examples of the last `forward`, per layer.

        Divide by the number of examples for that of the mean loss.
        """
        delta = self.loss.gradient(self.preactivations[-1], y, self._deltas[-1])
        found = []
        for number in reversed(range(len(self.parameters))):
            found.append(delta @ self.activations[number].swapaxes(-1, -2))
            if number > 0:
                weights = self.parameters[number][:, :, :-1].swapaxes(-1, -2)
                below = self._deltas[number - 1]
                # With one output this is an outer product, which BLAS does three times as slowly.
                if delta.shape[1] == 1:
                    np.einsum("sij,sjb->sib", weights, delta, out=below)
                else:
                    np.matmul(weights, delta, out=below)
                below *= self.hidden[number - 1].derivative(self.preactivations[number - 1])
                delta = below
        return found[::-1]

    def descend(self, x: Array, y: Array, learning_rate: float, l2: float) -> None:
        """Take one step of gradient descent on the mean loss of these examples plus l2/2·|W|²."""
        self.forward(x)
        steps = self.gradients(y)
        for theta, step in zip(self.parameters, steps, strict=True):
            if l2:
                theta[:, :, :-1] *= 1 - learning_rate * l2
            step *= learning_rate / x.shape[-1]
            theta -= step

    def _enter(self, examples: int) -> None:
        """Make the arrays for this number of examples the current ones."""
        if examples not in self._rooms:
            count, kind = len(self.parameters[0]), self.parameters[0].dtype
            shapes = [(count, theta.shape[1], examples) for theta in self.parameters]
            hidden = [np.ones((s, n + 1, b), kind) for s, n, b in shapes[:-1]]
            room = [np.empty(shape, kind) for shape in shapes]
            self._rooms[examples] = (room, [room[0], *hidden], [np.empty_like(z) for z in room])
        self.preactivations, self.activations, self._deltas = self._rooms[examples]


def with_ones(rows: Array, dtype: Any) -> Array:
    """Return examples (rows) with a last column of ones."""
    return np.concatenate([rows, np.ones((len(rows), 1))], axis=1).astype(dtype)
