"""The layout of a store's records and the checksums over them.

Every case has a checksum over its record and its result rows, and one seal covers those checksums and the
table ``meta``. So a changed value, a missing row, a missing case and a changed version are all noticed before
anything is believed. Blocks have checksums of their own, over what made them (the case's ``facts``), their
place and their content. The checksums find damage; they are no protection against somebody who computes them
anew.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from varprop._validation import InputError
from varprop.results.schema import SIMULATED_COLUMNS

LAYOUT = "2"
"""Changes whenever a file of another layout could not be read."""

SCHEMA = f"""
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE cases (position INTEGER PRIMARY KEY, label TEXT NOT NULL, draws INTEGER NOT NULL,
    description TEXT NOT NULL, facts TEXT NOT NULL, attributes TEXT, histograms BLOB, checksum BLOB);
CREATE TABLE blocks (position INTEGER, block INTEGER, draws INTEGER, seconds REAL,
    checksum BLOB NOT NULL, content BLOB NOT NULL, PRIMARY KEY (position, block, draws));
CREATE TABLE results (position INTEGER NOT NULL, {", ".join(f'"{c}"' for c in SIMULATED_COLUMNS)});
"""

RESULTS = ", ".join(f'"{column}"' for column in SIMULATED_COLUMNS)
_CASE = "position, label, draws, description, facts, attributes, histograms"


def block_checksum(place: tuple[int, int, int], facts: str, content: bytes) -> bytes:
    """Return the SHA-256 over a block's position, number and draws, what made it, and what it holds."""
    position, block, draws = place
    return hashlib.sha256(f"{position} {block} {draws} {facts}\n".encode() + content).digest()


def seal_case(connection: sqlite3.Connection, position: int) -> None:
    """Write the checksum of a case whose record or rows have changed."""
    checksum = _case_checksum(connection, position)
    connection.execute("UPDATE cases SET checksum = ? WHERE position = ?", (checksum, position))


def seal(connection: sqlite3.Connection) -> None:
    """Write the checksum of all cases and of ``meta``, within the transaction that changed them."""
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('seal', ?)", (_seal(connection),))


def check_layout(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a store whose tables are missing or laid out in another way.

    Raises
    ------
    InputError
        With the version that made the file, if it says so.
    """
    # A quoted name that is no column would be taken for a text by SQLite, so the names are compared first.
    found, expected = _columns(connection), _expected_columns()
    if not expected.keys() <= found.keys():
        raise InputError("store", str(path), "an undamaged block store; in this one a table is missing")
    meta = dict(connection.execute("SELECT name, value FROM meta").fetchall())
    layout = str(meta.get("layout", "1"))
    if layout != LAYOUT:
        made = f"this one has layout {layout} (made by varprop {meta.get('varprop', 'of unknown version')})"
        raise InputError("store", str(path), f"a block store of layout {LAYOUT}, or a new file; {made}")
    for table, columns in expected.items():
        if found[table] != columns:
            allowed = (
                f"a block store with the columns of this version, or a new file; those of {table} are others"
            )
            raise InputError("store", str(path), allowed)


def _columns(connection: sqlite3.Connection) -> dict[str, list[str]]:
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    rows = "SELECT name FROM pragma_table_info(?) ORDER BY cid"
    return {table: [column for (column,) in connection.execute(rows, (table,))] for table in names}


@functools.cache
def _expected_columns() -> dict[str, list[str]]:
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(SCHEMA)
        return _columns(connection)


def damages(connection: sqlite3.Connection) -> Iterator[str]:
    """Say, one phrase each, which records are not as they were written."""
    for position, label, checksum in connection.execute(
        "SELECT position, label, checksum FROM cases ORDER BY position"
    ).fetchall():
        if checksum != _case_checksum(connection, position):
            yield f"case {position + 1} ({label}) or its results are not as they were written"
    stored = connection.execute("SELECT value FROM meta WHERE name = 'seal'").fetchone()
    if stored is None or stored[0] != _seal(connection):
        yield "the list of cases or of versions is not as it was written"


def sound_blocks(connection: sqlite3.Connection, position: int, facts: str) -> dict[tuple[int, int], bytes]:
    """Return ``{(number, draws): content}`` of a case's blocks whose checksums hold."""
    rows = connection.execute(
        "SELECT block, draws, checksum, content FROM blocks WHERE position = ? ORDER BY block, draws",
        (position,),
    )
    return {
        (block, draws): content
        for block, draws, checksum, content in rows
        if isinstance(content, bytes) and checksum == block_checksum((position, block, draws), facts, content)
    }


def facts_text(facts: dict[str, Any]) -> str:
    """Return facts as the one text that checksums cover."""
    return json.dumps(facts, sort_keys=True)


def _case_checksum(connection: sqlite3.Connection, position: int) -> bytes:
    record = connection.execute(f"SELECT {_CASE} FROM cases WHERE position = ?", (position,)).fetchall()
    rows = connection.execute(f"SELECT {RESULTS} FROM results WHERE position = ? ORDER BY rowid", (position,))
    return _digest(record, rows)


def _seal(connection: sqlite3.Connection) -> str:
    meta = connection.execute("SELECT name, value FROM meta WHERE name <> 'seal' ORDER BY name")
    cases = connection.execute("SELECT position, checksum FROM cases ORDER BY position")
    return _digest(meta, cases).hex()


def _digest(*tables: Any) -> bytes:
    """Return a SHA-256 over rows of SQLite values that no two different lists of rows share."""
    digest = hashlib.sha256()
    for table in tables:
        for row in table:
            for value in row:
                content = value if isinstance(value, bytes) else repr(value).encode("utf-8", "surrogatepass")
                digest.update(f"{type(value).__name__} {len(content)} ".encode() + content)
            digest.update(b"\n")
        digest.update(b";\n")
    return digest.digest()
