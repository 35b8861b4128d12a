"""Widths in short: ``1000,500x10,10`` is 1000, then ten layers of 500, then 10."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import groupby, islice

from varprop._validation import InputError, check_integer, described

WIDEST = 100_000_000
DEEPEST = 100_000

Widths = int | str | Sequence[int]


def parse_widths(widths: Widths, field: str = "widths") -> tuple[int, ...]:
    """Return the widths of the weight layers, in order.

    Parameters
    ----------
    widths : int, str or sequence of int
        ``"500x10,10"``, ``[500, 500, 10]`` or one width.

    Raises
    ------
    InputError
        If it is empty, malformed, or a width is no whole number between 1 and 100,000,000.

    Examples
    --------
    >>> parse_widths("1000,500x3,10")
    (1000, 500, 500, 500, 10)
    >>> parse_widths([30, 10])
    (30, 10)
    """
    if isinstance(widths, str):
        return _parsed_text(widths, field)
    if not isinstance(widths, Iterable) or getattr(widths, "ndim", 1) == 0:
        return (check_width(field, widths),)
    listed = list(islice(widths, DEEPEST + 1))
    if not 1 <= len(listed) <= DEEPEST:
        found = f"{len(listed)} layers" if len(listed) <= DEEPEST else f"more than {DEEPEST} layers"
        raise InputError(field, described(found), f"1 to {DEEPEST} layers")
    return tuple(check_width(f"{field}[{i}]", w) for i, w in enumerate(listed))


def check_width(field: str, width: object) -> int:
    """Return `width` if it is a whole number between 1 and 100,000,000."""
    return check_integer(field, width, minimum=1, maximum=WIDEST)


def spell_widths(widths: Sequence[int]) -> str:
    """Return the short spelling, the inverse of `parse_widths`.

    Examples
    --------
    >>> spell_widths([500, 500, 10])
    '500x2,10'
    """
    runs = [(width, len(list(run))) for width, run in groupby(widths)]
    return ",".join(str(width) if count == 1 else f"{width}x{count}" for width, count in runs)


def _parsed_text(text: str, field: str) -> tuple[int, ...]:
    allowed = "widths such as 1000,500x10,10 (500x10: ten layers of 500)"
    if len(text) > 20 * DEEPEST:  # more than so many layers can take
        raise InputError(field, described(f"a text of {len(text)} characters"), allowed)
    found: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,12})\s*(?:[x×]\s*(\d{1,12})\s*)?", part, re.ASCII)
        if match is None:
            raise InputError(field, text, allowed)
        width = check_width(field, int(match[1]))
        count = check_integer(field, int(match[2] or 1), minimum=1, maximum=DEEPEST - len(found))
        found += [width] * count
    return tuple(found)
