"""Softmax cross-entropy on independent Gaussian logits: expected loss and gradient, by one-dimensional integrals.

With K logits iid as z, u(t) = E exp(-t e^z) and s = sum_k e^{z_k}, the identities log s = ∫ (e^{-t} - e^{-ts})/t dt,
1/s² = ∫ t e^{-ts} dt give

    E log s        = ∫ [e^{-t} - u(t)^K] dt / t
    E sum p²       = K ∫ t E[e^{2z - t e^z}] u^{K-1} dt
    E (sum z p)²   = ∫ t (K E[z² e^{2z - t e^z}] u^{K-1} + K (K-1) E[z e^{z - t e^z}]² u^{K-2}) dt

(own derivation). With t = e^v the integrands are smooth functions of v that vanish at both ends, so the
trapezoidal rule converges geometrically; averages over z are convolutions in v. A mean common to all logits
drops out of the softmax, and out of the loss with it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve

Array = NDArray[np.float64]

STEP = 0.125
_WIDEST = 300.0
"""Beyond this standard deviation the loss is proportional to it, but for a share like its inverse square."""


class SoftmaxAverages(NamedTuple):
    """Averages for K iid logits N(0, q).

    Attributes
    ----------
    loss : float
        E log sum e^z.
    squares : float
        E sum p².
    first, second : float
        q d/dq and (q²/2) d²/dq² of `squares`.
    alignment : float
        E (z . (p - y))² / q for a label y independent of the logits.
    """

    loss: float
    squares: float
    first: float
    second: float
    alignment: float


def softmax_averages(classes: int, std: float) -> SoftmaxAverages:
    """Return the averages for `classes` iid logits N(0, std²).

    Parameters
    ----------
    classes : int
        K, at least 2.
    std : float
        Standard deviation of a logit, at least 0.

    Examples
    --------
    >>> found = softmax_averages(10, 0.0)
    >>> round(found.loss - float(np.log(10)), 12), round(found.squares, 12)
    (0.0, 0.1)
    """
    if std == 0.0:
        return SoftmaxAverages(float(np.log(classes)), 1.0 / classes, 0.0, 0.0, 1.0 - 1.0 / classes)
    if std > _WIDEST:
        # The largest logit wins: the loss grows like std, the chance of a near tie falls like 1/std.
        loss, squares, _, _, alignment = softmax_averages(classes, _WIDEST)
        rest = (1.0 - squares) * _WIDEST / std
        return SoftmaxAverages(loss * std / _WIDEST, 1.0 - rest, 0.5 * rest, -0.375 * rest, alignment)
    low = -(42.0 + np.log(classes) + 9.0 * std)
    high = max(5.0, 9.0 * std) + 4.0
    v: Array = np.arange(int(low / STEP), int(high / STEP) + 1).astype(np.float64) * STEP
    smooth = GaussianSmoothing(v, std)
    u = np.clip(smooth(_step, 0), 0.0, 1.0)
    u1, u2 = smooth(_step, 2) / 2.0, smooth(_step, 4) / 4.0
    w = smooth(_bump, 0)
    w1, w2 = smooth(_bump, 2) / 2.0, smooth(_bump, 4) / 4.0
    # E z² f and E z f from Hermite averages: g² = He_2 + 1, g = He_1.
    far, near = smooth(_bump, 2) + w, smooth(_slope, 1)
    m = classes - 1
    top, less, least = u**m, u ** max(m - 1, 0), u ** max(m - 2, 0)
    first = w1 * top + m * w * less * u1
    second = w2 * top + m * less * (2.0 * w1 * u1 + w * u2) + m * (m - 1) * w * least * u1**2
    pull = classes * far * top + classes * m * near**2 * less
    total = [float(STEP * np.sum(f)) for f in (_step(v) - u * top, w * top, first, second, pull)]
    loss, squares, slope, bend, power = total
    # Label and logits are independent: E (sum z p) z_y = q/K by Stein's identity.
    alignment = power + 1.0 - 2.0 / classes
    return SoftmaxAverages(loss, classes * squares, classes * slope, 0.5 * classes * bend, alignment)


class GaussianSmoothing:
    """Averages E[f(v + std g) He_k(g)] on the grid `v`."""

    def __init__(self, v: Array, std: float) -> None:
        self.v = v
        if std < 0.5:
            # f is smooth on the scale 1, so few nodes do.
            nodes, weights = np.polynomial.hermite_e.hermegauss(40)
            self.g: Array = nodes
            self.weights: Array = weights / weights.sum()
            self.points: Array = v[:, None] + std * nodes
        else:
            # On the grid itself: a convolution with the sampled density, exact to rounding from four steps on.
            half = int(np.ceil(9.0 * std / STEP))
            self.g = np.asarray(np.arange(half, -half - 1, -1) * (STEP / std), dtype=np.float64)
            density = np.exp(-0.5 * np.square(self.g))
            self.weights = np.asarray(density / density.sum(), dtype=np.float64)
            first = round(v[0] / STEP)
            self.points = np.arange(first - half, first + v.size + half).astype(np.float64) * STEP

    def __call__(self, f: object, degree: int) -> Array:
        """Return E[f(v + std g) He_degree(g)]."""
        weights = self.weights * np.polynomial.hermite_e.hermeval(self.g, [0.0] * degree + [1.0])
        values = f(self.points)  # type: ignore[operator]
        if self.points.ndim == 2:
            return np.asarray(values @ weights)
        convolve = np.convolve if weights.size < 128 else fftconvolve
        return np.asarray(convolve(values, weights, mode="valid"))


def _step(v: Array) -> Array:
    return np.asarray(np.exp(-np.exp(np.minimum(v, 30.0))))


def _slope(v: Array) -> Array:
    return np.asarray(np.exp(v - np.exp(np.minimum(v, 30.0))))


def _bump(v: Array) -> Array:
    return np.asarray(np.exp(2.0 * v - np.exp(np.minimum(v, 30.0))))
