"""Activations made from a user's callable."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from varprop._validation import InputError, check_real, close_match, described, show
from varprop.activations.base import Activation, Array
from varprop.activations.differences import Differences, find_kinks


@dataclass(frozen=True)
class Recipe:
    """What a custom activation was made from: its identity, and how to make it again in another process."""

    function: Callable[..., Any]
    derivative: Callable[..., Any] | None
    kinks: tuple[float, ...]
    inactive: tuple[tuple[float, float], ...]
    name: str

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
        except InputError:
            raise
        except Exception as error:  # whatever a stranger's function raises becomes one clear line
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
    probe = np.linspace(-3.0, 3.0, 12)
    for z in (probe, probe.astype(np.float32), probe.reshape(3, 4)):
        value(z)
        if derivative is not None:
            Checked(derivative, "derivative", name)(z)
    if kinks is None:
        places = find_kinks(value.unchecked)
    else:
        places = tuple(sorted({check_real(f"kinks[{i}]", k) for i, k in enumerate(kinks)}))
    return Recipe(function, derivative, places, _intervals(inactive), name).build()


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


def import_function(path: str, field: str) -> Callable[..., Any]:
    """Import ``"package.module:function"``.

    Raises
    ------
    InputError
        If the module cannot be imported or has no such callable.
    """
    module_name, _, attribute = path.partition(":")
    parts = [*module_name.split("."), *attribute.split(".")]
    if not all(part.isidentifier() for part in parts) or len(path) > 1000:
        raise InputError(field, path, "package.module:function")
    try:
        found: Any = importlib.import_module(module_name)
    except Exception as error:  # a stranger's module may raise anything while it is imported
        reason = f"{type(error).__name__}: {show(str(error))}"
        raise InputError(field, path, f"a module that can be imported ({reason})") from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise InputError(field, path, close_match(part, [n for n in dir(found) if not n.startswith("_")]))
        found = getattr(found, part)
    if not callable(found):
        raise InputError(field, path, "a callable")
    return found  # type: ignore[no-any-return]
