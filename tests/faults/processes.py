"""Processes that are killed, stopped or in each other's way while they use a store: nothing is lost or doubled."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from multiprocessing import active_children
from pathlib import Path

import numpy as np

from tests.faults.tally import Tally
from tests.montecarlo import engine
from tests.montecarlo.killable import NETWORK, SETTINGS
from tests.montecarlo.processes import descendants, survivors
from varprop.montecarlo import heartbeat, simulate_network
from varprop.montecarlo.execution import execute
from varprop.montecarlo.executors import open_executor
from varprop.montecarlo.pools import Here
from varprop.montecarlo.verification import verify_store


def start_run(store: Path, workers: int) -> subprocess.Popen[str]:
    """Start a run in a process of its own; it prints a line per finished block, and its digest."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.montecarlo.killable", str(store), str(workers)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=engine.ROOT,
    )


def blocks_of(store: Path) -> set[tuple[int, bytes]]:
    """Return the blocks that are in a store that no run is using, by number and checksum."""
    if not store.exists() or not store.stat().st_size:
        return set()
    with contextlib.closing(sqlite3.connect(store)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE name = 'blocks'").fetchall()
        return set(connection.execute("SELECT block, checksum FROM blocks").fetchall()) if tables else set()


def kill_parents(folder: Path, count: int, seed: int = 2) -> Tally:
    """``kill -9`` at random moments: while Python starts, while the store is made, between and in blocks.

    Killed runs are resumed until they finish; then a new store is begun. Every block that was reported or found
    once is still there after the next kill, the file is sound, no process is left, and the digest is that of an
    undisturbed run.
    """
    expected = simulate_network(NETWORK, **SETTINGS).attrs["digest"]
    rng, tally = np.random.default_rng(seed), Tally("the parent killed")
    store, before, number = folder / "run-0.sqlite", set[tuple[int, bytes]](), 0
    while tally.tried < count or before:
        workers = 1 + int(rng.random() < 0.25)
        last = tally.tried >= count
        process = start_run(store, workers)
        assert process.stdout is not None
        lines: list[str] = []
        if not last:
            if rng.random() < 0.5:
                time.sleep(rng.uniform(0.2, 1.5))
            else:  # past what is there already, which is reported first
                lines = [process.stdout.readline() for _ in range(len(before) + int(rng.integers(1, 4)))]
                time.sleep(rng.uniform(0.0, 0.05))
            started = descendants(process.pid)
            process.kill()
        output, errors = process.communicate(timeout=200)
        lines = [
            line for line in (*lines, *output.splitlines()) if line
        ]  # a run that has ended gives empty ones
        finished = process.returncode == 0
        if not finished:
            tally.detected([])
            if process.returncode != -signal.SIGKILL:
                tally.wrong(f"kill {tally.tried}: ended with {process.returncode}: {errors[-300:]}")
            if survivors(started):
                tally.wrong(f"kill {tally.tried}: processes were left")
        elif f"digest {expected}" not in lines[-1]:
            tally.wrong(f"after {tally.tried} kills: another digest")
        reported = max((int(line.split()[0]) for line in lines if line[:1].isdigit()), default=0)
        found = blocks_of(store)
        if not before <= found or len(found) < reported:
            tally.wrong(f"kill {tally.tried}: {len(found)} blocks, before {len(before)}, reported {reported}")
        if found and verify_store(store):
            tally.wrong(f"kill {tally.tried}: {verify_store(store)}")
        before = found
        if finished:
            number, before = number + 1, set()
            store = folder / f"run-{number}.sqlite"
            if last:
                break
    return tally


def kill_workers(count: int, seed: int = 3, number: signal.Signals = signal.SIGKILL) -> Tally:
    """Kill (or stop) one of two workers after a random block, one or two a run; the statistics have the same bits."""
    plan = engine.plan(draws=400)
    ((_, expected),) = execute([plan], Here())
    rng, tally = np.random.default_rng(seed), Tally(f"a worker sent {number.name}")

    class Fault:
        def __init__(self) -> None:
            self.moments = set(rng.integers(1, len(plan), min(2, count - tally.tried)).tolist())

        def finished(self, case: int, block: object, seconds: float | None) -> None:
            self.moments = {moment - 1 for moment in self.moments}
            if 0 in self.moments and (children := active_children()):
                os.kill(children[int(rng.integers(len(children)))].pid or 0, number)
                tally.detected(["the pool"])

    while tally.tried < count:
        with open_executor(2) as pool:
            ((_, found),) = execute([plan], pool, progress=Fault())  # type: ignore[arg-type]
        if found.to_bytes() != expected.to_bytes():
            tally.wrong(f"after {tally.tried}: other bits")
        if active_children():
            tally.wrong(f"after {tally.tried}: processes were left")
    return tally


def stop_workers(count: int, seed: int = 4) -> Tally:
    """``SIGSTOP``, with a limit of one second instead of twenty."""
    before = heartbeat.BEAT_SECONDS, heartbeat.SILENT_BEATS
    heartbeat.BEAT_SECONDS, heartbeat.SILENT_BEATS = 0.1, 10
    try:
        return kill_workers(count, seed, signal.SIGSTOP)
    finally:
        heartbeat.BEAT_SECONDS, heartbeat.SILENT_BEATS = before


def run_at_once(folder: Path, rounds: int, processes: int = 3) -> Tally:
    """Start several runs on one store at the same moment: one works, the others say so or find it finished."""
    expected = simulate_network(NETWORK, **SETTINGS).attrs["digest"]
    tally = Tally(f"{processes} runs on one store")
    for turn in range(rounds):
        store = folder / f"shared-{turn}.sqlite"
        runs = [start_run(store, 1) for _ in range(processes)]
        ended = [(*run.communicate(timeout=300), run.returncode) for run in runs]
        finished = [output for output, _, code in ended if code == 0]
        refused = [errors for _, errors, code in ended if code != 0]
        tally.detected(["refused"] if refused else [])
        if not finished:
            tally.wrong(f"round {turn}: nobody finished")
        if any(f"digest {expected}" not in output for output in finished):
            tally.wrong(f"round {turn}: another digest")
        if any("no other run is using" not in errors.splitlines()[-1] for errors in refused):
            tally.wrong(f"round {turn}: {refused}")
        if verify_store(store):
            tally.wrong(f"round {turn}: {verify_store(store)}")
    return tally
