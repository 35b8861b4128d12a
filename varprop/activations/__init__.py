"""Activations: value, derivative, kinks, inactive and saturation sets, Gaussian moments; one table of names.

Each family has its file; importing it enters its activations in `registry`.
"""

from __future__ import annotations

from varprop.activations import (  # noqa: F401  (each enters its activations in the table)
    clipped,
    exponential,
    gated,
    rectified,
    sigmoidal,
    thresholds,
    waves,
)
from varprop.activations.base import Activation, registry
from varprop.activations.choose import activation
from varprop.activations.saturation import DEFAULT_SHARE, Tails, interval_probability

__all__ = ["DEFAULT_SHARE", "Activation", "Tails", "activation", "interval_probability", "registry"]
