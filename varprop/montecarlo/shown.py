"""How far a run is, in words, and a line that keeps saying it in a terminal or a notebook."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from varprop._validation import InputError

if TYPE_CHECKING:
    from varprop.montecarlo.progress import Report

Asked = bool | Callable[["Report"], None] | None
"""What ``progress=`` may be: a callable of one's own, True for a line on standard error, False or None for nothing."""

EVERY = 0.2
"""Seconds between two lines, at least: notebooks keep what is written to them."""

_WIDTH = 100


def words(state: Report) -> str:
    """Return what is known of a run's progress, without the share that is done.

    Examples
    --------
    >>> from varprop.montecarlo.progress import Report
    >>> words(Report("he_normal · relu", 3, 9, 0.4, 1.0, 2.4, look=3, open_rows=41, longest=30.2))
    '2 s left to look 3, 30 s at most, 41 rows open, he_normal · relu'
    """
    parts = []
    if state.remaining is not None:
        parts.append(f"{state.remaining:.0f} s left" + (f" to look {state.look}" if state.look else ""))
    if state.longest is not None:
        parts.append(f"{state.longest:.0f} s at most")
    if state.open_rows is not None:
        parts.append(f"{state.open_rows:,} rows open")
    case = state.case if len(state.case) <= _WIDTH // 2 else state.case[: _WIDTH // 2 - 1] + "…"
    return ", ".join([*parts, case])


@contextmanager
def shown(progress: Asked, stream: TextIO | None = None) -> Iterator[Callable[[Report], None] | None]:
    """Lend the callable that a run is to tell how far it is, None if nobody wants to know.

    Parameters
    ----------
    progress : bool, callable or None
        With True, one line on `stream` that is written anew every `EVERY` seconds.
    stream : text file, optional
        Standard error if not given; in a notebook that is the cell's output.

    Raises
    ------
    InputError
        If `progress` is something else.
    """
    if progress is None or progress is False:
        yield None
    elif progress is True:
        line = _Line(sys.stderr if stream is None else stream)
        try:
            yield line
        finally:
            line.end()
    elif callable(progress):
        yield progress
    else:
        raise InputError("progress", progress, "True, False or a function of one report")


class _Line:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._next = 0.0
        self._length = 0

    def __call__(self, state: Report) -> None:
        now = time.monotonic()
        if now < self._next and state.fraction < 1.0:
            return
        self._next = now + EVERY
        text = f"{100 * state.fraction:3.0f} %  {words(state)}"[:_WIDTH]
        self._write("\r" + text.ljust(self._length))
        self._length = len(text)

    def end(self) -> None:
        """Leave an empty line for what comes next."""
        if self._length:
            self._write("\r" + " " * self._length + "\r")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
