"""What an activation keeps for its way back."""

from __future__ import annotations

from dataclasses import dataclass

from varprop.analytic.propagation.signal import Array


@dataclass(frozen=True, eq=False)
class Activated:
    """What an activation keeps.

    Attributes
    ----------
    slopes : ndarray
        E phi'(z_t) phi'(z_t'), shape (N, N).
    slope : ndarray
        E phi'(z_t), shape (N,).
    """

    slopes: Array
    slope: Array
