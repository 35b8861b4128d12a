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


def moment(logs: Array, exact: bool, reasons: tuple[str, ...], note: str = "") -> Entry:
    """Return the mean over inputs of exp(`logs`), kept in log space."""
    if np.isnan(logs).any():
        return unpredicted(note or "moments of the activation are not available here")
    top = logs.max()
    log_value = float(top if np.isinf(top) else top + np.log(np.mean(np.exp(logs - top))))
    order, reason = label(exact, reasons)
    if log_value > _OVERFLOW:
        return Entry(float("inf"), log_value, order, joined("overflow", reason))
    if -np.inf < log_value < _VANISH:
        return Entry(0.0, log_value, order, joined("vanished", reason))
    return Entry(float(np.exp(log_value)), log_value, order, reason, 0.0 if exact else float("nan"))


def number(values: Array, exact: bool, reasons: tuple[str, ...], note: str = "") -> Entry:
    """Return the mean over inputs of `values`, which may have any sign."""
    value = float(np.mean(values)) if np.isfinite(values).all() else float("nan")
    order, reason = label(exact, reasons)
    if np.isnan(values).any():
        return unpredicted(note or "moments of the activation are not available here")
    if np.isinf(values).any():
        return Entry(float(values[np.isinf(values)][0]), float("nan"), order, joined("overflow", reason))
    return Entry(value, float("nan"), order, reason, 0.0 if exact else float("nan"))
