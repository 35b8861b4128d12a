"""Gradients of layers without randomness, from what arrives above them.

The gradient U = W^T delta arriving from a first random layer with inputs h has the second moments

    E U U^T = s E |delta|² [I + (S - 1) h h^T/|h|²],

S - 1 being how much it leans towards h (see `varprop.analytic.fluctuations`); for weights with a mean it has a part in
common instead. A known matrix that is diagonal or constant keeps such a matrix in the form diag(d) ± u u^T, which
is all that is carried.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from varprop.analytic.gradients import Gradients
from varprop.analytic.head_start import Start
from varprop.analytic.states import KnownLayer

if TYPE_CHECKING:
    from varprop.analytic.gradients import Arriving

Array = NDArray[np.float64]


def known_gradients(
    known: list[KnownLayer], arriving: Arriving | None, start: Start, aligned: Array | None = None
) -> list[Gradients]:
    """Return the gradients of the known layers at the bottom of a network, first to last.

    Parameters
    ----------
    known : list of KnownLayer
        First to last.
    arriving : Arriving or None
        From the random layer above; None if there is none, and `start` is where the gradient starts.
    start : Start
    aligned : ndarray, optional
        S of the first random layer, shape (B,); 1 by default.
    """
    if not known:
        return []
    top = known[-1]
    reasons: tuple[str, ...] = ()
    shape = (top.width, top.inputs.values.shape[1])
    sign = np.ones(shape[1])
    if arriving is None:
        exact, slopes = start.exact, np.ones(shape)
        scale = np.where(np.isneginf(start.log_gradient), 0.0, start.log_gradient)
        if start.values is None:
            d, u = np.exp(start.log_gradient - scale) * np.ones(shape), np.zeros(shape)
        else:
            d, u = np.zeros(shape), start.values * np.exp(-0.5 * scale)
    else:
        exact, reasons, slopes = arriving.exact, arriving.reasons, top.slopes
        scale = np.where(np.isneginf(arriving.log_square), 0.0, arriving.log_square)
        size = np.exp(arriving.log_square - scale)
        d = size * (1.0 - arriving.cross) * np.ones(shape)
        u = np.sqrt(size * np.maximum(arriving.cross, 0.0)) * np.ones(shape)
        if aligned is not None and not arriving.cross.any():
            lean = np.nan_to_num(aligned - 1.0, nan=0.0)
            u, sign = np.sqrt(size * np.abs(lean)) * _direction(top.activations.values), np.sign(lean)
    found: list[Gradients] = []
    for position in reversed(range(len(known))):
        layer = known[position]
        d, u = d * np.square(slopes), u * slopes
        matrix = layer.weight_matrix
        spread, direction, sign_below = _transposed(matrix, d, u, sign)
        log_p = _log_mean(d + sign * np.square(u)) + scale
        log_input = _log_mean(spread + sign_below * np.square(direction)) + scale
        log_weight = log_p + layer.inputs.log_mean_square
        whole = _batch_square(layer, u, scale) if start.values is not None and arriving is None else None
        found.append(Gradients(log_p, log_weight, log_input, exact, exact, exact, reasons, reasons, whole))
        d, u, scale = _rescaled(spread, direction, scale)
        sign = sign_below
        slopes = known[position - 1].slopes if position else slopes
    return found[::-1]


def _batch_square(layer: KnownLayer, u: Array, scale: Array) -> Array:
    """Logarithm of the mean square over entries of the batch-mean gradient, of known gradients u."""
    h = layer.inputs
    top = float((0.5 * scale + h.log_scale).max())
    sized = u * np.exp(0.5 * scale + h.log_scale - top)
    batch = u.shape[1]
    # |sum_a u_a h_a^T|² from the two Gram matrices
    total = float(np.sum((sized.T @ sized) * (h.values.T @ h.values)))
    with np.errstate(divide="ignore"):
        size = np.log(max(total, 0.0)) - np.log(batch**2 * u.shape[0] * h.values.shape[0])
    return np.array([size + 2.0 * top])


def _transposed(matrix: Array, d: Array, u: Array, sign: Array) -> tuple[Array, Array, Array]:
    """Return diagonal, direction and sign of W^T (diag(d) + sign u u^T) W."""
    if np.count_nonzero(matrix, axis=1).max() <= 1:
        # At most one entry in a row: the diagonal stays one.
        return np.square(matrix).T @ d, matrix.T @ u, sign
    # All entries equal c: every entry of W^T M W is c² (sum d + sign (sum u)²). A direction alone keeps its own sign.
    c, along = matrix[0, 0], u.sum(axis=0)
    total = np.sqrt(np.maximum(d.sum(axis=0) + sign * np.square(along), 0.0))
    direction = c * np.where(along < 0.0, -total, total)
    shape = (matrix.shape[1], d.shape[1])
    return np.zeros(shape), np.broadcast_to(direction, shape), np.ones_like(sign)


def _direction(h: Array) -> Array:
    """Unit vectors along the columns of `h`; 0 for zero columns."""
    length = np.sqrt(np.square(h).sum(axis=0))
    return np.asarray(h / np.where(length > 0.0, length, 1.0))


def _rescaled(d: Array, u: Array, scale: Array) -> tuple[Array, Array, Array]:
    size = np.maximum(d.max(axis=0), np.square(u).max(axis=0))
    factor = np.where(size > 0.0, size, 1.0)
    return d / factor, u / np.sqrt(factor), scale + np.log(factor)


def _log_mean(values: Array) -> Array:
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(values.mean(axis=0)))
