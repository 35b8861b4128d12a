"""Disks that are full or read-only, as small file systems in memory; making them needs root on Linux."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tests.faults.processes import blocks_of, start_run
from tests.faults.tally import Tally
from tests.montecarlo import engine
from varprop import InputError
from varprop.montecarlo import load_store, simulate_network
from varprop.montecarlo.verification import verify_store

SETTINGS = {"draws": 200, "block_size": 20, "seed": 3}


def can_mount() -> bool:
    """Say whether file systems can be mounted here."""
    return hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("mount") is not None


@contextlib.contextmanager
def small_disk(folder: Path, kibibytes: int) -> Iterator[Path]:
    """Lend a file system of this size."""
    folder.mkdir()
    mount(folder, f"size={kibibytes}k")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)
        folder.rmdir()


def mount(folder: Path, options: str) -> None:
    """Mount an empty file system, or change the one there."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)


def fill_disks(folder: Path, count: int, seed: int = 5) -> Tally:
    """Run on disks of random small sizes; what was finished is sound, and goes on when there is room."""
    expected = simulate_network(engine.network(), **SETTINGS)
    tally, rng = Tally("the disk full"), np.random.default_rng(seed)
    for kibibytes in [4, 8, *rng.integers(12, 160, count - 2).tolist()]:
        with small_disk(folder / "disk", kibibytes) as disk:
            store = disk / "run.sqlite"
            try:
                simulate_network(engine.network(), **SETTINGS, store=store)
                tally.detected([])
            except InputError as error:
                tally.detected(["refused"])
                if "room left" not in str(error) and "can be written" not in str(error):
                    tally.wrong(f"{kibibytes} KiB: {error}")
            mount(disk, "remount,size=4m")
            kept = blocks_of(store)
            if not simulate_network(engine.network(), **SETTINGS, store=store).equals(expected):
                tally.wrong(f"{kibibytes} KiB: another table afterwards")
            if not kept <= blocks_of(store) or verify_store(store):
                tally.wrong(f"{kibibytes} KiB: {verify_store(store) or 'blocks were lost'}")
    return tally


def freeze_disks(folder: Path) -> Tally:
    """Make the disk read-only: a finished store and one left by a kill can be read, not run; no byte changes."""
    tally = Tally("the disk read-only")
    for killed in (False, True):
        with small_disk(folder / "disk", 4096) as disk:
            store = disk / "run.sqlite"
            expected = simulate_network(engine.network(), **SETTINGS, store=store)
            if killed:
                store.unlink()
                run = start_run(store, 1)
                assert run.stdout is not None
                for _ in range(5):
                    run.stdout.readline()
                run.kill()
                run.communicate()
            before = {file.name: file.read_bytes() for file in disk.iterdir()}
            mount(disk, "remount,ro")
            found = []
            try:
                simulate_network(engine.network(), **SETTINGS | {"draws": 300}, store=store)
                tally.wrong("a run went through")
            except InputError:
                found.append("refused")
            try:
                if not load_store(store).equals(expected):
                    tally.wrong("another table")
            except InputError as error:
                if not killed or "of 600 draws" not in str(error):
                    tally.wrong(f"not readable: {error}")
            if verify_store(store) or {file.name: file.read_bytes() for file in disk.iterdir()} != before:
                tally.wrong("the file has changed")
            tally.detected(found)
            mount(disk, "remount,rw")
    return tally
