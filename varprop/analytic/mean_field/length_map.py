"""The length map of one activation, and what its numbers are called.

Length map      F(q) = sigma_b² + sigma_w² E phi(z)²,   z ~ N(0, q)         (Poole et al. 2016, eq. 3)
Gradient factor chi_1(q) = sigma_w² E phi'(z)²                              (Schoenholz et al. 2017, eq. 6)
Length slope    F'(q) = sigma_w² E[z phi phi'] / q                          (integration by parts)

sigma_w² is fan_in times the variance of a weight, sigma_b² the variance of a bias.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from varprop._validation import check_real
from varprop.activations import Activation

Array = NDArray[np.float64]

LOWEST, HIGHEST = 1e-8, 1e8
"""Second moments between which fixed points are sought."""

LARGEST_VARIANCE = 1e30
"""Largest sigma_w² and sigma_b²: products over layers and squares stay far inside double precision."""

TOUCH = 1e-9
"""Closer than this to critical counts as critical: 16-digit parameters resolve a double root no better."""


@dataclass(frozen=True)
class LengthMap:
    """The length map of one activation at one (sigma_w², sigma_b²), with its slope and gradient factor.

    Parameters
    ----------
    activation : Activation
    weight_variance : float
        sigma_w² = fan_in · Var W, from 0 to 1e30.
    bias_variance : float
        sigma_b², from 0 to 1e30.

    Raises
    ------
    InputError
        A variance that is no number in this range.
    """

    activation: Activation
    weight_variance: float
    bias_variance: float = 0.0

    def __post_init__(self) -> None:
        for name in ("weight_variance", "bias_variance"):
            value = check_real(name, getattr(self, name), minimum=0.0, maximum=LARGEST_VARIANCE)
            object.__setattr__(self, name, value)

    def value(self, q: Array | float) -> Array:
        """F(q): the next layer's second moment."""
        moments = self.activation.moments(q, fields=("second_moment",))
        return self.bias_variance + self.weight_variance * np.asarray(moments.second_moment)

    def slope(self, q: Array | float) -> Array:
        """F'(q): the factor by which a small deviation of q grows a layer."""
        moments = self.activation.moments(q, fields=("z_phi_dphi",))
        slopes: Array = self.weight_variance * np.asarray(moments.z_phi_dphi) / np.asarray(q, dtype=float)
        return slopes

    def chi(self, q: Array | float) -> Array:
        """chi_1(q): the factor by which the mean-square gradient grows a layer, from output to input."""
        moments = self.activation.moments(q, fields=("derivative_second_moment",))
        return self.weight_variance * np.asarray(moments.derivative_second_moment)


class CentredMap(LengthMap):
    """Length map of layers whose weights sum to zero over each fan-in: the activations' mean drops out."""

    def value(self, q: Array | float) -> Array:
        """F(q) = sigma_b² + sigma_w² Var phi(z)."""
        moments = self.activation.moments(q, fields=("variance",))
        return self.bias_variance + self.weight_variance * np.asarray(moments.variance)

    def slope(self, q: Array | float) -> Array:
        """F'(q), by a central difference: Var phi is smooth in q and no closed form is shared by all phi."""
        q = np.asarray(q, dtype=float)
        step = 1e-5
        return (self.value(q * (1 + step)) - self.value(q * (1 - step))) / (2 * step * q)


def phase(chi: float) -> str:
    """Name the phase: ordered (gradients vanish, inputs merge), chaotic (the reverse), critical between."""
    if math.isnan(chi):
        return "none"
    if abs(chi - 1) <= TOUCH:
        return "critical"
    return "ordered" if chi < 1 else "chaotic"


def depth_scale(factor: float) -> float:
    """Layers over which a deviation shrinks (or grows) by e: 1/|log factor|, infinite at 1, 0 at 0.

    Examples
    --------
    >>> depth_scale(1.0), depth_scale(0.0), round(depth_scale(0.5), 6)
    (inf, 0.0, 1.442695)
    """
    if math.isnan(factor):
        return math.nan
    size = abs(factor)
    if size == 0:
        return 0.0
    return math.inf if abs(size - 1) <= TOUCH else 1 / abs(math.log(size))


def growth(length: LengthMap, depth: int, start: float = 1.0) -> tuple[Array, Array]:
    """Log factors of q and of the mean-square gradient over 0..depth layers, from second moment `start`.

    Returns
    -------
    forward, backward : ndarray, shape (depth + 1,)
        ``forward[n]`` = log q_n/q_0, ``backward[n]`` = sum of log chi_1(q_l) over the first n layers.
    """
    forward, backward = np.zeros(depth + 1), np.zeros(depth + 1)
    q = start
    for layer in range(1, depth + 1):
        if not LOWEST * 1e-280 < q < HIGHEST * 1e280:  # gone for good: say so rather than compute with it
            forward[layer:] = -math.inf if q < 1 else math.inf
            backward[layer:] = math.nan
            break
        chi = float(length.chi(q))
        backward[layer] = backward[layer - 1] + (math.log(chi) if chi > 0 else -math.inf)
        q = float(length.value(q))
        forward[layer] = math.log(q / start) if q > 0 else -math.inf
    return forward, backward
