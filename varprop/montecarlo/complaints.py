"""What SQLite's complaints mean for a store."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from varprop._validation import InputError

APPLICATION_ID = 0x76707270
"""Stands in the file's header ("vprp") and tells a store from other SQLite files."""

_BUSY = "a store that no other run is using; wait for that one, or choose another file"
_FULL = "a disk with room left; what was finished is intact, resume when there is room"

_PHRASES = {
    sqlite3.SQLITE_BUSY: _BUSY,
    sqlite3.SQLITE_LOCKED: _BUSY,
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_IOERR: "a disk that can be written; what was finished is intact, resume when it can",
    sqlite3.SQLITE_READONLY: "a file that can be written; what is in it is intact",
    sqlite3.SQLITE_CANTOPEN: "a place where files can be written",
    sqlite3.SQLITE_CORRUPT: "an undamaged block store; this one cannot be read, choose another file",
    sqlite3.SQLITE_NOTADB: "a block store of varprop, or a new file",
}


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what SQLite says into one line about the store."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise InputError(
            "store", str(path), _PHRASES.get(_code(error), f"a usable file ({error})")
        ) from error


def _code(error: sqlite3.DatabaseError) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
