"""E f(z) for any f, with an error estimate and a refusal where the accuracy cannot be reached."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from varprop._validation import InputError, described
from varprop.moments.panels import integrate, resolve
from varprop.moments.rule import Array

ACCURACY = 1e-12


def expectation(
    f: Callable[[Any], Any],
    variance: npt.ArrayLike,
    mean: npt.ArrayLike = 0.0,
    kinks: Sequence[float] = (),
    *,
    floor: float = 1e-3,
) -> Any:
    """Return E f(z) for z ~ N(mean, variance) to about 1e-12.

    Parameters
    ----------
    f : callable
        Vectorised, from an array to an array of its shape.
    variance, mean : array_like
        Broadcast together; variance 0 gives f(mean) itself.
    kinks : sequence of float
        Where f is not smooth. An undeclared kink costs time, not accuracy.
    floor : float
        The error may reach 1e-12 of E f or of `floor` times E \\|f\\|, whichever is larger.

    Raises
    ------
    InputError
        Where quadrature cannot reach that: f oscillates too fast, the moment diverges, f is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> round(float(expectation(np.abs, 1.0, kinks=(0.0,)) * np.sqrt(np.pi / 2)), 14)
    1.0
    """
    q, m = gaussian_arguments(variance, mean)
    flat_q, flat_m = q.ravel(), m.ravel()
    result = np.empty(flat_q.shape)
    point = flat_q == 0
    if point.any():
        result[point] = f(flat_m[point])
    if not point.all():
        qs, ms = flat_q[~point], flat_m[~point]
        panels = resolve(lambda z: np.asarray(f(z))[None], qs, ms, kinks)
        values, sizes = integrate(lambda z: np.asarray(f(z))[None], panels, qs, ms)
        check_reached("expectation", values[0], sizes[0], panels.error[0], floor, qs)
        result[~point] = values[0]
    return result.reshape(q.shape)[()]


def check_reached(what: str, value: Array, size: Array, error: Array, floor: float, q: Array) -> None:
    """Raise `InputError` unless estimated and rounding errors are within `ACCURACY`.

    Rounding errors of some hundred terms are taken as a quarter of the unit roundoff of the sum of sizes. A
    sum of exactly 0 is a symmetry, not a coincidence.
    """
    with np.errstate(invalid="ignore"):
        allowed = ACCURACY * np.maximum(np.abs(value), floor * size)
        doubtful = (error + 0.25 * np.finfo(float).eps * size > allowed) & (value != 0)
    doubtful |= ~np.isfinite(error) & (size != 0)
    if doubtful.any():
        worst = float(q[np.argmax(doubtful)])
        raise InputError(
            "variance",
            described(f"{worst:g} for {what}"),
            "a variance at which quadrature reaches 1e-12: here the function oscillates too fast, its parts "
            "cancel, or the moment diverges",
        )


def check_known(field: str, what: str, value: Array, q: Array) -> None:
    """Raise `InputError` where a closed form took infinity from infinity at extreme sizes."""
    lost = np.isnan(value)
    if lost.any():
        found = described(f"{float(q[np.argmax(lost)]):g} for {what}")
        raise InputError(field, found, "variances and means whose powers stay in double precision")


LARGEST = 1e100
"""Largest variance and mean: squares of what an activation makes of them stay in double precision."""


def gaussian_arguments(variance: npt.ArrayLike, mean: npt.ArrayLike) -> tuple[Array, Array]:
    """Return variance and mean as float64 arrays of one shape; refuse what is out of range."""
    try:
        q, m = np.asarray(variance, dtype=np.float64), np.asarray(mean, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise InputError("variance", variance, "numbers of at least 0, mean and variance alike") from None
    sound = (q >= 0) & (q <= LARGEST)
    if not sound.all():
        raise InputError(
            "variance", float(q[~sound].ravel()[0]), f"a number of at least 0 and at most {LARGEST:g}"
        )
    sound = np.abs(m) <= LARGEST
    if not sound.all():
        raise InputError("mean", float(m[~sound].ravel()[0]), f"a number of size at most {LARGEST:g}")
    try:
        q, m = np.broadcast_arrays(q, m)
    except ValueError:
        raise InputError("mean", described(f"shape {m.shape}"), f"a shape that fits {q.shape}") from None
    return q, m
