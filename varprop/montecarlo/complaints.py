"""What SQLite's complaints mean for a store."""

from __future__ import annotations

import contextlib
import os
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


def refuse_special(path: Path) -> None:
    """Refuse folders, pipes and devices, which a file name may stand for, and names that no file can have."""
    try:
        if b"\0" in os.fsencode(path):
            raise InputError("store", str(path), "the path of a file")
        special = path.exists() and not path.is_file()
    except UnicodeEncodeError:
        raise InputError("store", str(path), "the path of a file") from None
    except OSError as error:  # a name that is too long
        raise InputError("store", str(path), f"the path of a file ({error.strerror})") from None
    if special:
        raise InputError("store", str(path), "a file, not a folder, pipe or device")


def is_empty(connection: sqlite3.Connection) -> bool:
    """Say whether the database has nothing in it: no byte, or no more than a header that nobody has marked.

    A run that is killed while it makes its store may leave such a file.
    """
    (mark,) = connection.execute("PRAGMA application_id").fetchone()
    (things,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return things == 0 and mark in (0, APPLICATION_ID)


def drop_torn_header(path: Path) -> None:
    """Empty a file that ends within the first page of a database nobody has marked: nothing can be in it.

    A disk that fills up while a store is made may leave one, and SQLite refuses it.
    """
    if not path.exists() or not 0 < path.stat().st_size < 4096:  # so a store in use is never opened here
        return
    try:
        head = path.read_bytes()
    except OSError:  # SQLite will say it
        return
    page = int.from_bytes(head[16:18], "big") or 4096
    mark = int.from_bytes(head[68:72], "big")
    if head.startswith(b"SQLite format 3\0") and len(head) < page and mark in (0, APPLICATION_ID):
        path.write_bytes(b"")


def _code(error: sqlite3.DatabaseError) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
