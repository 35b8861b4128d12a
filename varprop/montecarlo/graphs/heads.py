"""The loss on top of a graph, position by position, and the gradient it starts.

The loss of an example is the mean over its positions of what the head makes of the output's column; see
`varprop.montecarlo.samplers.heads`. The head ``unit`` has no loss; its gradient at the output is iid N(0, 1) at every
feature and column.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from varprop.montecarlo.normals import Noise
from varprop.montecarlo.samplers.heads import binary_loss
from varprop.montecarlo.samplers.reductions import square_sum
from varprop.montecarlo.scaled import Power

if TYPE_CHECKING:
    from varprop.spec import Network

Array = NDArray[Any]

_LARGEST = 1e300


def start(network: Network, output: Array, noise: Noise) -> tuple[Array, tuple[Array, Power] | None]:
    """Return the gradients of the examples' losses at the output, and each draw's loss.

    Parameters
    ----------
    network : Network
    output : array of shape (draws, n, B T)
    noise : Noise

    Returns
    -------
    delta : array of shape (draws, n, B T)
    loss : (value, exponent) or None
        Mean over examples and positions.
    """
    kind, columns = network.head.kind, output.shape[2]
    if kind == "unit":
        return noise.normal(output.shape), None
    positions, dtype = columns // network.input.batch, output.dtype
    if kind == "softmax_ce":
        delta, loss = _softmax(output, _targets(network, output, noise))
        delta /= dtype.type(positions)
        return delta, (loss / columns, 0)
    targets: Any = network.targets
    if kind == "mse":
        gap = output.astype(np.float64) - targets
        size, power = square_sum(gap)
        return (gap / positions).astype(dtype), (size / (2 * columns), power)
    delta, loss = binary_loss(np.clip(output.astype(np.float64), -_LARGEST, _LARGEST), targets)
    return (delta / positions).astype(dtype), (loss / columns, 0)


def _targets(network: Network, output: Array, noise: Noise) -> Array:
    """Return the classes, shape (draws, N): those given, or uniform ones drawn with every network."""
    draws, classes, columns = output.shape
    if network.targets is None:
        return noise.rng.integers(0, classes, (draws, columns))
    return np.broadcast_to(network.targets, (draws, columns))


def _softmax(logits: Array, targets: Array) -> tuple[Array, Array]:
    """Return softmax minus target, and each draw's cross-entropy summed over columns."""
    places = targets[:, None]
    top = logits.max(axis=1, keepdims=True)
    own = np.take_along_axis(logits, places, axis=1)
    delta = logits - top
    np.exp(delta, out=delta)
    norm = delta.sum(axis=1, keepdims=True, dtype=np.float64)
    delta *= (1.0 / norm).astype(delta.dtype)
    np.put_along_axis(delta, places, np.take_along_axis(delta, places, axis=1) - 1, axis=1)
    loss = (top - own).astype(np.float64) + np.log(norm)
    return delta, loss.sum(axis=(1, 2))
