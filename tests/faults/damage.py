"""Damage to a finished store: flipped bits, cut files, edited records. Each is detected or changes nothing."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from tests.faults.tally import Tally
from tests.montecarlo import engine
from varprop import InputError
from varprop.montecarlo import load_store, simulate_networks
from varprop.montecarlo.verification import verify_store

SETTINGS = {"draws": 60, "block_size": 20, "seed": 3}
NETWORKS = [engine.network(), engine.network(activation="relu")]


def finished_store(folder: Path) -> tuple[Path, pd.DataFrame]:
    """Make a store of two finished cases and return it with its table as it is loaded."""
    path = folder / "sound.sqlite"
    simulate_networks(NETWORKS, **SETTINGS, store=path)
    return path, load_store(path)


def same(one: pd.DataFrame, two: pd.DataFrame) -> bool:
    """Say whether tables agree in every bit and in what is known of their making."""
    return one.equals(two) and one.attrs == two.attrs


def judge(path: Path, expected: pd.DataFrame, tally: Tally, what: str, resume: bool = True) -> None:
    """Load, verify and, if asked, resume a damaged store; whatever is given out must be what an undamaged one gives."""
    found: list[str] = []
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            problems = verify_store(path)
            found += ["verify"] if problems else []
        except InputError:
            found.append("verify")
        try:
            if not same(load_store(path), expected):
                tally.wrong(f"{what}: load gave another table")
        except InputError:
            found.append("load")
        if resume:
            with contextlib.suppress(InputError):
                resume_and_compare(path, expected, tally, what)
        found += ["warned"] if said else []
    tally.detected(found)


def resume_and_compare(path: Path, expected: pd.DataFrame, tally: Tally, what: str) -> None:
    """Run on a damaged store, and load what is in it afterwards."""
    resumed = simulate_networks(NETWORKS, **SETTINGS, store=path)
    if resumed.attrs["digest"] != expected.attrs["digest"] or not resumed.equals(expected):
        tally.wrong(f"{what}: resume gave another table")
    if not same_numbers(load_store(path), expected):
        tally.wrong(f"{what}: load after resume gave another table")


def same_numbers(one: pd.DataFrame, two: pd.DataFrame) -> bool:
    """Say whether two tables agree in every bit; the seconds they took may differ."""
    return one.equals(two) and one.attrs["digest"] == two.attrs["digest"]


def flip_bits(folder: Path, count: int, seed: int = 0) -> Tally:
    """Flip one random bit of the file at a time."""
    path, expected = finished_store(folder)
    raw, rng, tally = path.read_bytes(), np.random.default_rng(seed), Tally("a bit of the store flipped")
    for _ in range(count):
        bit = int(rng.integers(8 * len(raw)))
        bad = bytearray(raw)
        bad[bit // 8] ^= 1 << bit % 8
        with damaged_copy(folder, bytes(bad)) as copy:
            judge(copy, expected, tally, f"bit {bit}")
    return tally


def cut_files(folder: Path, count: int, seed: int = 1) -> Tally:
    """Cut the file at a random length, or in the middle of its first page."""
    path, expected = finished_store(folder)
    raw, rng, tally = path.read_bytes(), np.random.default_rng(seed), Tally("the store cut short")
    for length in [0, 100, 4096, *rng.integers(1, len(raw), count - 3).tolist()]:
        with damaged_copy(folder, raw[:length]) as copy:
            judge(copy, expected, tally, f"cut at {length}")
    return tally


EDITS: dict[str, str] = {
    "a value": "UPDATE results SET value = value * 1.01 WHERE rowid = 3",
    "a label": "UPDATE results SET \"order\" = 'exact' WHERE rowid = (SELECT max(rowid) FROM results)",
    "a missing row": "DELETE FROM results WHERE rowid = 5",
    "a row twice": "INSERT INTO results SELECT * FROM results WHERE rowid = 5",
    "two rows exchanged": "UPDATE results SET rowid = CASE rowid WHEN 2 THEN -1 ELSE rowid END",
    "rows of another case": "UPDATE results SET position = 1 - position",
    "a missing case": "DELETE FROM cases WHERE position = 1",
    "a missing case and its rows": "DELETE FROM cases WHERE position = 0; DELETE FROM results WHERE position = 0;"
    "DELETE FROM blocks WHERE position = 0",
    "a case renamed": "UPDATE cases SET label = 'other' WHERE position = 0",
    "a case unfinished": "UPDATE cases SET attributes = NULL WHERE position = 0",
    "attributes that are no JSON": "UPDATE cases SET attributes = '{' WHERE position = 0",
    "attributes that are a number": "UPDATE cases SET attributes = 5 WHERE position = 0",
    "a description that is no JSON": "UPDATE cases SET description = 'x' WHERE position = 0",
    "facts that are no JSON": "UPDATE cases SET facts = '[' WHERE position = 0",
    "histograms that are no archive": "UPDATE cases SET histograms = x'00' WHERE position = 0",
    "histograms missing": "UPDATE cases SET histograms = NULL WHERE position = 0",
    "draws": "UPDATE cases SET draws = 61 WHERE position = 0",
    "text that is not UTF-8": "UPDATE cases SET label = CAST(x'ff' AS TEXT) WHERE position = 0",
    "a version": "UPDATE meta SET value = '9' WHERE name = 'numpy'",
    "no seal": "DELETE FROM meta WHERE name = 'seal'",
    "no meta": "DELETE FROM meta",
    "no table of meta": "DROP TABLE meta",
    "no table of results": "DROP TABLE results",
    "a column of another name": 'ALTER TABLE results RENAME COLUMN value TO "other"',
    "a checksum": "UPDATE cases SET checksum = x'00' WHERE position = 1",
    "a block's content": "UPDATE blocks SET content = x'00' WHERE block = 1",
    "a block's draws": "UPDATE blocks SET draws = 19 WHERE block = 1 AND position = 0",
    "blocks of another case": "UPDATE blocks SET position = position + 2; "
    "UPDATE blocks SET position = 3 - position",
    "a missing block": "DELETE FROM blocks WHERE block = 2 AND position = 1",
    "blocks that are text": "UPDATE blocks SET content = 'text'",
}
"""Statements that a person, a tool or a bug may have run on the file."""


def edit_records(folder: Path, only: str | None = None, resume_every: int = 1) -> Tally:
    """Run each of `EDITS`; every one is noticed. One of `resume_every` is resumed as well."""
    path, expected = finished_store(folder)
    raw, tally = path.read_bytes(), Tally("a record of the store edited")
    for what, statements in EDITS.items() if only is None else [(only, EDITS[only])]:
        with damaged_copy(folder, raw) as copy:
            with contextlib.closing(sqlite3.connect(copy)) as connection:
                connection.executescript(statements)
            before = tally.noticed
            judge(copy, expected, tally, what, resume=tally.tried % resume_every == 0)
            if tally.noticed == before:
                tally.wrong(f"{what}: nothing noticed it")
    return tally


@contextlib.contextmanager
def damaged_copy(folder: Path, content: bytes):
    """Lend a file with this content in a folder of its own."""
    home = folder / "damaged"
    home.mkdir()
    try:
        (home / "run.sqlite").write_bytes(content)
        yield home / "run.sqlite"
    finally:
        shutil.rmtree(home)
