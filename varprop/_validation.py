"""Bad input gets one clear line: the field, the value, what is allowed.

Every check of the package raises `InputError`; the command line turns it into exit code 2. Values are
shown by `show`, which keeps a hostile name (5000 letters, control characters) to one harmless line.
"""

from __future__ import annotations

import difflib
import math
import numbers
from collections.abc import Collection, Iterable
from typing import Any


class InputError(ValueError):
    """Input that varprop cannot accept.

    Parameters
    ----------
    field : str
        Path of the offending field, e.g. ``"network.layers[2].width"``.
    value : object
        What was given.
    allowed : str
        What would have been accepted, as a phrase.

    Examples
    --------
    >>> raise InputError("draws", 0, "a whole number of at least 1")
    Traceback (most recent call last):
    ...
    varprop._validation.InputError: draws: 0 is not allowed; expected a whole number of at least 1
    """

    def __init__(self, field: str, value: object, allowed: str) -> None:
        self.field = field
        self.value = value
        self.allowed = allowed
        # Fields and phrases quote keys and headers of files, so they are made harmless as the value is.
        super().__init__(f"{cut(field, 120)}: {show(value)} is not allowed; expected {cut(allowed, 360)}")

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions are pickled by their message alone; that does not fit our signature, and pools need it.
        return (type(self), (self.field, self.value, self.allowed))

    def under(self, prefix: str) -> InputError:
        """Return the same complaint with `prefix` put before its field path."""
        joint = "" if self.field.startswith("[") else "."
        return InputError(f"{prefix}{joint}{self.field}", self.value, self.allowed)


def show(value: object, limit: int = 60) -> str:
    """Return `value` as one short printable line (control characters escaped, long text cut)."""
    if isinstance(value, _Literal):  # our own words, with the place of the fault at their end
        text, limit = str(value), max(limit, 240)
    else:
        text = _printed(value)
    text = printable(text)
    return text if len(text) <= limit else f"{text[: limit - 1]}… ({len(text)} characters)"


def printable(text: str) -> str:
    r"""Return `text` as one line in which every unprintable character (an escape, a change of direction) is spelled.

    Examples
    --------
    >>> print(printable("red\x1b[31m"), printable("a\u202eb"))
    red\x1b[31m a\u202eb
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else _spelled(c) for c in text)


def cut(text: str, limit: int) -> str:
    """Return `printable` text of at most `limit` characters, cut in the middle.

    Examples
    --------
    >>> cut("abcdefghij", limit=7)
    'abc…hij'
    """
    # Spelling can only lengthen, so what lies beyond the limit at both ends is never needed.
    line = printable(text if len(text) <= 2 * limit else f"{text[:limit]}…{text[-limit:]}")
    if len(line) <= limit:
        return line
    tail = (limit - 1) // 2
    return f"{line[: limit - 1 - tail]}…{line[len(line) - tail :]}"


def _spelled(character: str) -> str:
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _printed(value: object) -> str:
    """Return ``repr(value)``, or what kind of value it is where Python cannot print it."""
    try:
        return repr(value)
    except Exception:  # a whole number of over 4300 digits; a repr of the caller's own
        if isinstance(value, int):
            return f"a whole number of about {int(value.bit_length() * math.log10(2)) + 1} digits"
        return f"a {type(value).__name__} that cannot be printed"


class _Literal(str):
    """Text that `show` prints as it stands, without quotes."""


def described(text: str) -> str:
    """Mark `text` as a description of a value rather than the value itself, for `InputError`."""
    return _Literal(text)


def close_match(name: str, options: Iterable[str], limit: int = 12) -> str:
    """Phrase the options for an unknown `name`: the close match first, then the choices."""
    options = list(options)
    # A file may have a million columns, each with a name of any length.
    near = difflib.get_close_matches(name[:80], [o for o in options[:1000] if len(o) <= 200], n=1, cutoff=0.6)
    listed = ", ".join(cut(option, 40) for option in options[:limit]) + (
        ", …" if len(options) > limit else ""
    )
    return f"{show(near[0])} (did you mean that?) or one of {listed}" if near else f"one of {listed}"


def check_one_of(field: str, value: object, options: Collection[str]) -> str:
    """Return `value` if it is one of `options`; raise `InputError` with the close match otherwise."""
    if isinstance(value, str) and value in options:
        return value
    raise InputError(field, value, close_match(value if isinstance(value, str) else "", options))


def check_flag(field: str, value: object) -> bool:
    """Return `value` if it is true or false; other things, words and numbers among them, are refused.

    Examples
    --------
    >>> check_flag("causal", True)
    True
    """
    if isinstance(value, bool):
        return value
    raise InputError(field, value, "true or false")


def check_integer(
    field: str, value: object, *, minimum: int | None = None, maximum: int | None = None
) -> int:
    """Return `value` as an int within bounds; bool and float are refused, NumPy integers are welcome."""
    bounds = f" of at least {minimum}" if minimum is not None else ""
    bounds += f" and at most {maximum}" if maximum is not None else ""
    ok = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not ok or (minimum is not None and value < minimum) or (maximum is not None and value > maximum):  # type: ignore[operator]
        raise InputError(field, value, f"a whole number{bounds}")
    return int(value)  # type: ignore[call-overload, no-any-return]


def check_real(
    field: str,
    value: object,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    exclusive: bool = False,
) -> float:
    """Return `value` as a finite float within bounds (`exclusive` bars the bounds themselves)."""
    word = ("more than", "less than") if exclusive else ("at least", "at most")
    bounds = " and".join(
        f" {w} {b:g}" for w, b in zip(word, (minimum, maximum), strict=True) if b is not None
    )
    allowed = "a finite number" + (f" of{bounds}" if bounds else "")
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise InputError(field, value, allowed)
    try:
        number = float(value)
    except OverflowError:  # a whole number of more than 308 digits
        number = math.inf
    if not math.isfinite(number):
        raise InputError(field, value, allowed)
    below = minimum is not None and (number <= minimum if exclusive else number < minimum)
    above = maximum is not None and (number >= maximum if exclusive else number > maximum)
    if below or above:
        raise InputError(field, value, allowed)
    return number
