"""Read a store: its tables for pandas, or everything in it to see whether it is sound."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from varprop._validation import InputError, described
from varprop.montecarlo.complaints import APPLICATION_ID, explained, is_empty, refuse_special
from varprop.montecarlo.records import RESULTS, check_layout, damages, sound_blocks
from varprop.montecarlo.tables import Simulated, join_cases, unpack_histograms
from varprop.results.schema import SIMULATED_COLUMNS, tidy

if TYPE_CHECKING:
    import pandas as pd

_MUST_WRITE = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR)


def load_store(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read the finished tables of a store, all cases in one frame.

    Everything that is returned has been checked against its checksum.

    Parameters
    ----------
    path : path-like
        A file that a run with ``store=`` has written.

    Returns
    -------
    DataFrame
        As `varprop.montecarlo.simulate_networks` returned it, for the cases that are finished. Those that
        were interrupted are named in ``attrs["unfinished"]``, with their finished and planned draws.

    Raises
    ------
    InputError
        If there is no such file, it is no block store, a run is using it, a record is not as it was written,
        or no case is finished yet.

    Warns
    -----
    RuntimeWarning
        If a block of an unfinished case is damaged; its draws do not count as finished.
    """
    return read_store(path).table


def read_store(path: str | os.PathLike[str]) -> Simulated:
    """Read the finished tables of a store, as `load_store` does, and the histograms that were kept with them."""
    target = Path(path)
    unfinished: dict[str, str] = {}
    found = []
    with explained(target), open_to_read(target) as connection:
        damaged = list(damages(connection))
        if damaged:
            raise InputError(
                "store",
                str(target),
                f"an undamaged block store: {'; '.join(damaged[:4])}; resume its run to have the tables written anew",
            )
        cases = connection.execute(
            "SELECT position, label, draws, facts, attributes, histograms FROM cases ORDER BY position"
        ).fetchall()
        for position, label, draws, facts, attributes, histograms in cases:
            if attributes is None:
                unfinished[label] = f"{_finished_draws(connection, target, position, facts)} of {draws} draws"
            else:
                table = _table(connection, position, json.loads(attributes))
                found.append(Simulated(table, unpack_histograms(label, histograms)))
    if not found:
        raise InputError("store", str(target), described(f"a finished case (here: {unfinished}); resume it"))
    joint = join_cases(found)
    joint.table.attrs["unfinished"] = unfinished
    return joint


def _finished_draws(connection: sqlite3.Connection, path: Path, position: int, facts: str) -> int:
    blocks = sound_blocks(connection, position, facts)
    (stored,) = connection.execute("SELECT count(*) FROM blocks WHERE position = ?", (position,)).fetchone()
    if stored != len(blocks):
        warnings.warn(
            f"{stored - len(blocks)} blocks of case {position + 1} in {path} are damaged; they will be computed again",
            RuntimeWarning,
            stacklevel=3,
        )
    return sum(dict(blocks.keys()).values())  # the longest of each number, which comes last


def _table(connection: sqlite3.Connection, position: int, attrs: dict[str, Any]) -> pd.DataFrame:
    rows = connection.execute(
        f"SELECT {RESULTS} FROM results WHERE position = ? ORDER BY rowid", (position,)
    ).fetchall()
    # SQLite has no NaN; what is missing becomes one again.
    present = [{k: v for k, v in zip(SIMULATED_COLUMNS, r, strict=True) if v is not None} for r in rows]
    return tidy(present, SIMULATED_COLUMNS, attrs)


@contextlib.contextmanager
def open_to_read(path: Path) -> Iterator[sqlite3.Connection]:
    """Lend a connection to a store of our layout that no run is using.

    Raises
    ------
    InputError
        If there is no such file or it is none of ours; what SQLite says is left to `explained`.
    """
    refuse_special(path)
    if not path.is_file():
        raise InputError("store", str(path), "an existing block store")
    with contextlib.ExitStack() as stack:
        connection = _connect_to_read(path, stack)
        if is_empty(connection):
            raise InputError("store", str(path), "a block store with something in it")
        if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
            raise InputError("store", str(path), "a block store of varprop")
        check_layout(connection, path)
        yield connection


def _connect_to_read(path: Path, stack: contextlib.ExitStack) -> sqlite3.Connection:
    # The file is never opened but by SQLite: closing it would give back the lock of a run in this process.
    journals = (path.with_name(path.name + suffix) for suffix in ("-wal", "-journal"))
    if not any(journal.exists() and journal.stat().st_size for journal in journals):
        try:
            return _connect(path, "ro", stack)
        except sqlite3.OperationalError as error:  # in write-ahead mode, but without its second file
            if error.sqlite_errorcode & 0xFF not in _MUST_WRITE:
                raise
    # What a killed run left behind is repaired on opening, which writes.
    writable = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    return _connect(path if writable else _copied(path, stack), "rw", stack)


def _connect(path: Path, mode: str, stack: contextlib.ExitStack) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode={mode}", uri=True, timeout=0)
    with contextlib.ExitStack() as until_proven:
        until_proven.callback(connection.close)  # it would keep its lock from a second attempt
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")  # needs no shared memory beside the file
        connection.execute("PRAGMA cell_size_check = ON")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        stack.push(until_proven.pop_all())
    return connection


def _copied(path: Path, stack: contextlib.ExitStack) -> Path:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="varprop-store-")))
    for suffix in ("", "-wal", "-journal"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            shutil.copyfile(part, folder / f"store{suffix}")
    return folder / "store"
