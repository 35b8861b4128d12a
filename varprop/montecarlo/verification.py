"""Whether a store is sound: the file, its records, its blocks, and that the tables follow from the blocks."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from varprop.montecarlo.blocks import split
from varprop.montecarlo.complaints import explained
from varprop.montecarlo.loading import open_to_read
from varprop.montecarlo.records import damages, sound_blocks
from varprop.montecarlo.tables import content_digest


def verify_store(path: str | os.PathLike[str]) -> list[str]:
    """Check everything in a store against its checksums; nothing is changed.

    Parameters
    ----------
    path : path-like
        A file that a run with ``store=`` has written.

    Returns
    -------
    list of str
        One line for each problem; empty if the store is sound.

    Raises
    ------
    InputError
        If there is no such file, it cannot be read as a store of this version, or a run is using it.
    """
    target = Path(path)
    with explained(target), open_to_read(target) as connection:
        found: list[str] = []
        for check in (_pages, damages, _blocks, _tables):
            try:
                found.extend(check(connection))
            except sqlite3.DatabaseError as error:
                found.append(f"a part of the file cannot be read ({error})")
        return list(dict.fromkeys(found))


def _pages(connection: sqlite3.Connection) -> Iterator[str]:
    for (text,) in connection.execute("PRAGMA integrity_check(20)").fetchall():
        if text != "ok":
            yield f"SQLite finds damage: {' '.join(str(text).split())}"


def _blocks(connection: sqlite3.Connection) -> Iterator[str]:
    """Find blocks that are damaged, and blocks and rows of cases that there are not."""
    cases = connection.execute("SELECT position, label, facts FROM cases ORDER BY position").fetchall()
    for position, label, facts in cases:
        sound = sound_blocks(connection, position, facts)
        for block, draws in connection.execute(
            "SELECT block, draws FROM blocks WHERE position = ? ORDER BY block, draws", (position,)
        ).fetchall():
            if (block, draws) not in sound:
                yield f"block {block + 1} ({draws} draws) of case {position + 1} ({label}) is not as it was written"
    for table in ("blocks", "results"):
        (lost,) = connection.execute(
            f"SELECT count(*) FROM {table} WHERE position IS NULL OR position NOT IN (SELECT position FROM cases)"
        ).fetchone()
        if lost:
            yield f"{lost} rows of the table {table} belong to no case"


def _tables(connection: sqlite3.Connection) -> Iterator[str]:
    """Find finished cases whose blocks are missing or give other statistics than their table says."""
    from varprop.montecarlo.statistics import Statistics

    damaged = next(damages(connection), None)
    if damaged is not None:
        return  # what the records say is not to be built upon
    for position, label, draws, facts, attributes in connection.execute(
        "SELECT position, label, draws, facts, attributes FROM cases WHERE attributes IS NOT NULL"
    ).fetchall():
        sound = sound_blocks(connection, position, facts)
        made = json.loads(facts)
        plan = list(split(draws, made["block_size"], made.get("first_look", 0)))
        missing = [block.index for block in plan if (block.index, block.draws) not in sound]
        name = f"case {position + 1} ({label})"
        if missing:
            yield f"{name} is finished, but {len(missing)} of its {len(plan)} blocks are missing or damaged"
            continue
        parts = (Statistics.from_bytes(sound[block.index, block.draws]) for block in plan)
        total = next(parts)
        for part in parts:
            total = total.merge(part)
        if content_digest(total) != json.loads(attributes)["digest"]:
            yield f"the table of {name} does not follow from its blocks"
