"""One grammar and one table for everything that has a name.

A spelling is ``name`` or ``name(key=value, …)``; it is parsed here and never evaluated. The same spelling
serves in Python, in TOML and on the command line.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from varprop._validation import InputError, close_match

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])
Value = bool | int | float | str

_SPELLING = re.compile(r"\s*(?P<name>[A-Za-z][\w.]*)\s*(?:\((?P<arguments>[^()]*)\))?\s*", re.ASCII)
_ARGUMENT = re.compile(r"\s*(?P<key>[A-Za-z]\w*)\s*=\s*(?P<value>[^,=\s]+)\s*", re.ASCII)
_WORD = re.compile(r"[A-Za-z]\w*", re.ASCII)
_LONGEST = 1000


def parse_spelling(text: str, field: str = "name") -> tuple[str, dict[str, Value]]:
    """Parse ``name(key=value, …)`` into the name and its arguments.

    Values are whole numbers, real numbers, ``true``/``false`` or bare words.

    Raises
    ------
    InputError
        If `text` does not follow the grammar, repeats a key, or has a NaN or infinite number.

    Examples
    --------
    >>> parse_spelling("leaky_relu(slope=0.2)")
    ('leaky_relu', {'slope': 0.2})
    >>> parse_spelling("he_normal(mode=fan_out)")
    ('he_normal', {'mode': 'fan_out'})
    """
    match = _SPELLING.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None:
        raise InputError(field, text, "name or name(key=value, …)")
    arguments: dict[str, Value] = {}
    listed = match["arguments"]
    for part in listed.split(",") if listed and listed.strip() else []:
        pair = _ARGUMENT.fullmatch(part)
        if pair is None or pair["key"] in arguments:
            raise InputError(field, text, "name(key=value, …), each key once")
        arguments[pair["key"]] = _parse_value(pair["value"], f"{field}.{pair['key']}")
    return match["name"], arguments


def spell(name: str, arguments: Mapping[str, Value]) -> str:
    """Return the canonical spelling, the inverse of `parse_spelling`.

    Examples
    --------
    >>> spell("normal", {"std": 0.01})
    'normal(std=0.01)'
    >>> spell("relu", {})
    'relu'
    """
    listed = ", ".join(f"{k}={_spell_value(v)}" for k, v in arguments.items())
    return f"{name}({listed})" if listed else name


def _parse_value(text: str, field: str) -> Value:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return int(text)
    except ValueError:
        pass
    try:
        number = float(text)
    except ValueError:
        if _WORD.fullmatch(text):
            return text
        raise InputError(field, text, "a number, true, false or a word") from None
    if not math.isfinite(number):
        raise InputError(field, text, "a finite number")
    return number


def _spell_value(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, float) else str(value)


class Registry(Mapping[str, Callable[..., T]], Generic[T]):
    """A table from name to factory; the only place where a name is looked up.

    A factory takes keyword arguments only, all with defaults unless truly required, checks their values
    (raising `InputError`) and returns the object. Its signature *is* the list of allowed keys.

    Parameters
    ----------
    kind : str
        What the table holds, for messages (``"activation"``).
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._factories: dict[str, Callable[..., T]] = {}

    def register(self, name: str, *aliases: str) -> Callable[[F], F]:
        """Enter the decorated factory, which returns a T, under `name` and its `aliases`."""

        def enter(factory: F) -> F:
            for key in (name, *aliases):
                if key in self._factories:
                    raise RuntimeError(f"{self.kind} {key!r} is registered twice")
                self._factories[key] = factory
            return factory

        return enter

    def make(self, text: str, field: str | None = None) -> T:
        """Build the object that the spelling `text` names.

        Raises
        ------
        InputError
            Unknown name (with the close match), unknown or missing key, value refused by the factory.
        """
        field = field or self.kind
        name, arguments = parse_spelling(text, field)
        return self.build(name, arguments, field)

    def build(self, name: str, arguments: Mapping[str, Any], field: str) -> T:
        """Build the object `name` from `arguments` that are parsed already, as those of a TOML table are.

        Raises
        ------
        InputError
            As `make`.
        """
        if name not in self._factories:
            raise InputError(field, name, close_match(name, self._factories))
        factory = self._factories[name]
        parameters = inspect.signature(factory).parameters
        for key in arguments:
            if key not in parameters:
                keys = close_match(key, parameters) if parameters else "no argument"
                raise InputError(f"{field}.{key}", arguments[key], f"{keys} for {name}")
        for key, parameter in parameters.items():
            if parameter.default is inspect.Parameter.empty and key not in arguments:
                raise InputError(field, spell(name, arguments), f"{name}({key}=…)")
        try:
            return factory(**arguments)
        except InputError as error:
            raise error.under(field) from None

    def __getitem__(self, name: str) -> Callable[..., T]:
        return self._factories[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._factories)

    def __len__(self) -> int:
        return len(self._factories)
