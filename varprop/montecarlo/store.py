"""The block store: one SQLite file that keeps every finished block, so that nothing is lost or done twice.

A block is written in one transaction as soon as it is finished, with a SHA-256 over its content, its place and
what made it. The file is locked by its run; SQLite gives the lock back when the process ends, even by
``kill -9``. What made the store (versions, libraries, seed, block size, network of every case) stands in it,
and a run that differs in any of it is refused. Finished tables are kept as plain rows in ``results``, where any
SQLite tool can read them, under checksums as well.

Durability. The tables are made in one transaction before anything else, so a file is a store or empty. Blocks
go to a write-ahead file and are folded into the store after the first block and then as often as a twentieth
of the time allows; a copy of the store alone has all but the last moments. A finished block survives the end of
its process, however it ends, at once. A power failure or a crash of the operating system may take the blocks
that were not folded yet (``synchronous = NORMAL``), never those before, and leaves the file consistent.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from varprop._validation import InputError
from varprop.montecarlo.blocks import Block, Plan
from varprop.montecarlo.complaints import (
    APPLICATION_ID,
    drop_torn_header,
    explained,
    is_empty,
    refuse_special,
)
from varprop.montecarlo.description import describe
from varprop.montecarlo.environment import environment, notes, relevant
from varprop.montecarlo.records import (
    LAYOUT,
    SCHEMA,
    block_checksum,
    check_layout,
    damages,
    facts_text,
    seal,
    seal_case,
)
from varprop.montecarlo.same_run import check_proven, check_same_run, check_worker
from varprop.montecarlo.tables import Simulated, pack_attrs, pack_histograms
from varprop.results.schema import SIMULATED_COLUMNS

if TYPE_CHECKING:
    from varprop.montecarlo.statistics import Statistics

FOLDING_SHARE = 0.05
"""Of the run's time, at most, goes into folding the write-ahead file into the store."""


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
        self._environment = environment()
        self._facts = [
            facts_text({**plan.facts(), "environment": relevant(self._environment, plan.compiled)})
            for plan in plans
        ]
        self._fold_next = 0.0
        refuse_special(self.path)
        drop_torn_header(self.path)
        with explained(self.path):
            self._connection = _connect(self.path)
        try:
            with explained(self.path):
                self._prepare(resume)
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
        place = position, block.index, block.draws
        if not isinstance(content, bytes) or checksum != block_checksum(
            place, self._facts[position], content
        ):
            warnings.warn(
                f"block {block.index + 1} of {plan.network.case} in {self.path} is damaged and is computed again",
                RuntimeWarning,
                stacklevel=2,
            )
            return None
        return Statistics.from_bytes(content)

    def put(
        self,
        plan: Plan,
        block: Block,
        statistics: Statistics,
        seconds: float,
        made_in: Mapping[str, str] | None = None,
    ) -> None:
        """Keep a finished block; when this returns it survives the end of the process.

        `made_in` is the `environment` of the process that computed it, if that was another one.

        Raises
        ------
        InputError
            If the block was computed where bits differ, or the file cannot be written.
        """
        if made_in is not None:
            check_worker(made_in, self._environment, plan)
        content = statistics.to_bytes()
        position = self._positions[id(plan)]
        checksum = block_checksum((position, block.index, block.draws), self._facts[position], content)
        row = (position, block.index, block.draws, seconds, checksum, content)
        with explained(self.path):
            self._connection.execute("INSERT OR REPLACE INTO blocks VALUES (?, ?, ?, ?, ?, ?)", row)
            self._fold()

    def put_result(self, plan: Plan, case: Simulated) -> None:
        """Keep the finished table and histograms of a case, in place of older ones.

        The case may have stopped before the plan's last draw; its table says where.
        """
        position = self._positions[id(plan)]
        rows = case.table.loc[:, list(SIMULATED_COLUMNS)].astype(object).to_numpy().tolist()
        marks = ", ".join("?" * (1 + len(SIMULATED_COLUMNS)))
        attributes, histograms = pack_attrs(case.table.attrs), pack_histograms(case.histograms)
        with explained(self.path), self._transaction() as connection:
            connection.execute("DELETE FROM results WHERE position = ?", (position,))
            connection.executemany(f"INSERT INTO results VALUES ({marks})", [[position, *r] for r in rows])
            connection.execute(
                "UPDATE cases SET attributes = ?, histograms = ?, draws = ? WHERE position = ?",
                (attributes, histograms, case.table.attrs["draws"], position),
            )
            seal_case(connection, position)
            seal(connection)

    def _fold(self) -> None:
        """Bring the write-ahead file into the store, unless that was done a moment ago."""
        start = time.monotonic()
        if start >= self._fold_next:
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            end = time.monotonic()
            self._fold_next = end + (end - start) / FOLDING_SHARE

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._connection.execute("BEGIN IMMEDIATE")  # the exclusive mode keeps the lock that this takes
        with self._connection as connection:
            yield connection

    def _prepare(self, resume: bool) -> None:
        connection = self._connection
        connection.execute("PRAGMA synchronous = FULL")
        if not is_empty(connection):
            if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
                raise InputError("store", str(self.path), "a block store of varprop, or a new file")
            if not resume:
                allowed = "a new file, or resume=True (--resume) to go on with this one"
                raise InputError("store", str(self.path), allowed)
        with self._transaction():  # before write-ahead mode, which would leave an empty file if killed here
            if is_empty(connection):
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                for statement in filter(str.strip, SCHEMA.split(";")):
                    connection.execute(statement)
                self._write_meta()
            else:
                check_layout(connection, self.path)
                damaged = list(damages(connection))
                if damaged:
                    check_proven(connection, self.path, self._facts, damaged[0])
                    self._mend(damaged)
                else:
                    check_same_run(connection, self.path, self._plans, self._environment)
            self._add_cases()
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")

    def _write_meta(self) -> None:
        meta = {"layout": LAYOUT, **self._environment, **notes()}
        self._connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", meta.items())

    def _mend(self, damaged: list[str]) -> None:
        """Write the records of this run anew; results follow from the blocks, which prove themselves."""
        for table in ("meta", "cases", "results"):
            self._connection.execute(f"DELETE FROM {table}")
        self._write_meta()
        warnings.warn(
            f"{self.path}: {'; '.join(damaged)}; written anew from this run and the blocks that are sound",
            RuntimeWarning,
            stacklevel=2,
        )

    def _add_cases(self) -> None:
        connection = self._connection
        known = {position for (position,) in connection.execute("SELECT position FROM cases")}
        for position, plan in enumerate(self._plans):
            if position not in known:
                connection.execute(
                    "INSERT INTO cases (position, label, draws, description, facts) VALUES (?, ?, ?, ?, ?)",
                    (
                        position,
                        plan.network.case,
                        plan.draws,
                        json.dumps(describe(plan)),
                        self._facts[position],
                    ),
                )
                seal_case(connection, position)
        seal(connection)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=0, isolation_level=None)
    # Before anything is read: then write-ahead mode needs no shared memory, and a second run finds the lock.
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("PRAGMA cell_size_check = ON")  # a damaged page is an error, not a guess
    return connection
