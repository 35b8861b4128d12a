"""The loss on top of a network, and the gradient it starts.

Losses are sums over output units and means over inputs: half the squared distance, binary cross-entropy with
logits, cross-entropy with logits over classes. They act on the last layer's activations, which are its
pre-activations unless an output activation is set. The head ``unit`` has no loss; its gradient at the last
pre-activations is iid N(0, 1).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from varprop.montecarlo.normals import Noise
from varprop.montecarlo.samplers.program import Program
from varprop.montecarlo.samplers.reductions import square_sum
from varprop.montecarlo.scaled import Power, along, shifted

Array = NDArray[Any]
Loss = tuple[Array, Power]

_LARGEST = 1e300


def start(
    program: Program, output: Array, shift: Power, slope: Array, noise: Noise
) -> tuple[Array, Power, Loss | None]:
    """Return dL/dz of the last layer, its binary exponents, and the per-draw loss.

    Parameters
    ----------
    output : array of shape (draws, n, B)
        Activations of the last layer, in units of ``2**shift``.
    shift : array of int64, shape (draws,), or 0
    slope : array of shape (draws, n, B)
        Their derivatives.

    Returns
    -------
    delta : array of shape (draws, n, B)
        Per-example gradients, in units of ``2**shift`` (the one returned).
    shift : array of int64, shape (draws,), or 0
    loss : (value, exponent) or None
        Mean over inputs.
    """
    network = program.network
    kind, targets = network.head.kind, network.targets
    if kind == "unit":
        return noise.normal(output.shape), 0, None
    assert targets is not None
    wide = output.astype(np.float64)
    if kind == "mse":
        gap = wide - shifted(targets, along(-shift, 3))
        size, power = square_sum(gap)
        delta, loss = gap, (size / (2 * program.batch), power + 2 * shift)
    else:
        logits = np.clip(shifted(wide, along(shift, 3)), -_LARGEST, _LARGEST)
        delta, value = (binary_loss if kind == "bce" else _softmax)(logits, targets)
        shift, loss = 0, (value / program.batch, 0)
    return (delta * slope).astype(output.dtype), shift, loss


def binary_loss(logits: Array, targets: Array) -> tuple[Array, Array]:
    """Return sigmoid minus target, and each draw's cross-entropy summed over units and inputs."""
    # log(1 + exp(z)) - y z, without overflow
    small = np.exp(-np.abs(logits))
    loss = np.maximum(logits, 0) - targets * logits + np.log1p(small)
    probability = np.where(logits >= 0, 1.0, small) / (1.0 + small)
    return probability - targets, loss.sum(axis=(1, 2))


def _softmax(logits: Array, targets: Array) -> tuple[Array, Array]:
    top = logits.max(axis=1, keepdims=True)
    weights = np.exp(logits - top)
    norm = weights.sum(axis=1, keepdims=True)
    inputs = np.arange(logits.shape[2])
    own = logits[:, targets, inputs]
    delta = weights / norm
    delta[:, targets, inputs] -= 1.0
    return delta, (top[:, 0] + np.log(norm[:, 0]) - own).sum(axis=1)
