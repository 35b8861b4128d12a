"""A law under a gain: every weight multiplied by one positive number."""

from __future__ import annotations

from dataclasses import replace

from varprop.initializers import Law
from varprop.initializers.laws import check_size

_POWERS = {
    **dict.fromkeys(("value", "mean", "std", "low", "high", "location", "scale", "gain"), 1),
    "mean_square": 2,
    **dict.fromkeys(("sparsity", "groups"), 0),
}


def with_gain(law: Law, gain: float) -> Law:
    """Return the law of ``gain`` times a weight that follows `law`.

    Kurtosis and flags do not change under a positive factor.

    Raises
    ------
    InputError
        If the product leaves the range in which squares can be held.
    """
    if gain == 1.0:
        return law
    check_size("gain", gain * max(law.std, abs(law.mean)))
    # The parameters of a law of the user's own mean nothing here; its sampler is scaled instead.
    powers = _POWERS if law.own is None else {}
    return replace(
        law,
        mean=gain * law.mean,
        variance=gain**2 * law.variance,
        parameters=tuple(
            (name, value * gain ** powers[name]) for name, value in law.parameters if name in powers
        ),
        sampler=None if law.own is None else law.own.scaled(gain),
    )
