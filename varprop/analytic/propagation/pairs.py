"""E phi(z_t) phi(z_t') and E phi'(z_t) phi'(z_t') of jointly Gaussian z, for all pairs of N columns at once.

Formulas where there are some for pairs of mean zero; otherwise Mehler's series Σ_k a_k(t) a_k(t') rho^k in normalised
Hermite coefficients about each column's mean, cut where what is left out (known from Parseval's identity) is nothing,
its end added as sqrt(rest_t rest_t') rho^K: right at correlations 0 and 1, and within that term anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from varprop.activations import Activation
from varprop.moments.hermite import coefficients

Array = NDArray[np.float64]

_NEGLIGIBLE = 1e-13
_DOUBTFUL = 3e-3


@dataclass(frozen=True, eq=False)
class Activations:
    """Averages over all pairs of columns.

    Attributes
    ----------
    second, slopes : ndarray
        E phi phi' and E phi' phi'', shape (N, N).
    mean, slope : ndarray
        E phi and E phi', shape (N,).
    error : float
        How far entries of `second` may be off, as a share of its mean diagonal; mean over pairs.
    """

    second: Array
    slopes: Array
    mean: Array
    slope: Array
    error: float

    def reasons(self, phi: Activation) -> tuple[str, ...]:
        """Say so if averages over pairs are not known well."""
        if self.error <= _DOUBTFUL:
            return ()
        return (f"averages of {phi.name} over pairs of columns known to {self.error:.1g} only",)


def activated(phi: Activation, mean: Array, covariance: Array) -> Activations:
    """Return the averages for z ~ N(`mean`, `covariance`).

    Raises
    ------
    InputError
        Where the moments of the activation are not available.

    Examples
    --------
    >>> import varprop as vp
    >>> found = activated(vp.activation("relu"), np.zeros(2), np.eye(2))
    >>> (2 * np.pi * found.second).round(6).tolist()
    [[3.141593, 1.0], [1.0, 3.141593]]
    """
    variance = np.maximum(np.diagonal(covariance), 0.0)
    fields = ("mean", "second_moment", "derivative_mean", "derivative_second_moment")
    keys, back = np.unique(np.stack([variance, mean]), axis=1, return_inverse=True)
    back = back.ravel()
    moments = phi.moments(keys[0], mean=keys[1], fields=fields)
    first, square, slope, slope_square = (np.asarray(getattr(moments, name))[back] for name in fields)
    scale = np.sqrt(variance)
    safe = np.where(scale > 0.0, scale, 1.0)
    correlation = np.clip(covariance / np.outer(safe, safe), -1.0, 1.0)
    centred = not mean.any()
    if centred and {"product", "derivative_product"} <= set(phi.forms.pair):
        pair = phi.pair_moments(
            variance[:, None],
            variance,
            one_minus_correlation=1.0 - correlation,
            fields=("product", "derivative_product"),
        )
        second, slopes, error = np.asarray(pair.product), np.asarray(pair.derivative_product), 0.0
    else:
        second, slopes, error = _series(phi, keys, back, square, slope_square, correlation)
    np.fill_diagonal(second, square)
    np.fill_diagonal(slopes, slope_square)
    return Activations(second, slopes, first, slope, error)


def _series(
    phi: Activation,
    keys: Array,
    back: NDArray[np.intp],
    square: Array,
    slope_square: Array,
    correlation: Array,
) -> tuple[Array, Array, float]:
    values, slopes = _tables(phi, keys)
    found, errors = [], []
    for table, norm in ((values, square), (slopes, slope_square)):
        own = table[back]
        left = norm[:, None] - np.cumsum(np.square(own), axis=1)
        enough = np.flatnonzero((left <= _NEGLIGIBLE * np.maximum(norm, 1e-300)[:, None]).all(axis=0))
        count = int(enough[0]) + 1 if enough.size else own.shape[1]
        own = own[:, :count]
        rest = np.sqrt(np.maximum(left[:, count - 1], 0.0))
        rest[rest <= np.sqrt(_NEGLIGIBLE * norm)] = 0.0
        total = np.outer(rest, rest) if rest.any() else np.zeros(correlation.shape)
        for k in range(count - 1, -1, -1):
            total *= correlation
            total += np.outer(own[:, k], own[:, k])
        found.append(total)
        doubt = float(
            np.mean(np.abs(correlation) ** count * np.outer(rest, rest)) - np.mean(rest**2) / rest.size
        )
        level = float(np.mean(norm))
        errors.append(max(doubt, 0.0) / level if level > 0.0 else 0.0)
    return found[0], found[1], errors[0]


def _tables(phi: Activation, keys: Array) -> tuple[Array, Array]:
    """Return Hermite coefficients of phi and phi' about the mean of every (variance, mean), shape (keys, terms)."""
    variance, mean = keys
    tables: tuple[Array, Array] | None = None
    for level in np.unique(mean):
        chosen = mean == level
        kinks = tuple(kink - level for kink in phi.kinks)
        for i, function in enumerate((phi, phi.derivative)):
            part = coefficients(lambda z, f=function, m=level: f(z + m), variance[chosen], kinks)  # type: ignore[misc]
            if tables is None:
                tables = (np.empty((mean.size, part.shape[1])), np.empty((mean.size, part.shape[1])))
            tables[i][chosen] = part
    assert tables is not None
    return tables
