"""Nodes for averages of any function over a unit law: Gauss-Legendre panels on two scales, split at kinks.

An integrand phi(z) exp(-g²/2), z = m + sigma g, varies on the scale 1 in g (the density) and on the scale 1 in z around
the kinks (the activation), whatever sigma is. Panels therefore end at fixed places of both kinds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from varprop.analytic.unit_law import UnitLaw

Array = NDArray[np.float64]

_ORDER = 12
_RANGE = 9.5
_ON_G = np.array([0.0, 1.0, 2.0, 3.0, 4.5, 6.5, _RANGE])
_ON_Z = np.concatenate([[0.0, 0.7, 1.5, 2.5], 4.0 * 1.6 ** np.arange(12)])
_T, _W = np.polynomial.legendre.leggauss(_ORDER)
_LARGEST = np.log(1e100)


@dataclass(frozen=True)
class Nodes:
    """Points and weights with E f(z) ≈ sum(weights * f(z)), for B inputs.

    Attributes
    ----------
    z : ndarray
        Points, shape (N, B).
    g : ndarray
        Standardized points (z - m)/sigma of the mixture component they belong to, shape (N, B).
    weights : ndarray
        Shape (N, B); each column sums to 1.
    std : ndarray
        Standard deviation of that component, shape (N, B).
    ratio : ndarray
        Variance shared by all components (`UnitLaw.log_variance`) over that of the component, shape (N, B).
    """

    z: Array
    g: Array
    weights: Array
    std: Array
    ratio: Array

    def average(self, values: Array) -> Array:
        """Return the averages of `values` at the points, shape (B,)."""
        return np.asarray(np.einsum("nb,nb->b", self.weights, values))


def gaussian_nodes(unit: UnitLaw, kinks: Iterable[float] = ()) -> Nodes:
    """Return nodes for averages over `unit`; the Gaussian is cut at 9.5 standard deviations (2e-21)."""
    means, logs, shares = unit.components()
    if np.isneginf(logs).all():
        still = np.zeros(means.shape)
        return Nodes(means, still, np.broadcast_to(shares, means.shape), still, still)
    std = np.exp(0.5 * np.minimum(logs, _LARGEST))
    places = np.unique(np.concatenate([_ON_Z, -_ON_Z, np.asarray([*kinks], dtype=np.float64)]))
    fixed = np.unique(np.concatenate([_ON_G, -_ON_G]))
    # A point mass needs no panels, but has the same number of them: its edges coincide with the fixed ones.
    safe = np.where(std == 0.0, 1.0, std)
    moving = np.clip((places[:, None, None] - means) / safe, -_RANGE, _RANGE)
    shape = (fixed.size, *means.shape)
    edges = np.sort(np.concatenate([np.broadcast_to(fixed[:, None, None], shape), moving]), axis=0)
    half = 0.5 * np.diff(edges, axis=0)
    used = (half > 0.0).any(axis=(1, 2))
    half, left = half[used], edges[:-1][used]
    g = left[:, None] + half[:, None] * (1.0 + _T[:, None, None])
    weights = half[:, None] * _W[:, None, None] * np.exp(-0.5 * np.square(g))
    weights /= weights.sum(axis=(0, 1))
    weights = weights * shares
    z = means + std * g
    count = means.shape[-1]
    with np.errstate(invalid="ignore"):
        ratio = np.nan_to_num(np.exp(unit.log_variance - logs), nan=0.0)
    spread = (z, g, weights, np.broadcast_to(std, z.shape), np.broadcast_to(ratio, z.shape))
    return Nodes(*(a.reshape(-1, count) for a in spread))


def gaussian_average(f: Callable[[Array], Array], unit: UnitLaw, kinks: Iterable[float] = ()) -> Array:
    """Return E f(z) per input, shape (B,); `f` is given points of shape (N, B)."""
    nodes = gaussian_nodes(unit, kinks)
    return nodes.average(f(nodes.z))
