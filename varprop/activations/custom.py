"""Activations made from a user's callable."""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from varprop._code import import_named
from varprop._identity import identity
from varprop._validation import InputError, check_real, described, show
from varprop.activations.base import Activation, Array
from varprop.activations.differences import Differences, find_kinks


@dataclass(frozen=True, eq=False)
class Recipe:
    """What a custom activation was made from, and how to make it again in another process.

    Two recipes are equal if their parts are and their functions do the same: see `varprop._identity`.

    Attributes
    ----------
    function, derivative : callable
    kinks, inactive : tuple
    name : str
    made_as : str
        Identity of the functions when the activation was made; empty if it cannot be read.
    """

    function: Callable[..., Any]
    derivative: Callable[..., Any] | None
    kinks: tuple[float, ...]
    inactive: tuple[tuple[float, float], ...]
    name: str
    made_as: str = ""

    def digest(self) -> str:
        """Return the SHA-256 of everything that decides the activation's values.

        Raises
        ------
        InputError
            If the function cannot be told apart from others, or does something else than when the activation
            was made (a global it refers to has changed): tables worked out from it are then no longer right.
        """
        self.check_unchanged()
        now = self.made_as or identity(self.parts(), "activation")
        return identity((now, self.kinks, self.inactive))

    def parts(self) -> tuple[object, ...]:
        """Return the functions it was made from."""
        return self.function, self.derivative

    def check_unchanged(self) -> None:
        """Raise `InputError` if its functions do something else than when the activation was made."""
        if self.made_as and self.made_as != identity(self.parts(), "activation"):
            found = described(f"{show(self.name)}, which has changed since the activation was made")
            raise InputError("activation", found, "an activation made anew from the changed function")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Recipe):
            return NotImplemented
        if self.made_as and other.made_as:
            same = self.made_as == other.made_as
        else:
            same = self.function is other.function and self.derivative is other.derivative
        return same and (self.name, self.kinks, self.inactive) == (other.name, other.kinks, other.inactive)

    def __hash__(self) -> int:
        return hash((self.name, self.kinks, self.inactive))

    def build(self) -> Activation:
        """Return the activation."""
        value = Checked(self.function, "activation", self.name)
        slope: Callable[[Array], Array] = (
            Checked(self.derivative, "derivative", self.name)
            if self.derivative is not None
            else Differences(value, self.kinks, raw=value.unchecked)
        )
        return Activation(
            self.name,
            value,
            slope,
            self.kinks,
            self.inactive,
            origin=self,
            exact_derivative=self.derivative is not None,
        )


class Checked:
    """A user's callable whose every answer is checked: shape, floating dtype, finite values.

    An answer in another floating dtype (a float64 for a float32) is cast to the input's.
    """

    def __init__(self, function: Callable[..., Any], field: str, name: str) -> None:
        self.function, self.field, self.name = function, field, name

    def unchecked(self, z: Array) -> Array:
        """Return the function at `z`, finite or not."""
        with np.errstate(all="ignore"):
            return np.asarray(self.function(z))

    def __call__(self, z: Array) -> Array:
        """Return the function at `z`, or raise `InputError` in one line."""
        try:
            with np.errstate(all="ignore"):
                answer = np.asarray(self.function(z))
        except (InputError, KeyboardInterrupt):
            raise
        except (
            BaseException
        ) as error:  # whatever a stranger's function raises, an exit included, is one clear line
            problem = described(f"{show(self.name)} raising {type(error).__name__}: {show(str(error))}")
            raise InputError(self.field, problem, "a function of an array that does not raise") from error
        if answer.shape != z.shape:
            problem = described(f"{show(self.name)} returning shape {answer.shape} for shape {z.shape}")
            raise InputError(self.field, problem, "a result of the input's shape")
        if not np.issubdtype(answer.dtype, np.floating):
            problem = described(f"{show(self.name)} returning dtype {answer.dtype}")
            raise InputError(self.field, problem, "real floating-point numbers")
        if not np.isfinite(answer).all():
            at = z[~np.isfinite(answer)].ravel()[0]
            problem = described(f"{show(self.name)} not finite at z = {at:g}")
            raise InputError(self.field, problem, "finite values")
        return answer.astype(z.dtype, copy=False)


