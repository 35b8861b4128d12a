"""How numbers are written for readers."""

from __future__ import annotations

import math


def number(value: float, digits: int = 4) -> str:
    """Return `value` with `digits` significant digits; an en dash where there is none.

    Examples
    --------
    >>> number(501.0), number(1.5), number(3.25e-9), number(0.0), number(math.nan)
    ('501', '1.5', '3.25e-09', '0', '–')
    """
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:.{digits}g}"


def beyond(value: float, log_value: float) -> str:
    """Return `value`, or the power of ten that `log_value` carries where a float cannot hold it.

    Examples
    --------
    >>> beyond(0.0, -1000.0)
    '10^-434.3'
    """
    outside = value == 0 or math.isinf(value)
    if outside and math.isfinite(log_value):
        return f"10^{log_value / math.log(10):.1f}"
    return number(value)


def percent(fraction: float) -> str:
    """Return a fraction as a percentage that does not pretend to be 0 or 100.

    Examples
    --------
    >>> percent(0.837), percent(0.00018), percent(0.0), percent(0.9999)
    ('84 %', '0.018 %', '0 %', '99.99 %')
    """
    if math.isnan(fraction):
        return "–"
    share = 100 * fraction
    if share in (0.0, 100.0):
        return f"{share:.0f} %"
    if 99.5 <= share < 100:
        return f"{share:.4g} %" if share < 99.995 else "over 99.99 %"
    return f"{share:.0f} %" if share >= 10 else f"{share:.2g} %"


def spelled_range(bounds: tuple[int, int], noun: str) -> str:
    """Return a count, or the least and the greatest one, with the noun.

    Examples
    --------
    >>> spelled_range((200, 200), "time"), spelled_range((50, 1600), "draw")
    ('200 times', '50 to 1,600 draws')
    """
    low, high = bounds
    return counted(high, noun) if low == high else f"{low:,} to {counted(high, noun)}"


def counted(count: int, noun: str) -> str:
    """Return the count with its noun, in the plural where it belongs.

    Examples
    --------
    >>> counted(1, "row"), counted(12000, "draw")
    ('1 row', '12,000 draws')
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
