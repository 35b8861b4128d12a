"""Read the tables of a store, for pandas."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from varprop._validation import InputError, described
from varprop.montecarlo.complaints import APPLICATION_ID, explained
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
        Columns of `varprop.results.schema.SIMULATED_COLUMNS`. ``attrs["unfinished"]`` names the cases that
        were interrupted, with their finished and planned draws.

    Raises
    ------
    InputError
        If there is no such file, it is no block store, a run is using it, or no case is finished yet.
    """
    target = Path(path)
    if not target.is_file():
        raise InputError("store", str(target), "an existing block store")
    with explained(target), contextlib.closing(_open_to_read(target)) as connection:
        if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
            raise InputError("store", str(target), "a block store of varprop")
        columns = ", ".join(f'"{column}"' for column in SIMULATED_COLUMNS)
        rows = connection.execute(f"SELECT {columns} FROM results ORDER BY position, rowid").fetchall()
        state = connection.execute(
            "SELECT label, draws, attributes, (SELECT coalesce(sum(draws), 0) FROM blocks "
            "WHERE blocks.position = cases.position) FROM cases ORDER BY position"
        ).fetchall()
    unfinished = {label: f"{done} of {draws} draws" for label, draws, attrs, done in state if attrs is None}
    if not rows:
        raise InputError("store", str(target), described(f"a finished case (here: {unfinished}); resume it"))
    records: list[Mapping[str, Any]] = [
        {k: v for k, v in zip(SIMULATED_COLUMNS, row, strict=True) if v is not None} for row in rows
    ]
    attributes = next(json.loads(attrs) for _, _, attrs, _ in state if attrs is not None)
    return tidy(records, SIMULATED_COLUMNS, {**attributes, "unfinished": unfinished})


def _open_to_read(path: Path) -> sqlite3.Connection:
    wal = path.with_name(path.name + "-wal")
    # A store that a killed run left behind is repaired on opening, which writes; any other is only read.
    options = "mode=rw" if wal.exists() and wal.stat().st_size else "mode=ro&immutable=1"
    return sqlite3.connect(f"{path.resolve().as_uri()}?{options}", uri=True, timeout=0)
