"""Layers without randomness: zeros, constants, identity. Their values are computed, not averaged.

Values carry a logarithmic scale per input, so that constants(1) through many wide layers does not overflow.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from varprop.activations import Activation
from varprop.analytic.states import Known, KnownLayer

Array = NDArray[np.float64]


def input_values(x: Array) -> Known:
    """Return the network's input, shape (n_0, B), as known values."""
    return _scaled(np.asarray(x, dtype=np.float64), np.zeros(x.shape[1]))


def known_layer(number: int, matrix: Array, bias: float, below: Known, phi: Activation) -> KnownLayer:
    """Push known values through a layer with a known weight matrix and one bias for all units."""
    z = matrix @ below.values
    scale = below.log_scale
    if bias != 0.0:
        top = np.maximum(scale, np.log(abs(bias)))
        z = z * np.exp(scale - top) + bias * np.exp(-top)
        scale = top
    pre = _scaled(z, scale)
    if phi.slopes is not None:
        # Positive homogeneity: phi(exp(s) z) = exp(s) phi(z), and phi' does not see the scale.
        post = _scaled(phi(pre.values), pre.log_scale)
        slopes = phi.derivative(pre.values)
    else:
        post, slopes = _curved(phi, pre)
    return KnownLayer(number, matrix.shape[1], matrix.shape[0], phi, matrix, below, pre, post, slopes)


def _curved(phi: Activation, z: Known) -> tuple[Known, Array]:
    """Return phi and phi' of known values of any size."""
    # Beyond 1e150 a square overflows; activations are flat, linear or undefined there.
    actual = z.values * np.exp(np.minimum(z.log_scale, np.log(1e150)))
    post, slopes = _scaled(phi(actual), np.zeros_like(z.log_scale)), phi.derivative(actual)
    near = np.sign(z.values) * _SMALL
    steep = phi.derivative(near)
    # Numbers that may underflow are told apart by their scale: phi(z) = phi'(0±) z to rounding, where that is not 0.
    straight = (
        (z.log_scale < np.log(_SMALL)) & (phi(np.zeros(1))[0] == 0.0) & (np.abs(steep) > 1e-50).all(axis=0)
    )
    if not straight.any():
        return post, slopes
    small = _scaled(steep * z.values, z.log_scale)
    return (
        Known(
            np.where(straight, small.values, post.values), np.where(straight, small.log_scale, post.log_scale)
        ),
        np.where(straight, steep, slopes),
    )


_SMALL = 1e-100


def _scaled(values: Array, log_scale: Array) -> Known:
    """Move the largest magnitude of each column into the scale when it is extreme."""
    top = np.abs(values).max(axis=0)
    extreme = (top > 1e100) | ((top < 1e-100) & (top > 0.0))
    if not extreme.any():
        return Known(values, log_scale)
    factor = np.where(extreme, top, 1.0)
    return Known(values / factor, log_scale + np.log(factor))
