"""The block store: one SQLite file that keeps every finished block, so that nothing is lost or done twice.

A block is written in one transaction as soon as it is finished, with a SHA-256 over its content and place.
The file is in write-ahead mode and locked by its run; SQLite gives the lock back when the process ends, even
by ``kill -9``. What made the store (format, versions, seed, block size, network of every case) stands in it,
and a run that differs in any of it is refused. Finished tables are kept as plain rows in ``results``, where
any SQLite tool can read them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from varprop._validation import InputError
from varprop.montecarlo.blocks import FORMAT, Block, Plan
from varprop.montecarlo.complaints import APPLICATION_ID, explained
from varprop.montecarlo.description import describe, differences
from varprop.montecarlo.tables import Simulated, pack_attrs, pack_histograms
from varprop.results.schema import SIMULATED_COLUMNS

if TYPE_CHECKING:
    from varprop.montecarlo.statistics import Statistics

_SCHEMA = f"""
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE cases (position INTEGER PRIMARY KEY, label TEXT NOT NULL, draws INTEGER NOT NULL,
    description TEXT NOT NULL, attributes TEXT, histograms BLOB);
CREATE TABLE blocks (position INTEGER, block INTEGER, draws INTEGER, seconds REAL,
    checksum BLOB NOT NULL, content BLOB NOT NULL, PRIMARY KEY (position, block, draws));
CREATE TABLE results (position INTEGER NOT NULL, {", ".join(f'"{c}"' for c in SIMULATED_COLUMNS)});
"""


def versions() -> dict[str, str]:
    """Return what must be equal for two runs to give the same bits."""
    import varprop

    return {"format": str(FORMAT), "varprop": varprop.__version__, "numpy": np.__version__}


class BlockStore:
    """An open store, locked for one run; use it as a context manager.

    Parameters
    ----------
    path : path-like
        The SQLite file; it is created if missing.
    plans : sequence of Plan
        The whole run. Cases may be added behind those in the file, and draws to any of them.
    resume : bool
        Whether blocks that are already there may be used; otherwise an existing file is refused.

    Raises
    ------
    InputError
        If the file exists and `resume` is false, is no block store, was made by another run (the message
        lists the differences), is used by another process, or cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], plans: Sequence[Plan], *, resume: bool = True) -> None:
        self.path = Path(path)
        self._plans = list(plans)
        self._positions = {id(plan): position for position, plan in enumerate(plans)}
        self._facts = [json.dumps(plan.facts(), sort_keys=True) for plan in plans]
        existed = self.path.exists() and self.path.stat().st_size > 0
        if existed and not resume:
            raise InputError(
                "store", str(self.path), "a new file, or resume=True (--resume) to go on with this one"
            )
        with explained(self.path):
            self._connection = _connect(self.path)
        try:
            with explained(self.path):
                self._prepare(existed)
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> BlockStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the lock back and fold the write-ahead file into the store."""
        with explained(self.path):
            # Outside write-ahead mode the file is complete by itself and can be read from a read-only place.
            with contextlib.suppress(sqlite3.OperationalError):
                self._connection.execute("PRAGMA journal_mode = DELETE")
            self._connection.close()

    def get(self, plan: Plan, block: Block) -> Statistics | None:
        """Return a finished block, or None if it is missing or damaged (with a warning)."""
        from varprop.montecarlo.statistics import Statistics

        position = self._positions[id(plan)]
        with explained(self.path):
            row = self._connection.execute(
                "SELECT checksum, content FROM blocks WHERE position = ? AND block = ? AND draws = ?",
                (position, block.index, block.draws),
            ).fetchone()
        if row is None:
            return None
        checksum, content = row
        if not isinstance(content, bytes) or checksum != self._checksum(plan, block, content):
            warnings.warn(
                f"block {block.index + 1} of {plan.network.case} in {self.path} is damaged and is computed again",
                RuntimeWarning,
                stacklevel=2,
            )
            return None
        return Statistics.from_bytes(content)

    def put(self, plan: Plan, block: Block, statistics: Statistics, seconds: float) -> None:
        """Keep a finished block; it is there for good when this returns."""
        content = statistics.to_bytes()
        checksum = self._checksum(plan, block, content)
        row = (self._positions[id(plan)], block.index, block.draws, seconds, checksum, content)
        with explained(self.path):
            self._connection.execute("INSERT OR REPLACE INTO blocks VALUES (?, ?, ?, ?, ?, ?)", row)

    def put_result(self, plan: Plan, case: Simulated) -> None:
        """Keep the finished table and histograms of a case, in place of older ones."""
        position = self._positions[id(plan)]
        rows = case.table.loc[:, list(SIMULATED_COLUMNS)].astype(object).to_numpy().tolist()
        marks = ", ".join("?" * (1 + len(SIMULATED_COLUMNS)))
        attributes, histograms = pack_attrs(case.table.attrs), pack_histograms(case.histograms)
        with explained(self.path), self._transaction() as connection:
            connection.execute("DELETE FROM results WHERE position = ?", (position,))
            connection.executemany(f"INSERT INTO results VALUES ({marks})", [[position, *r] for r in rows])
            connection.execute(
                "UPDATE cases SET attributes = ?, histograms = ?, draws = ? WHERE position = ?",
                (attributes, histograms, plan.draws, position),
            )

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._connection.execute("BEGIN IMMEDIATE")  # the exclusive mode keeps the lock that this takes
        with self._connection as connection:
            yield connection

    def _prepare(self, existed: bool) -> None:
        connection = self._connection
        if existed and connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
            raise InputError("store", str(self.path), "a block store of varprop, or a new file")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        with self._transaction():
            if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    connection.execute(statement)
                connection.executemany("INSERT INTO meta VALUES (?, ?)", versions().items())
            else:
                self._check()
            rows = [
                (position, plan.network.case, plan.draws, json.dumps(describe(plan)))
                for position, plan in enumerate(self._plans)
            ]
            connection.executemany(
                "INSERT OR IGNORE INTO cases (position, label, draws, description) VALUES (?, ?, ?, ?)", rows
            )

    def _check(self) -> None:
        """Refuse a store that another run has made, and say in what they differ."""
        found = differences(dict(self._connection.execute("SELECT name, value FROM meta")), versions())
        stored = self._connection.execute("SELECT position, label, draws, description FROM cases")
        for position, label, draws, description in stored.fetchall():
            if position >= len(self._plans):
                found.append(f"case {position + 1} ({label}) is in the store and not in this run")
                continue
            plan = self._plans[position]
            listed = differences(json.loads(description), describe(plan))
            if draws > plan.draws:
                listed.append(f"draws {draws} in the store, {plan.draws} now")
            found += [f"case {position + 1}: {line}" for line in listed]
        if found:
            more = f"; and {len(found) - 8} more" if len(found) > 8 else ""
            raise InputError(
                "store",
                str(self.path),
                f"a store made by this very run, or a new file; they differ in {'; '.join(found[:8])}{more}",
            )

    def _checksum(self, plan: Plan, block: Block, content: bytes) -> bytes:
        position = self._positions[id(plan)]
        place = f"{position} {block.index} {block.draws} {self._facts[position]}\n"
        return hashlib.sha256(place.encode() + content).digest()


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=0, isolation_level=None)
    # Before anything is read: then write-ahead mode needs no shared memory, and a second run finds the lock.
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    return connection
