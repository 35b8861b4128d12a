"""Logarithmic axes for numbers that may lie beyond what a float holds.

A variance after a thousand layers can be 1e-400: its ``value`` is 0, its ``log_value`` is not. Everything
here works in decades (log10): from ``log_value`` where there is one, from ``value`` otherwise. Then -inf
means exactly zero, +inf an overflow without a logarithm, and NaN not known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matplotlib.axes import Axes

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

FAR = 290.0
"""Decades beyond which an axis counts in exponents, short of the largest and smallest float."""


def decades(value: np.ndarray, log_value: np.ndarray | None = None) -> np.ndarray:
    """Return log10 of `value`, or of the number that `log_value` (natural) carries where it is finite.

    Examples
    --------
    >>> decades(np.array([100.0, 0.0, 0.0]), np.array([np.nan, -1000.0, np.nan])).round(1).tolist()
    [2.0, -434.3, -inf]
    """
    value = np.asarray(value, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.where(value >= 0, np.log10(np.where(value >= 0, value, 1.0)), np.nan)
    if log_value is None:
        return found
    log_value = np.asarray(log_value, dtype=float)
    return np.where(np.isfinite(log_value), log_value / math.log(10.0), found)


def power_of_ten(exponent: float) -> str:
    """Return the power as a tick label; mathtext would cost a parser's time for each.

    Examples
    --------
    >>> power_of_ten(-21), power_of_ten(0), power_of_ten(2)
    ('10⁻²¹', '1', '100')
    """
    whole = round(exponent)
    return f"{10.0**whole:g}" if -2 <= whole <= 2 else f"10{str(whole).translate(_SUPERSCRIPTS)}"


def log_tick(value: float, _: float = 0.0) -> str:
    """Return the label of a tick of a logarithmic axis."""
    return power_of_ten(math.log10(value)) if value > 0 else ""


@dataclass(frozen=True)
class LogScale:
    """The vertical axis of one panel.

    Attributes
    ----------
    low, high : float
        Limits in decades, at least one decade apart, so that what is constant looks constant.
    far : bool
        Whether the axis counts exponents because floats end before it does.
    """

    low: float
    high: float
    far: bool

    @classmethod
    def around(cls, numbers: Iterable[np.ndarray]) -> LogScale:
        """Return the scale that holds all finite `numbers` (in decades) with a margin."""
        finite = np.concatenate([np.ravel(n)[np.isfinite(np.ravel(n))] for n in numbers] or [np.zeros(0)])
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
        margin = max(0.06 * (high - low), (1.2 - (high - low)) / 2)
        low, high = low - margin, high + margin
        return cls(low, high, far=low < -FAR or high > FAR)

    def position(self, numbers: np.ndarray) -> np.ndarray:
        """Return where `numbers` (in decades) lie on the axis; zeros and overflows on its edges."""
        inside = np.clip(numbers, self.low, self.high)
        return inside if self.far else np.asarray(10.0**inside)

    def apply(self, ax: Axes) -> None:
        """Give `ax` this scale, its limits and ticks."""
        from matplotlib import ticker

        if self.far:
            ax.set_ylim(self.low, self.high)
            ax.yaxis.set_major_locator(ticker.MaxNLocator(nbins=6, integer=True))
            ax.yaxis.set_major_formatter(lambda x, _: power_of_ten(x))
            return
        ax.set_yscale("log")
        ax.set_ylim(10.0**self.low, 10.0**self.high)
        ax.yaxis.set_major_locator(ticker.LogLocator(numticks=7))
        ax.yaxis.set_minor_locator(ticker.NullLocator())
        ax.yaxis.set_major_formatter(log_tick)
