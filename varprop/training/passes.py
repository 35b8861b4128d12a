"""One network, once forward and once backward: the values themselves instead of their moments."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from varprop._random import generator
from varprop._validation import check_integer
from varprop.spec import Network

Array = NDArray[Any]


def one_pass(network: Network, seed: int = 0) -> tuple[list[Array], list[Array]]:
    """Draw one network and return all its activations and back-propagated gradients.

    Parameters
    ----------
    network : Network
        Its head is not used: the gradient at the last pre-activations is N(0, 1), as under the head ``unit``.
    seed : int

    Returns
    -------
    activations, gradients : list of ndarray
        h^1 to h^L and dL/dz^1 to dL/dz^L, each of shape (n_l, B).

    Examples
    --------
    >>> import varprop as vp
    >>> activations, gradients = one_pass(vp.mlp([20, 10], "relu", "he_normal"))
    >>> [h.shape for h in activations], gradients[0].shape
    ([(20, 1), (10, 1)], (20, 1))
    """
    rng = generator(check_integer("seed", seed, minimum=0), 0)
    h, weights, z, activations = network.input.array(), [], [], []
    for number, layer in enumerate(network.layers, start=1):
        weights.append(layer.sample_weights(*network.fans(number), rng=rng))
        z.append(weights[-1] @ h + layer.sample_biases(*network.fans(number), rng=rng)[:, None])
        h = layer.activation(z[-1])
        activations.append(h)
    gradients = [rng.standard_normal(z[-1].shape)]
    for layer, below, above in zip(network.layers[-2::-1], z[-2::-1], weights[:0:-1], strict=True):
        gradients.insert(0, above.T @ gradients[0] * layer.activation.derivative(below))
    return activations, gradients
