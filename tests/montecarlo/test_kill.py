"""Killed at any moment, in any way, a run goes on and gives the same bits."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.montecarlo import engine
from tests.montecarlo.killable import NETWORK, SETTINGS
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


def children(pid: int) -> list[int]:
    return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture(scope="module")
def expected() -> str:
    return simulate_network(NETWORK, **SETTINGS).attrs["digest"]


@pytest.mark.slow
def test_ten_random_kills(tmp_path, expected):
    """``kill -9`` ten times, one process or two workers, after a random number of blocks and milliseconds."""
    rng = np.random.default_rng(20)
    store = tmp_path / "run.sqlite"
    for kill in range(10):
        process = start(store, workers=1 + kill % 2)
        assert process.stdout is not None
        assert process.stdout.readline()
        for _ in range(kill + int(rng.integers(0, 3))):  # what is there is reported first
            process.stdout.readline()
        time.sleep(rng.uniform(0.0, 0.01))
        workers = children(process.pid)
        process.kill()
        process.communicate()
        deadline = time.monotonic() + 10
        while any(alive(worker) for worker in workers):
            assert time.monotonic() < deadline, "a worker outlived its killed parent"
            time.sleep(0.02)
    assert finish(store, workers=2) == expected
    assert finish(store, workers=1) == expected
    assert load_store(store).attrs["cases"][NETWORK.case]["digest"] == expected


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_leaves_the_store_consistent(tmp_path, expected, workers):
    store = tmp_path / "run.sqlite"
    process = start(store, workers)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert "KeyboardInterrupt" in errors
    assert "digest" not in output
    assert [path.name for path in tmp_path.iterdir()] == [
        store.name
    ]  # folded into one file, nothing half-written beside it
    assert finish(store, 1) == expected
