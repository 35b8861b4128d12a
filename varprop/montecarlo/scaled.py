"""Numbers with a binary exponent beside them, for what leaves the range of a double.

A deep network multiplies its gradient by the same factor in every layer, so its square can leave the range
1e-308 … 1e308. Such a number is kept as ``value · 2**exponent`` with a whole-number exponent; scaling by powers
of two is exact.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

Power = Array | int
"""Binary exponents, one per draw; the number 0 where no draw has one."""

LOG_TWO = math.log(2.0)
# Any exponent beyond this is shifted to 0 or infinity by `ldexp` at once; it keeps the argument within 32 bits.
_FAR = 1 << 20


def shifted(value: Array, exponent: Power) -> Array:
    """Return ``value · 2**exponent``, with 0 or infinity where that leaves the range.

    Examples
    --------
    >>> import numpy as np
    >>> shifted(np.array([1.5, 1.0]), np.array([1, -5000])).tolist()
    [3.0, 0.0]
    """
    if isinstance(exponent, int) and exponent == 0:
        return value
    power = np.minimum(np.maximum(exponent, -_FAR), _FAR).astype(np.int32)
    with np.errstate(over="ignore", under="ignore"):
        result: Array = np.ldexp(value, power)
    return result


def along(power: Power, dimensions: int) -> Power:
    """Return per-draw exponents in a shape that goes with arrays of so many dimensions, draws first."""
    return power if isinstance(power, int) else power.reshape(-1, *(1,) * (dimensions - 1))


def normalized(value: Array, exponent: Power) -> tuple[Array, Array]:
    """Return the same numbers with magnitudes in [1/2, 1); 0 and what is not finite get exponent 0."""
    mantissa, own = np.frexp(value)
    usable = np.isfinite(value) & (mantissa != 0)
    return mantissa, np.where(usable, own.astype(np.int64) + exponent, 0)


def logarithm(value: Array, exponent: Power) -> Array:
    """Return the natural logarithm of ``|value| · 2**exponent`` (minus infinity for 0)."""
    with np.errstate(divide="ignore"):
        result: Array = np.log(np.abs(value)) + LOG_TWO * np.asarray(exponent)
    return result
