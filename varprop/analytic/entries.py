"""One entry of the predicted table: a number, what it is worth, and why."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_OVERFLOW, _VANISH = np.log(np.finfo(np.float64).max), np.log(np.finfo(np.float64).tiny)


@dataclass(frozen=True)
class Entry:
    """Value and label of one (layer, quantity).

    Attributes
    ----------
    value, log_value : float
        The prediction and, for what is positive, its logarithm; NaN if there is none.
    order : str
        ``exact``, ``1/n``, ``infinite``, ``approximate``, or empty if there is no prediction.
    reason : str
        Which assumption fails, or what happened to the value.
    allowance : float
        How far the truth may be from `value` at this width, as far as known; NaN if unknown, 0 if exact.
    """

    value: float
    log_value: float
    order: str
    reason: str = ""
    allowance: float = float("nan")

    def because(self, reason: str) -> Entry:
        """Return the entry with a reason added."""
        return replace(self, reason=joined(self.reason, reason))


def joined(*reasons: str) -> str:
    """Join the different non-empty reasons."""
    return "; ".join(dict.fromkeys(r for r in reasons if r))


def unpredicted(reason: str) -> Entry:
    """Return an entry without a prediction."""
    return Entry(float("nan"), float("nan"), "", reason)


def label(exact: bool, reasons: tuple[str, ...]) -> tuple[str, str]:
    """Return order and reason: exact, or approximate where an assumption fails, or the limit of wide layers."""
    if exact:
        return "exact", ""
    return ("approximate", joined(*reasons)) if reasons else ("infinite", "")


@dataclass(frozen=True)
class Shift:
    """What finite width adds to a prediction.

    Attributes
    ----------
    values : ndarray
        Shape (B,): to the logarithm of a moment, to any other number itself.
    choice : str
        ``best``, ``1/n`` or ``infinite``: whether to add it, or only to allow for it.
    strength : float
        Relative size of the fluctuations behind it: the next order is about as much smaller.
    doubt : str
        Why it cannot be trusted, or is not known; empty if it can.
    """

    values: Array
    choice: str
    strength: float = 0.0
    doubt: str = ""

    def settle(self, plain: float, corrected: float, scale: float) -> tuple[float, str, str, float]:
        """Return the value to state, its order, a remark, and the allowance for what is left out.

        The next order is taken to be smaller than this one by its own size in units of `scale`, or by the strength
        of the fluctuations if they are larger.
        """
        size = abs(corrected - plain)
        if not np.isfinite(size):
            return plain, "infinite", self.doubt, float("nan")
        if self.choice == "infinite" or (self.choice == "best" and self.doubt):
            return plain, "infinite", self.doubt, size
        own = size / scale if scale > 0.0 else 1.0
        return corrected, "1/n", self.doubt, size * min(1.0, max(own, self.strength))


NO_SHIFT = Shift(np.full(1, np.nan), "infinite")


def moment(
    logs: Array, exact: bool, reasons: tuple[str, ...], note: str = "", shift: Shift = NO_SHIFT
) -> Entry:
    """Return the mean over inputs of exp(`logs`), kept in log space."""
    if np.isnan(logs).any():
        return unpredicted(note or "moments of the activation are not available here")
    order, reason = label(exact, reasons)
    log_value, allowance = _log_mean(logs), 0.0 if exact else float("nan")
    if order == "infinite" and np.isfinite(log_value):
        # Relative to the value, so that neither can overflow.
        change = float(np.expm1(_log_mean(logs + shift.values) - log_value))
        factor, order, reason, rest = shift.settle(1.0, 1.0 + change, 1.0)
        log_value += float(np.log(factor))
        with np.errstate(over="ignore"):
            allowance = float(rest * np.exp(log_value))
    if log_value > _OVERFLOW:
        return Entry(float("inf"), log_value, order, joined("overflow", reason), allowance)
    if -np.inf < log_value < _VANISH:
        return Entry(0.0, log_value, order, joined("vanished", reason), allowance)
    # The logarithm costs the last digit: 15 are right, and 501 is not 500.9999999999999.
    return Entry(float(f"{np.exp(log_value):.15g}"), log_value, order, reason, allowance)


def _log_mean(logs: Array) -> float:
    top = logs.max()
    return float(top if not np.isfinite(top) else top + np.log(np.mean(np.exp(logs - top))))


def number(
    values: Array,
    exact: bool,
    reasons: tuple[str, ...],
    note: str = "",
    shift: Shift = NO_SHIFT,
    scale: float = 1.0,
    bounds: tuple[float, float] = (-np.inf, np.inf),
) -> Entry:
    """Return the mean over inputs of `values`, which may have any sign; `scale` is their natural unit."""
    if np.isnan(values).any():
        return unpredicted(note or "moments of the activation are not available here")
    order, reason = label(exact, reasons)
    if np.isinf(values).any():
        return Entry(float(values[np.isinf(values)][0]), float("nan"), order, joined("overflow", reason))
    value, allowance = float(np.mean(values)), 0.0 if exact else float("nan")
    if order == "infinite":
        corrected = float(np.mean(np.clip(values + shift.values, *bounds)))
        value, order, reason, allowance = shift.settle(value, corrected, scale)
    return Entry(value, float("nan"), order, reason, allowance)
