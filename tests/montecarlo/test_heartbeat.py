"""A worker that is stopped is replaced; one that is slow, or was suspended with its parent, is not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from multiprocessing import active_children

import pytest

from tests.montecarlo import engine
from varprop.montecarlo import heartbeat
from varprop.montecarlo.execution import execute
from varprop.montecarlo.executors import open_executor
from varprop.montecarlo.pools import Here, WorkerDied


@pytest.fixture
def impatient(monkeypatch):
    """One second without a sign of life is enough."""
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(heartbeat, "SILENT_BEATS", 10)


def hold_python(turns: int) -> int:
    """Keep the global lock for the whole call: a sum in C never lets the beating thread in."""
    return sum(range(turns))


def test_a_stopped_worker_is_replaced_and_its_block_repeated(impatient):
    plan = engine.plan(draws=200)
    ((_, expected),) = execute([plan], Here())
    stopped = []

    class Stop:
        def finished(self, case, block, seconds):
            if not stopped:
                stopped.append(active_children()[0].pid)
                os.kill(stopped[0], signal.SIGSTOP)

    with open_executor(2) as pool:
        ((_, found),) = execute([plan], pool, progress=Stop())
        assert stopped[0] not in [child.pid for child in active_children()]
    assert found.to_bytes() == expected.to_bytes()


def test_a_stopped_worker_does_not_keep_the_pool_from_ending(impatient):
    with open_executor(2) as pool:
        assert pool.submit(abs, -1).result() == 1
        os.kill(active_children()[0].pid, signal.SIGSTOP)
    assert not active_children()


def test_a_stopped_worker_is_named(impatient):
    with open_executor(2) as pool:
        future = pool.submit(time.sleep, 60)
        while not active_children():
            time.sleep(0.01)
        time.sleep(1.0)  # past its imports
        os.kill(active_children()[0].pid, signal.SIGSTOP)
        with pytest.raises(WorkerDied, match="no sign of life"):
            future.result(timeout=60)


def test_a_slow_block_is_waited_for(impatient):
    """Asleep without using the processor, and busy without letting another thread in: three times the limit."""
    with open_executor(2) as pool:
        pool.submit(abs, -1).result()
        worker = active_children()[0].pid
        start = time.monotonic()
        asleep, busy = pool.submit(time.sleep, 3.0), pool.submit(hold_python, 10**8)
        assert asleep.result() is None
        assert busy.result() == 10**8 * (10**8 - 1) // 2
        assert time.monotonic() - start >= 3.0
        assert worker in [child.pid for child in active_children()]


SUSPENDED = """
import time
from multiprocessing import active_children
from varprop.montecarlo import heartbeat
from varprop.montecarlo.executors import open_executor
if __name__ == "__main__":
    heartbeat.BEAT_SECONDS, heartbeat.SILENT_BEATS = 0.1, 10
    with open_executor(2) as pool:
        pool.submit(abs, -1).result()
        (before,) = [child.pid for child in active_children()]
        print("ready", flush=True)
        pool.submit(time.sleep, 3).result()
        print(before in [child.pid for child in active_children()])
"""


def test_parent_and_worker_stopped_together_go_on(tmp_path):
    """Ctrl-Z, a suspended laptop: waits are counted, not time, so the worker is not taken for dead."""
    script = tmp_path / "suspended.py"
    script.write_text(SUSPENDED)
    with subprocess.Popen(
        [sys.executable, script],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(engine.ROOT)},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        os.killpg(process.pid, signal.SIGSTOP)
        time.sleep(2.0)
        os.killpg(process.pid, signal.SIGCONT)
        assert process.communicate(timeout=60)[0] == "True\n"


def test_a_process_that_is_gone_has_no_time():
    assert heartbeat.processor_ticks(2**22 + 1) is None
