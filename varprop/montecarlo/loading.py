"""Read the tables of a store, for pandas."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

from varprop._validation import InputError, described
from varprop.montecarlo.complaints import APPLICATION_ID, explained
from varprop.montecarlo.tables import Simulated, join_cases, unpack_histograms
from varprop.results.schema import SIMULATED_COLUMNS, tidy

if TYPE_CHECKING:
    import pandas as pd


def load_store(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read the finished tables of a store, all cases in one frame.

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
        If there is no such file, it is no block store, a run is using it, or no case is finished yet.
    """
    return read_store(path).table


def read_store(path: str | os.PathLike[str]) -> Simulated:
    """Read the finished tables of a store, as `load_store` does, and the histograms that were kept with them."""
    target = Path(path)
    if not target.is_file():
        raise InputError("store", str(target), "an existing block store")
    unfinished: dict[str, str] = {}
    found = []
    with explained(target), contextlib.closing(_open_to_read(target)) as connection:
        if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
            raise InputError("store", str(target), "a block store of varprop")
        cases = connection.execute(
            "SELECT position, label, draws, attributes, histograms, (SELECT coalesce(sum(draws), 0) "
            "FROM blocks WHERE blocks.position = cases.position) FROM cases ORDER BY position"
        ).fetchall()
        for position, label, draws, attributes, histograms, done in cases:
            if attributes is None:
                unfinished[label] = f"{done} of {draws} draws"
            else:
                table = _table(connection, position, json.loads(attributes))
                found.append(Simulated(table, unpack_histograms(label, histograms)))
    if not found:
        raise InputError("store", str(target), described(f"a finished case (here: {unfinished}); resume it"))
    joint = join_cases(found)
    joint.table.attrs["unfinished"] = unfinished
    return joint


def _table(connection: sqlite3.Connection, position: int, attrs: dict[str, Any]) -> pd.DataFrame:
    columns = ", ".join(f'"{column}"' for column in SIMULATED_COLUMNS)
    rows = connection.execute(
        f"SELECT {columns} FROM results WHERE position = ? ORDER BY rowid", (position,)
    ).fetchall()
    # SQLite has no NaN; what is missing becomes one again.
    present = [{k: v for k, v in zip(SIMULATED_COLUMNS, r, strict=True) if v is not None} for r in rows]
    return tidy(present, SIMULATED_COLUMNS, attrs)


def _open_to_read(path: Path) -> sqlite3.Connection:
    wal = path.with_name(path.name + "-wal")
    # A store that a killed run left behind is repaired on opening, which writes; any other is only read.
    options = "mode=rw" if wal.exists() and wal.stat().st_size else "mode=ro&immutable=1"
    return sqlite3.connect(f"{path.resolve().as_uri()}?{options}", uri=True, timeout=0)
