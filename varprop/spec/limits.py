"""How much a spec may ask for. Sizes are checked before anything of that size is made or read."""

from __future__ import annotations

import math
import os
import stat
from pathlib import Path
from typing import BinaryIO

from varprop._validation import InputError, described

MOST_NUMBERS = 50_000_000
"""Of an input, of all made inputs of a study together, and of a head's targets: 400 MB as float64."""

LARGEST_SEED = 2**63 - 1
"""Of made inputs, as of a study."""

MOST_BYTES = {"data": 2**30, "study": 64 * 2**20}
"""Of a file, by what it holds."""


def check_count(field: str, what: str, *sizes: int) -> None:
    """Raise `InputError` if an array of these `sizes` has more than `MOST_NUMBERS` numbers.

    Examples
    --------
    >>> check_count("input", "inputs × examples", 1000, 1_000_000)
    Traceback (most recent call last):
    ...
    varprop._validation.InputError: input: 1000 × 1000000 inputs × examples is not allowed; expected at most ...
    """
    if math.prod(sizes) > MOST_NUMBERS:
        found = described(f"{' × '.join(map(str, sizes))} {what}")
        raise InputError(field, found, f"at most {MOST_NUMBERS:,} numbers in all")


def open_regular(path: str | os.PathLike[str], field: str, kind: str) -> BinaryIO:
    """Open a regular file of at most `MOST_BYTES` for reading.

    Pipes and devices are refused: they may never end, or never begin.

    Raises
    ------
    InputError
        If it is no such file, too large, or cannot be opened.
    """
    place, shown = Path(path), described(repr(str(path)))
    try:
        # Without waiting for somebody to write into a pipe.
        descriptor = os.open(place, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        raise InputError(field, shown, "a file that exists") from None
    except OSError as error:
        raise InputError(field, shown, f"a file that can be read ({error.strerror})") from None
    except ValueError:  # a NUL
        raise InputError(field, shown, "the path of a file") from None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise InputError(field, shown, "a file that can be read, not a folder, pipe or device")
        if found.st_size > MOST_BYTES[kind]:
            large = described(f"{str(path)[-100:]!r} of {found.st_size:,} bytes")
            raise InputError(field, large, f"a {kind} file of at most {MOST_BYTES[kind]:,} bytes")
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise
