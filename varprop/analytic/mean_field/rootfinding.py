"""Root finding over functions that may be out of reach at some points."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from varprop._validation import InputError

Array = NDArray[np.float64]


def evaluate(function: Callable[[Array], Array], grid: Array) -> Array:
    """Evaluate `function` on a whole grid at once; NaN at the points where it refuses to answer."""
    try:
        return np.asarray(function(grid), dtype=float)
    except InputError:
        return np.array([_value_or_nan(function, x) for x in grid])


def _value_or_nan(function: Callable[[Array], Array], x: float) -> float:
    try:
        return float(function(np.asarray(x)))
    except InputError:
        return float("nan")


def root_between(function: Callable[[float], float], left: float, right: float) -> float:
    """Return the root between two points at which a coarser evaluation changed sign.

    Within rounding of zero the finer evaluation may not change sign: the smaller end is the root then.
    """
    low, high = function(left), function(right)
    if low * high >= 0:
        return left if abs(low) <= abs(high) else right
    return float(brentq(function, left, right, xtol=1e-15, rtol=1e-15))
