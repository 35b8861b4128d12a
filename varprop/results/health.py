"""One yardstick for the words healthy, vanishing and exploding, used wherever a verdict is spoken.

A network is judged by the factor that a mean square (of the signal forward, of the gradient backward) gains
over its whole depth. Within a factor of 100 either way, 10 in root mean square, ordinary learning rates and
optimizers cope; beyond it the first and the last layer cannot be trained with one learning rate.
"""

from __future__ import annotations

import math
from typing import Literal

Health = Literal["healthy", "vanishing", "exploding", "unknown"]

LIMIT = 100.0
"""Largest factor of a mean square over the depth that still counts as healthy."""


def health(log_factor: float, limit: float = LIMIT) -> Health:
    """Judge the natural logarithm of a mean-square factor.

    Examples
    --------
    >>> health(0.0), health(26.9), health(-float("inf")), health(float("nan"))
    ('healthy', 'exploding', 'vanishing', 'unknown')
    """
    if math.isnan(log_factor):
        return "unknown"
    if abs(log_factor) <= math.log(limit):
        return "healthy"
    return "exploding" if log_factor > 0 else "vanishing"


def factor_text(log_factor: float) -> str:
    """Write a factor for readers: ``×1.3``, ``×4.8e+11``, ``×10^-140``.

    Examples
    --------
    >>> factor_text(0.2623643), factor_text(-322.4)
    ('×1.3', '×9.6e-141')
    >>> factor_text(-3000.0)
    '×10^-1303'
    """
    if math.isnan(log_factor):
        return "×?"
    if log_factor == -math.inf:
        return "×0"
    if log_factor == math.inf:
        return "×∞"
    if abs(log_factor) < 690:
        return f"×{math.exp(log_factor):.2g}"
    return f"×10^{log_factor / math.log(10):.0f}"
