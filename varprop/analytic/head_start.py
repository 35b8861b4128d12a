"""What a head hands to the backward pass."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Start:
    """The gradient at the last layer's pre-activations, shape (B,) each.

    Attributes
    ----------
    log_gradient : ndarray
        Logarithm of the mean over units of E (dL/dz)².
    loss : ndarray or None
        Expected loss; None for the unit head.
    exact, exact_loss : bool
        Whether they hold at any width.
    cross : ndarray
        E of the product of two units' gradients, as a share of the second moment; 0 for the unit head.
    first, second : ndarray
        Relative change of the second moment per relative change of the variance k of the outputs, and per relative
        squared fluctuation: d log E / d log k and (k²/2) E''/E.
    scatter : ndarray
        Relative variance of one unit's squared gradient.
    aligned : ndarray
        E (g . dL/dz)² over E |dL/dz|² and the variance of g, the outputs without their biases: 1 for a gradient
        that does not depend on them. NaN where not known.
    loss_first, loss_second : ndarray
        k d/dk and (k²/2) d²/dk² of the expected loss. NaN where not known.
    values : ndarray or None
        The gradient itself, shape (n_L, B), where it is the same in every draw.
    reason : str
        Why something is NaN.
    """

    log_gradient: Array
    loss: Array | None
    exact: bool
    exact_loss: bool
    cross: Array
    first: Array
    second: Array
    scatter: Array
    aligned: Array
    loss_first: Array
    loss_second: Array
    values: Array | None = None
    reason: str = ""


def unknown_answers(batch: int) -> tuple[Array, Array, Array, Array, Array, Array]:
    """Return `first` to `loss_second` for a head whose 1/n corrections are not known."""
    unknown = np.full(batch, np.nan)
    return unknown, unknown, unknown, unknown, unknown, unknown
