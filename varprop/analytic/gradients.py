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
    weight_reasons : tuple of str
        These, and those that failed for what arrives: E (dL/dW_ij)² is a product, worth what its weaker factor is.
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
    weight_reasons: tuple[str, ...] = ()
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
    log_awake, log_silent : ndarray
        The second moment per squared gradient above, A and B of `varprop.analytic.backward`: given that the layer's
        activations are not, or are, all 0.
    exact : bool
        Whether the second moment holds at any width.
    isotropic : bool
        Whether equation (1) of `varprop.analytic.backward` holds for the layers above.
    reasons : tuple of str
    """

    log_square: Array
    cross: Array
    log_awake: Array
    log_silent: Array
    exact: bool
    isotropic: bool
    reasons: tuple[str, ...]
