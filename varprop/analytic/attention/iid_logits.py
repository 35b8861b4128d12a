"""Softmax weights of n independent Gaussian logits: exact averages, and the table that the resummed engine reads.

With u(t) = E exp(-t e^l) and, for the k-th power of t e^l, W_k = E (t e^l)^k exp(-t e^l), L_k the same with a factor l
and M_k with l², the identity Z^-k = ∫ t^k e^{-tZ} dt / (t Gamma(k)) for Z = sum e^l gives, with
I(f, m) = ∫ f u^{n-m} dt / t,

    E sum A²   = n I(W2, 1)
    E sum A³   = n I(W3, 1) / 2
    E (sum A²)² = [n I(W4, 1) + n (n-1) I(W2 W2, 2)] / 6
    E tr J²    = E [sum A² - 2 sum A³ + (sum A²)²],   J = diag A - A A^T
    E l'J²l    = n I(M2, 1) - n I(M3, 1) - n (n-1) I(L2 L1, 2) + [n I(M4, 1) + 2 n (n-1) I(L3 L1, 2)
                 + n (n-1) I(W2 M2, 2) + n (n-1) (n-2) I(W2 L1 L1, 3)] / 6

(own derivation). Every integrand is smooth in ln t and vanishes at both ends, so that the trapezoidal rule converges
geometrically. The formulas have a meaning for every real n >= 2: that is how an effective number of keys enters.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RectBivariateSpline
from scipy.special import roots_genlaguerre, roots_hermitenorm

from varprop.analytic.cross_entropy import STEP, GaussianSmoothing

Array = NDArray[np.float64]

FEWEST = 2.0
"""Below two keys a row has nothing to choose from; effective numbers are raised to this."""

_MOST = 2.0**17
_SMALLEST, _LARGEST = 1e-4, 4e3


class IidWeights(NamedTuple):
    """Averages over n iid logits N(0, s²).

    Attributes
    ----------
    squares : ndarray
        E sum A².
    jacobian : ndarray
        E tr J².
    logits : ndarray
        E l'J²l / s².
    """

    squares: Array
    jacobian: Array
    logits: Array


class Ratios(NamedTuple):
    """Averages over iid logits as multiples of their second order in s, shape like the arguments; 1 at s = 0.

    Attributes
    ----------
    forward : ndarray
        Of E sum A² - 1/n, for the output and for the values' gradient.
    query : ndarray
        Of E tr(J J Gram of the head's keys), for the queries' gradient.
    key : ndarray
        Of E |q|² tr J², for the keys' gradient.
    """

    forward: Array
    query: Array
    key: Array


def iid_weights(count: Array, std: float) -> IidWeights:
    """Return the exact averages for `count` iid logits N(0, std²).

    Parameters
    ----------
    count : ndarray
        Numbers of logits, any shape, each at least 2; need not be whole.
    std : float
        More than 0.

    Examples
    --------
    >>> found = iid_weights(np.array([16.0]), 1e-3)
    >>> round(float(found.squares[0]), 6), round(float(found.jacobian[0]), 6)
    (0.0625, 0.058594)
    """
    n = np.atleast_1d(np.asarray(count, dtype=np.float64))[..., None]
    low = -(42.0 + np.log(n.max()) + 9.0 * std)
    high = max(5.0, 9.0 * std) + 4.0
    v: Array = np.arange(int(low / STEP), int(high / STEP) + 1).astype(np.float64) * STEP
    smooth = GaussianSmoothing(v, std)
    # E g f and E (g² - 1) f come as Hermite averages; logits are std g.
    w = {k: smooth(functools.partial(_bump, k), 0) for k in (2, 3, 4)}
    first = {k: smooth(functools.partial(_bump, k), 1) for k in (1, 2, 3)}
    second = {k: smooth(functools.partial(_bump, k), 2) + w[k] for k in (2, 3, 4)}
    # Powers of u beyond its own underflow multiply averages that are 0 there.
    log_u = np.log(np.clip(smooth(functools.partial(_bump, 0), 0), 1e-300, 1.0))

    def integral(f: Array, m: int) -> Array:
        return np.asarray(STEP * np.sum(f * np.exp((n - m) * log_u), axis=-1))

    k = n[..., 0]
    pairs, triples = k * (k - 1.0), k * (k - 1.0) * (k - 2.0)
    squares = k * integral(w[2], 1)
    both = (k * integral(w[4], 1) + pairs * integral(w[2] ** 2, 2)) / 6.0
    jacobian = squares - k * integral(w[3], 1) + both
    logits = (
        k * integral(second[2] - second[3] + second[4] / 6.0, 1)
        + pairs * integral(-first[2] * first[1] + (2.0 * first[3] * first[1] + w[2] * second[2]) / 6.0, 2)
        + triples * integral(w[2] * first[1] ** 2, 3) / 6.0
    )
    return IidWeights(squares, jacobian, logits)


def _bump(power: int, y: Array) -> Array:
    return np.asarray(np.exp(power * y - np.exp(np.minimum(y, 30.0))))


def ratios(count: Array, logit_variance: Array, head_size: int) -> Ratios:
    """Return the ratios for rows of `count` keys with logits of variance `logit_variance`, averaged over queries.

    A query has |q|² = q² X with X = chi²_d / d, so its logits have variance s² X; the Gram matrix of the head's own d
    features is stretched along them, which the term with 1/d of `query` knows.

    Parameters
    ----------
    count, logit_variance : ndarray
        Shape (N,); numbers below 2 are raised to it, variances above the table's largest lowered.
    head_size : int
        d, at least 1.

    Examples
    --------
    >>> found = ratios(np.array([64.0]), np.array([1.0]), 10**6)
    >>> round(float(found.forward[0]), 3), round(float(found.key[0]), 3)
    (1.507, 2.216)
    """
    nodes, weights = _chi_square(head_size)
    log_count = np.log(np.clip(count, FEWEST, _MOST))
    square = np.multiply.outer(np.maximum(logit_variance, 0.0), nodes)
    inside = np.clip(square, _SMALLEST, _LARGEST)
    # Below the table logarithms of ratios are proportional to s².
    share = np.minimum(square / _SMALLEST, 1.0)
    forward, jacobian, logits = (
        np.exp(share * spline.ev(np.log(inside), np.broadcast_to(log_count[:, None], inside.shape)))
        for spline in _table()
    )
    query = (1.0 - 1.0 / head_size) * jacobian + logits / head_size
    return Ratios((nodes * forward) @ weights, query @ weights, (nodes * jacobian) @ weights)


def growth(x: Array) -> Array:
    """Return (e^x - 1) / x."""
    near = np.abs(x) < 1e-8
    return np.asarray(np.where(near, 1.0 + 0.5 * x, np.expm1(x) / np.where(near, 1.0, x)))


@functools.lru_cache(maxsize=64)
def _chi_square(head_size: int) -> tuple[Array, Array]:
    """Return twelve Gauss nodes of chi²_d / d with their weights."""
    nodes, weights = (
        roots_genlaguerre(12, 0.5 * head_size - 1.0) if head_size <= 300 else roots_hermitenorm(12)
    )
    if head_size > 300:
        # Gamma(150) weights overflow; there the cube root is normal to 1e-5 (Wilson and Hilferty).
        nodes = (
            0.5 * head_size * (1.0 - 2.0 / (9.0 * head_size) + nodes * np.sqrt(2.0 / (9.0 * head_size))) ** 3
        )
    return np.asarray(2.0 * nodes / head_size), np.asarray(weights / weights.sum())


@functools.lru_cache(maxsize=1)
def _table() -> tuple[RectBivariateSpline, RectBivariateSpline, RectBivariateSpline]:
    """Return splines of the logarithms of the ratios at a fixed |q| in (ln s², ln n)."""
    log_square = np.linspace(np.log(_SMALLEST), np.log(_LARGEST), 81)
    log_count = np.linspace(np.log(FEWEST), np.log(_MOST), 21)
    n, found = np.exp(log_count), []
    for square in np.exp(log_square):
        squares, jacobian, logits = iid_weights(n, float(np.sqrt(square)))
        scale = n**2 / (n - 1.0)
        found.append(
            np.log([(n * squares - 1.0) / (square * (1.0 - 1.0 / n)), scale * jacobian, scale * logits])
        )
    forward, key, query = np.moveaxis(np.array(found), 1, 0)
    return tuple(RectBivariateSpline(log_square, log_count, f) for f in (forward, key, query))  # type: ignore[return-value]
