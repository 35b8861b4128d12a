"""The 16-point Gauss-Legendre panel: nodes, weights, its own error estimate, and indefinite integrals."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

POINTS = 16
NODES, WEIGHTS = np.polynomial.legendre.leggauss(POINTS)
_VALUES = np.polynomial.legendre.legvander(NODES, POINTS - 1)
_COEFFICIENTS = ((2 * np.arange(POINTS) + 1) / 2)[:, None] * (WEIGHTS[:, None] * _VALUES).T
_TAIL = np.ascontiguousarray(_COEFFICIENTS[-2:].T)
_INTEGRALS = np.stack(
    [
        np.polynomial.legendre.legval(NODES, np.polynomial.legendre.legint(row, lbnd=-1))
        for row in np.eye(POINTS)
    ]
)
RUNNING = np.ascontiguousarray(_COEFFICIENTS.T @ _INTEGRALS)
"""``values @ RUNNING`` integrates the polynomial through the values at the nodes, from -1 to each node."""


def roughness(values: Array) -> Array:
    """Return how badly panels are resolved: their two highest Legendre coefficients over their largest value.

    A smooth function's coefficients fall geometrically, c_k ~ r^k, and the rule (exact to degree 31) errs by
    about c_31 ~ c_15²; past a kink they fall like a power and it errs by about c_15.

    Parameters
    ----------
    values : ndarray, shape (…, 16)
        The integrand, weight included, at the nodes.
    """
    top = np.abs(values).max(axis=-1)
    with np.errstate(invalid="ignore"):
        high = np.abs(values @ _TAIL).sum(axis=-1)
    result: Array = high / np.where(top > 0, top, 1.0)
    return result


_RIGHT = _COEFFICIENTS.sum(axis=0)
_LEFT = (_COEFFICIENTS * (-1.0) ** np.arange(POINTS)[:, None]).sum(axis=0)


def end_values(values: Array) -> tuple[Array, Array]:
    """Return what the polynomials through the values at the nodes give at -1 and 1."""
    left: Array = values @ _LEFT
    right: Array = values @ _RIGHT
    return left, right


def relative_error(rough: Array) -> Array:
    """Return the estimated relative error of a panel of the given `roughness`."""
    result: Array = np.minimum(rough, 100 * np.square(rough))
    return result


def scale_edges(reach: float, smallest: float = 0.5) -> list[float]:
    """Return panel edges from `smallest` (by doublings of 1.4) over 0.5, 1, …, 3 and on by 1.4 to `reach`."""
    edges = [0.5]
    while edges[-1] > smallest:
        edges.append(edges[-1] / 1.4)
    edges = [*edges[::-1], 1.0, 1.5, 2.0, 2.5, 3.0]
    while edges[-1] < reach:
        edges.append(edges[-1] * 1.4)
    return edges


def nodes_of(low: Any, high: Any) -> tuple[Array, Array]:
    """Return nodes and weights, shape (panels, 16), of the panels [low, high]."""
    half = 0.5 * (np.asarray(high) - low)[:, None]
    middle = 0.5 * (np.asarray(high) + low)[:, None]
    return middle + half * NODES, half * WEIGHTS
