"""Killed at any moment, in any way, a run goes on and gives the same bits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.faults.processes import blocks_of
from tests.montecarlo import engine
from tests.montecarlo.killable import NETWORK, SETTINGS
from tests.montecarlo.processes import descendants, survivors, workers
from varprop.montecarlo import load_store, simulate_network


def start(store, workers: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.montecarlo.killable", str(store), str(workers)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=engine.ROOT
    )


def finish(store, workers: int) -> str:
    process = start(store, workers)
    output, errors = process.communicate(timeout=100)
    assert process.returncode == 0, errors
    return output.splitlines()[-1].split()[1]


@pytest.fixture(scope="module")
def expected() -> str:
    return simulate_network(NETWORK, **SETTINGS).attrs["digest"]


@pytest.mark.slow
def test_ten_random_kills(tmp_path, expected):
    """``kill -9`` ten times, one process or two workers, after a random number of blocks and milliseconds."""
    rng = np.random.default_rng(20)
    store = tmp_path / "run.sqlite"
    seen = 0
    for kill in range(10):
        there = len(blocks_of(store))
        process = start(store, workers=1 + kill % 2)
        assert process.stdout is not None
        assert process.stdout.readline()
        for _ in range(
            there + int(rng.integers(0, 2))
        ):  # past what is there already, which is reported first
            process.stdout.readline()
        time.sleep(rng.uniform(0.0, 0.01))
        started = descendants(process.pid)
        seen += len(workers(process.pid))
        process.kill()
        process.communicate()
        assert survivors(started) == [], "a process outlived its killed parent"
    assert seen >= 4, "no worker was there to outlive its parent"
    assert finish(store, workers=2) == expected
    assert finish(store, workers=1) == expected
    assert load_store(store).attrs["cases"][NETWORK.case]["digest"] == expected


def test_orphans_are_found():
    """Negative control: a child of a thread, and its child, are seen, and seen to outlive a killed parent."""
    script = (
        "import subprocess, threading, time; inner = 'import subprocess; subprocess.run([\\'sleep\\', \\'60\\'])'; "
        "import sys; t = threading.Thread(target=lambda: subprocess.run([sys.executable, '-c', inner])); t.start()"
    )
    process = subprocess.Popen([sys.executable, "-c", script])
    deadline = time.monotonic() + 20
    while len(started := descendants(process.pid)) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()
    try:
        assert len(started) == 2
        assert survivors(started, seconds=0.2) == started
    finally:
        for pid in started:
            os.kill(pid, signal.SIGKILL)
    assert survivors(started) == []


@pytest.mark.parametrize("number", [1, 2])
def test_ctrl_c_leaves_the_store_consistent(tmp_path, expected, number):
    for attempt in range(5):  # on a busy machine a run may end before the signal reaches it
        folder = tmp_path / str(attempt)
        folder.mkdir()
        store = folder / "run.sqlite"
        process = start(store, number)
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
        if "digest" not in output:
            break
    assert "digest" not in output
    assert "KeyboardInterrupt" in errors
    assert [path.name for path in folder.iterdir()] == [
        store.name
    ]  # folded into one file, nothing half-written beside it
    assert finish(store, 1) == expected
