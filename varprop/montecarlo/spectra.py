"""Singular values of drawn input-output Jacobians: what the spectral theory is held against."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from varprop._random import generator
from varprop._validation import InputError, check_integer, described
from varprop.spec import Network

if TYPE_CHECKING:
    import pandas as pd

_LARGEST = 4096


def measure_spectrum(network: Network, *, draws: int = 4, seed: int = 0) -> pd.DataFrame:
    """Draw networks and take the singular values of J = prod_l D_l W_l at the first input.

    Parameters
    ----------
    network : Network
        Every layer counts as a factor, the last one with its own derivative.
    draws : int
        Number of networks, at least 1.
    seed : int

    Returns
    -------
    DataFrame
        Columns ``draw, index, singular_value``, descending in each draw; min(n_0, n_L) values a draw.

    Raises
    ------
    InputError
        If a width is above 4096 (explicit matrices and an SVD are needed) or `draws` is not a whole number.

    Examples
    --------
    >>> import varprop as vp
    >>> net = vp.mlp([50, 50], activation="linear", weights="orthogonal", input=vp.constant(50, 1.0))
    >>> measure_spectrum(net, draws=1).singular_value.round(6).unique().tolist()
    [1.0]
    """
    import pandas as pd

    check_integer("draws", draws, minimum=1)
    if max(network.widths) > _LARGEST:
        raise InputError(
            "network", described(f"width {max(network.widths)}"), f"widths of at most {_LARGEST}"
        )
    x = network.input.array()[:, 0]
    frames = []
    for draw in range(draws):
        rng = generator(seed, draw)
        h, jacobian = x, np.eye(x.size)
        for number, layer in enumerate(network.layers, start=1):
            fans = network.fans(number)
            weights = layer.sample_weights(*fans, rng=rng)
            z = weights @ h + layer.sample_biases(*fans, rng=rng)
            h = layer.activation(z)
            jacobian = layer.activation.derivative(z)[:, None] * (weights @ jacobian)
        values = np.linalg.svd(jacobian, compute_uv=False)
        ranks = np.arange(values.size)
        frames.append(pd.DataFrame({"draw": draw, "index": ranks, "singular_value": values}))
    return pd.concat(frames, ignore_index=True)
