"""Functions of several draws' means, turned into one number per draw by the jackknife.

A variance at an unknown mean and a ratio of means are not means over draws. The jackknife's pseudo-values
``R T - (R - 1) T(without draw r)`` (Efron 1982, *The Jackknife*, ch. 2) are, to first order: their mean is the
estimate with its leading bias removed, and their spread gives its standard error. They are taken among the
draws of one group, so memory stays bounded.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from varprop.montecarlo.samplers.products import diagonal
from varprop.montecarlo.samplers.reductions import dot

Array = NDArray[Any]

FEWEST = 3
"""Draws needed: leaving one out must leave two."""


def pseudo_variance(value: Array) -> Array:
    """Return pseudo-values of the variance over draws at a fixed place, averaged over places.

    Parameters
    ----------
    value : array of shape (draws, replicas, places)
        Replicas share a mean, as the units of an exchangeable layer do; places have their own.

    Returns
    -------
    array of shape (draws,)
        Their mean is the unbiased estimate
        ``mean z² - Σ_{r≠s} m_r m_s / (R (R - 1))`` with m_r the mean over replicas, averaged over places
        (a U-statistic, which the jackknife leaves as it is). NaN for fewer than three draws.
    """
    draws, replicas, places = value.shape
    if draws < FEWEST:
        return np.full(draws, np.nan)
    # Deviations from the first draw's first replica: equal draws have exactly no variance.
    centred = value.astype(np.float64) - value[:1, :1]
    second = np.einsum("rup,rup->r", centred, centred) / (replicas * places)
    first = centred.mean(axis=1)
    total = first.sum(axis=0)
    own = np.einsum("rp,rp->r", first, first) / places
    cross = first @ total / places
    products = total @ total / places - own.sum()  # Σ_{r≠s} m_r m_s
    estimate = second.mean() - products / (draws * (draws - 1))
    without = (second.sum() - second) / (draws - 1)
    without -= (products - 2 * cross + 2 * own) / ((draws - 1) * (draws - 2))
    result: Array = draws * estimate - (draws - 1) * without
    return result


def pseudo_correlation(gram: Array) -> Array:
    """Return pseudo-values of the mean over pairs of ``E[z_a z_b] / sqrt(E[z_a²] E[z_b²])``.

    Parameters
    ----------
    gram : array of shape (draws, B, B)
        Inner products of the inputs' pre-activations.

    Returns
    -------
    array of shape (draws,)
        With fewer than three draws each draw's own cosines, whose mean over draws is off by about
        ``c (1 - c²) / (2 n)``. NaN where no pair is defined (a vector that is zero in every draw).
    """
    gram = gram.astype(np.float64, copy=False)
    draws = len(gram)
    if draws < FEWEST:
        return _mean_cosine(gram)
    total = gram.sum(axis=0, keepdims=True)
    cosines = _mean_cosine(np.concatenate([total, total - gram]))
    result: Array = draws * cosines[0] - (draws - 1) * cosines[1:]
    return result


def _mean_cosine(gram: Array) -> Array:
    squares = diagonal(gram)
    if squares.min() > 0:
        inverse, number = 1.0 / np.sqrt(squares), np.full(len(gram), gram.shape[1])
    else:
        usable = squares > 0
        inverse = np.divide(1.0, np.sqrt(np.maximum(squares, 0.0)), out=np.zeros_like(squares), where=usable)
        number = usable.sum(axis=1)
    sums = dot((gram @ inverse[:, :, None])[:, :, 0], inverse)
    pairs = number * (number - 1)
    result: Array = np.divide(sums - number, pairs, out=np.full(len(gram), np.nan), where=pairs > 0)
    return result