def custom(
    function: Callable[..., Any],
    derivative: Callable[..., Any] | None,
    kinks: Sequence[float] | None,
    inactive: Sequence[tuple[float, float]],
    name: str | None,
) -> Activation:
    """Check the parts and build the activation."""
    if name is None:
        module = getattr(function, "__module__", None) or "numpy"
        name = f"{module}:{getattr(function, '__qualname__', getattr(function, '__name__', 'function'))}"
    if not isinstance(name, str) or not name:
        raise InputError("activation.name", name, "a non-empty text")
    if derivative is not None and not callable(derivative):
        raise InputError("derivative", derivative, "a callable or 'package.module:function'")
    value = Checked(function, "activation", name)
    _check_elementwise(value)
    if derivative is not None:
        _check_elementwise(Checked(derivative, "derivative", name))
    if kinks is None:
        places = find_kinks(value.unchecked)
    else:
        places = tuple(sorted({check_real(f"kinks[{i}]", k) for i, k in enumerate(kinks)}))
    return Recipe(
        function, derivative, places, _intervals(inactive), name, _made_as(function, derivative)
    ).build()


def _made_as(function: Callable[..., Any], derivative: Callable[..., Any] | None) -> str:
    try:
        return identity((function, derivative), "activation")
    except InputError:  # only what needs the identity refuses a function without one
        return ""


def _intervals(inactive: Sequence[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    intervals = []
    for i, pair in enumerate(inactive):
        try:
            low, high = (float(end) for end in pair)
        except (TypeError, ValueError):
            raise InputError(f"inactive[{i}]", pair, "a pair (low, high) of numbers") from None
        if math.isnan(low) or math.isnan(high) or low > high:
            raise InputError(f"inactive[{i}]", pair, "low <= high")
        intervals.append((low, high))
    return tuple(intervals)


def _check_elementwise(function: Checked) -> None:
    """Refuse what is no function of one number: softmax, a normalization, a running sum, noise."""
    probe = np.linspace(-3.0, 3.0, 12)
    answer = function(probe)
    function(probe.astype(np.float32))
    scale = float(np.abs(answer).max()) or 1.0
    # Other places in the array, another neighbourhood, another shape; vectorised loops round their ends differently.
    for given, expected in (
        (probe[::-1], answer[::-1]),
        (probe[4:9], answer[4:9]),
        (probe.reshape(3, 4), answer.reshape(3, 4)),
    ):
        if np.abs(function(given) - expected).max() > 1e-9 * scale:
            problem = described(
                f"{show(function.name)}, whose value at a number depends on more than that number"
            )
            raise InputError(function.field, problem, "a function that acts on each number alone")


def import_function(path: str, field: str) -> Callable[..., Any]:
    """Import ``"package.module:function"``.

    Raises
    ------
    InputError
        If code is not permitted, the module cannot be imported or has no such callable; also for a class and
        for what belongs to Python itself (``os:system``, ``sys:exit``), none of which is an activation.
    """
    found = import_named(path, field)
    if isinstance(found, Activation):
        return found
    if not callable(found) or isinstance(found, type):
        raise InputError(field, path, "a callable that maps an array to an array")
    bare = found
    while isinstance(bare, functools.partial):
        bare = bare.func
    home = getattr(bare, "__module__", None) or type(bare).__module__
    if home.split(".")[0] in sys.stdlib_module_names and home != "__main__":
        raise InputError(field, path, f"a function of an array, not one of Python's own module {home}")
    return found  # type: ignore[no-any-return]
