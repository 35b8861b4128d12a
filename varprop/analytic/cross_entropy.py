"""Expected loss and gradient of softmax cross-entropy on independent Gaussian logits, by one-dimensional integrals.

With K logits iid as z and u(t) = E exp(-t e^z), the identities 1/s = ∫ exp(-ts) dt and log s = ∫ (e^{-t} - e^{-ts})/t dt
for s = sum_k e^{z_k} give

    E log s              = ∫ [e^{-t} - u(t)^K] dt / t
    E sum_k p_k²         = K ∫ t E[e^{2z - t e^z}] u(t)^{K-1} dt

(own derivation). With t = e^v the integrands are smooth functions of v that vanish at both ends, so the trapezoidal
rule converges geometrically. A mean common to all logits drops out of the softmax, and out of the loss with it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve

Array = NDArray[np.float64]

_STEP = 0.125
_WIDEST = 300.0
"""Beyond this standard deviation the loss is proportional to it, up to a share of the order of its inverse square."""


def softmax_averages(classes: int, std: float) -> tuple[float, float]:
    """Return E log sum e^z and E sum p² for `classes` iid logits N(0, std²).

    Parameters
    ----------
    classes : int
        K, at least 1.
    std : float
        Standard deviation of a logit, at least 0.

    Examples
    --------
    >>> loss, squares = softmax_averages(10, 0.0)
    >>> round(loss, 12) == round(float(np.log(10)), 12), round(squares, 12)
    (True, 0.1)
    """
    if std == 0.0:
        return float(np.log(classes)), 1.0 / classes
    if std > _WIDEST:
        # The largest logit wins: the loss grows like std, the chance of a near tie falls like 1/std.
        loss, squares = softmax_averages(classes, _WIDEST)
        return loss * (std / _WIDEST), 1.0 - (1.0 - squares) * (_WIDEST / std)
    low = -(42.0 + np.log(classes) + 9.0 * std)
    high = max(5.0, 9.0 * std) + 4.0
    v = np.arange(int(low / _STEP), int(high / _STEP) + 1) * _STEP
    u, w = _smoothed(v, std)
    with np.errstate(under="ignore"):
        log_sum = _STEP * float(np.sum(_step(np.minimum(v, 30.0)) - u**classes))
        squares = _STEP * classes * float(np.sum(w * u ** (classes - 1)))
    return log_sum, squares


def _smoothed(v: Array, std: float) -> tuple[Array, Array]:
    """Return E f(v + z) for f(v) = exp(-e^v) and for f(v) = e^{2v} exp(-e^v)."""
    if std < 0.5:
        # Both are smooth on the scale 1, so few nodes do.
        nodes, weights = np.polynomial.hermite_e.hermegauss(40)
        shifted = np.minimum(v[:, None] + std * nodes, 30.0)
        weights = weights / weights.sum()
        return _step(shifted) @ weights, _bump(shifted) @ weights
    # On the grid itself: a convolution with the sampled density, exact beyond rounding for std above two steps.
    half = int(np.ceil(9.0 * std / _STEP))
    z = np.arange(-half, half + 1) * _STEP
    density = np.exp(-0.5 * np.square(z / std))
    density /= density.sum()
    first = int(round(v[0] / _STEP))
    wide = np.minimum(np.arange(first - half, first + v.size + half) * _STEP, 30.0)
    convolve = np.convolve if half < 64 else fftconvolve
    u = convolve(_step(wide), density, mode="valid")
    w = convolve(_bump(wide), density, mode="valid")
    return np.clip(u, 0.0, 1.0), np.maximum(w, 0.0)


def _step(v: Array) -> Array:
    with np.errstate(under="ignore"):
        return np.asarray(np.exp(-np.exp(v)))


def _bump(v: Array) -> Array:
    with np.errstate(under="ignore"):
        return np.asarray(np.exp(2.0 * v - np.exp(v)))
