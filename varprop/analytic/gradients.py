"""What the backward pass knows at a layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Gradients:
    """Gradients of one layer per input, as logarithms of second moments, shape (B,) each.

    Attributes
    ----------
    log_preactivation, log_weight, log_input : ndarray
        E (dL/dz_i)², E (dL/dW_ij)², E (dL/dh_j)², averaged over units and entries.
    exact, exact_weight, exact_input : bool
        Whether they hold at any width.
    reasons : tuple of str
        Assumptions that failed on the way.
    log_weight_batch : ndarray or None
        Logarithm of the squared gradient of the batch mean, shape (1,), where all gradients are known numbers.
    """

    log_preactivation: Array
    log_weight: Array
    log_input: Array
    exact: bool
    exact_weight: bool
    exact_input: bool
    reasons: tuple[str, ...]
    log_weight_batch: Array | None = None


@dataclass(frozen=True)
class Arriving:
    """The gradient W^T delta that arrives at the activations of a layer, shape (B,) each.

    Attributes
    ----------
    log_square : ndarray
        Logarithm of its second moment per unit.
    cross : ndarray
        E of the product of two units' gradients, as a share of the second moment.
    log_alive, log_dead : ndarray
        The second moment given that the layer is not, or is, all zero; equal except in ReLU nets.
    exact : bool
        Whether the second moment holds at any width.
    apart : bool
        Whether it is independent of everything below the weights it came through.
    fair : bool
        Whether all layers above have fair signs and the head is the unit head.
    reasons : tuple of str
    """

    log_square: Array
    cross: Array
    log_alive: Array
    log_dead: Array
    exact: bool
    apart: bool
    fair: bool
    reasons: tuple[str, ...]
