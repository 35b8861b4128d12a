"""Cross-entropy at every position of a sequence: expected loss and second moments of the gradient at the logits.

Logits of position t are V iid N(0, Sl_tt), with covariance Sl_tt' between positions; labels are independent of them.
Equations (12) and (13) of the notes; the averages at one position are those of `cross_entropy`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from varprop._validation import InputError, check_integer, check_real, described
from varprop.analytic.attention.iid_logits import growth, iid_weights
from varprop.analytic.cross_entropy import softmax_averages

Array = NDArray[np.float64]

_TINY, _HUGE = 1e-8, 1e4
"""Variances of logits between which the interpolation is bent; beyond, it is straight."""


class PositionLosses(NamedTuple):
    """Averages over logits and labels.

    Attributes
    ----------
    loss : ndarray
        E[-ln p_y] at each position, shape (N,); exact.
    gradient : ndarray
        E[(p_t - e_t).(p_t' - e_t')] summed over classes, shape (N, N). The diagonal is exact; between positions E[p.p']
        is interpolated between independent and equal logits, which matters for few classes only.
    """

    loss: Array
    gradient: Array


def position_losses(
    covariance: Array, classes: int, same_label: Array | float | None = None
) -> PositionLosses:
    """Return expected losses and gradients at the logits.

    Parameters
    ----------
    covariance : ndarray
        Sl, shape (N, N): covariance of one logit over positions.
    classes : int
        V, at least 2.
    same_label : ndarray, float or None
        Probability that two positions have the same label; None for independent uniform labels, 1/V.

    Raises
    ------
    InputError
        If `covariance` is not square and finite.

    Examples
    --------
    >>> found = position_losses(np.zeros((2, 2)), 10)
    >>> found.loss.round(4).tolist(), found.gradient.round(4).tolist()
    ([2.3026, 2.3026], [[0.9, 0.0], [0.0, 0.9]])
    """
    check_integer("classes", classes, minimum=2)
    if (
        covariance.ndim != 2
        or covariance.shape[0] != covariance.shape[1]
        or not np.isfinite(covariance).all()
    ):
        found = described(f"an array of shape {covariance.shape}")
        raise InputError("covariance", found, "a finite matrix with a row and a column for each position")
    variance = np.maximum(np.diagonal(covariance), 0.0)
    # Positions behind a normalization have equal variances, up to rounding: integrate once.
    rounded = np.array([float(f"{v:.12e}") for v in variance])
    levels, index = np.unique(rounded, return_inverse=True)
    averages = [softmax_averages(classes, float(np.sqrt(level))) for level in levels]
    loss = np.array([a.loss for a in averages])[index]
    above = np.array([a.squares for a in averages])[index] - 1.0 / classes
    same = np.broadcast_to(1.0 / classes if same_label is None else np.asarray(same_label), covariance.shape)
    bend = np.array(
        [_bend(classes, v, a.squares - 1.0 / classes) for v, a in zip(levels, averages, strict=True)]
    )
    # Of logits without spread rounding may leave less than nothing.
    above = np.maximum(above, 0.0)
    gradient = same - 1.0 / classes + _between(covariance, variance, above, bend[index])
    np.fill_diagonal(gradient, 1.0 - 1.0 / classes + above)
    return PositionLosses(loss, gradient)


def _between(covariance: Array, variance: Array, above: Array, bend: Array) -> Array:
    """Return E[p.p'] - 1/V between positions whose logits have correlation g.

    Its derivative in the covariance is E tr(J J'), J = diag p - p p^T, which grows like f0 (f1 / f0)^g from independent
    logits, f0 = (E tr J)² / (V - 1), to equal ones; `bend` is ln(f1 / f0), and `above` fixes the value at g = 1.
    """
    own = np.sqrt(variance)
    scale = np.outer(own, own)
    g = np.clip(np.where(scale > 0.0, covariance / np.where(scale > 0.0, scale, 1.0), 0.0), -1.0, 1.0)
    log = 0.5 * np.add.outer(bend, bend)
    return np.asarray(np.sqrt(np.outer(above, above)) * g * growth(g * log) / growth(log))


def _bend(classes: int, variance: float, above: float) -> float:
    """Return ln(f1 / f0) of `_between`; 0 where logits do not vary."""
    if not _TINY < variance < _HUGE:
        return 0.0
    equal = float(iid_weights(np.array([float(classes)]), float(np.sqrt(variance))).jacobian[0])
    apart = (1.0 - 1.0 / classes - above) ** 2 / (classes - 1.0)
    return float(np.log(equal / apart)) if min(equal, apart) > 0.0 else 0.0


def tied_loss(mean: float, classes: int, own_label: float | None = None) -> float:
    """Return what tying the unembedding to the embedding adds to the expected loss.

    The logit of the token that stands at the position itself has the mean `mean`, others 0.

    Parameters
    ----------
    mean : float
        n s² / sqrt(S_tt + eps) for embeddings of variance s² behind a last normalization of stream S.
    classes : int
        V.
    own_label : float or None
        Probability that the label is the position's own token; None for uniform labels, 1/V.

    Returns
    -------
    float
        ln(1 + (e^mean - 1)/V) - mean P(own label). The sum over classes counts as self-averaging, which fails by 1.5 %
        of the loss where e^mean is of the size of V.

    Examples
    --------
    >>> round(tied_loss(1.25, 50257), 6), round(tied_loss(1.25, 50257, own_label=1.0), 4)
    (2.5e-05, -1.25)
    """
    check_integer("classes", classes, minimum=2)
    check_real("mean", mean)
    share = (
        1.0 / classes if own_label is None else check_real("own_label", own_label, minimum=0.0, maximum=1.0)
    )
    raised = np.logaddexp(np.log1p(-1.0 / classes), mean - np.log(classes))
    return float(raised - mean * share)
