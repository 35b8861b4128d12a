"""Blocks are merged in order whatever ran them, a bounded number at a time; failures are said clearly."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
import weakref
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import active_children, get_context

import numpy as np
import pytest

from tests.montecarlo import engine
from varprop import InputError
from varprop.montecarlo import execution
from varprop.montecarlo.blocks import Block
from varprop.montecarlo.execution import BlockError, WorkerError, execute
from varprop.montecarlo.executors import count_workers, open_executor, window_of
from varprop.montecarlo.pools import Here, ProcessPool


@pytest.fixture
def traced(monkeypatch):
    monkeypatch.setattr(execution, "run_block", engine.trace_block)


def run(plans, executor, **options):
    return [statistics for _, statistics in execute(plans, executor, **options)]


@pytest.mark.parametrize("seed", range(5))
def test_order_of_merging_is_block_order(traced, seed):
    plans = [engine.plan(case=0), engine.plan(case=1, draws=14)]
    expected = run(plans, Here())
    assert expected[0].blocks == (0, 1, 2, 3, 4, 5)
    assert expected[1].blocks == (0, 1, 2)
    assert len(expected[0].numbers) == 29
    shuffled = engine.Shuffled(seed)
    assert run(plans, shuffled) == expected
    shuffled.shutdown()


def test_cases_and_blocks_have_streams_of_their_own(traced):
    first, second = run([engine.plan(case=0), engine.plan(case=1)], Here())
    assert len(set(first.numbers) | set(second.numbers)) == 58


def test_submissions_are_bounded(traced):
    shuffled = engine.Shuffled(0, workers=2)
    run([engine.plan(draws=400)], shuffled)
    shuffled.shutdown()
    assert shuffled.most_waiting <= window_of(shuffled) == 7


def test_results_alive_do_not_grow_with_draws(monkeypatch):
    alive: weakref.WeakSet = weakref.WeakSet()
    most = []

    class Counted:
        def merge(self, other):
            most.append(len(alive))
            return self

    def block(plan, block):
        result = Counted()
        alive.add(result)
        return result

    monkeypatch.setattr(execution, "run_block", block)
    peaks = []
    for draws in (100, 2000):
        most.clear()
        with ThreadPoolExecutor(2) as pool:
            run([engine.plan(draws=draws)], pool)
        gc.collect()
        peaks.append(max(most))
    assert max(peaks) <= window_of(ThreadPoolExecutor(2)) + 2


def test_a_failing_block_is_named(monkeypatch):
    def block(plan, block):
        if block.index == 2:
            raise ZeroDivisionError("no luck today")
        return engine.trace_block(plan, block)

    monkeypatch.setattr(execution, "run_block", block)
    for pool in (Here(), ThreadPoolExecutor(2)):
        with pytest.raises(
            BlockError, match=r"lecun_normal · tanh, block 3 of 6 failed: ZeroDivisionError: no luck"
        ):
            run([engine.plan()], pool)


def test_bad_input_found_in_a_block_stays_bad_input(monkeypatch):
    def block(plan, block):
        raise InputError("activation", "f", "another")

    monkeypatch.setattr(execution, "run_block", block)
    with ThreadPoolExecutor(1) as pool, pytest.raises(InputError, match=r"activation: 'f'"):
        run([engine.plan()], pool)


def test_bad_input_found_in_a_worker_process_stays_bad_input():
    plan = engine.plan(activation=engine.custom(engine.failing))
    with open_executor(2) as pool, pytest.raises(InputError, match=r"engine:failing.*no luck today"):
        run([plan], pool)


def test_callers_executor_is_left_open(traced):
    with ThreadPoolExecutor(2) as pool:
        with open_executor(pool) as same:
            assert same is pool
            run([engine.plan()], same)
        assert pool.submit(abs, -1).result() == 1


def test_own_workers_are_gone_afterwards():
    with open_executor(2) as pool:
        assert isinstance(pool, ProcessPool)
        assert pool.submit(abs, -1).result() == 1
        assert active_children()
    assert not active_children()


def test_own_workers_are_killed_at_once_on_ctrl_c():
    start = time.perf_counter()

    def interrupted() -> None:
        with open_executor(2) as pool:
            assert pool.submit(abs, -1).result() == 1
            pool.submit(time.sleep, 60)
            time.sleep(0.1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert time.perf_counter() - start < 30
    assert not active_children()


def test_ctrl_c_cancels_what_waits(traced):
    class Stop:
        def finished(self, case, block, seconds):
            raise KeyboardInterrupt

    shuffled = engine.Shuffled(0)
    with pytest.raises(KeyboardInterrupt):
        run([engine.plan(draws=400)], shuffled, progress=Stop())
    time.sleep(0.05)
    assert all(future.cancelled() for future, _, _ in shuffled._queue)
    shuffled.shutdown()


def test_a_killed_worker_is_replaced(tmp_path, monkeypatch):
    monkeypatch.setenv(engine.FLAG, str(tmp_path / "died"))
    plan = engine.plan(activation=engine.custom(engine.deadly))
    (expected,) = run([plan], Here())
    with open_executor(2) as pool:
        (found,) = run([plan], pool)
    assert (tmp_path / "died").exists()
    assert found.to_bytes() == expected.to_bytes()


def test_a_worker_killed_from_outside_is_replaced():
    plan = engine.plan(draws=200)
    (expected,) = run([plan], Here())

    class Kill:
        blocks = 0

        def finished(self, case, block, seconds):
            self.blocks += 1
            if self.blocks == 5:
                os.kill(active_children()[0].pid, signal.SIGKILL)

    with open_executor(2) as pool:
        (found,) = run([plan], pool, progress=Kill())
    assert found.to_bytes() == expected.to_bytes()


def test_workers_that_always_die_end_the_run(monkeypatch):
    monkeypatch.setattr(execution, "ATTEMPTS", 2)
    plan = engine.plan(activation=engine.custom(engine.always_deadly))
    with (
        open_executor(2) as pool,
        pytest.raises(WorkerError, match=r"its worker died 2 times.*exit code -9.*memory"),
    ):
        run([plan], pool)


def test_a_broken_pool_of_the_caller_is_said():
    plan = engine.plan(activation=engine.custom(engine.always_deadly))
    with (
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool,
        pytest.raises(WorkerError, match="fresh pool"),
    ):
        run([plan], pool)


class Unsendable:
    """Tanh that no other process can have."""

    def __call__(self, z):
        return np.tanh(z)

    def __reduce__(self):
        raise TypeError("never leaves home")


def test_what_cannot_be_sent_is_refused_before_starting():
    plan = engine.plan(activation=engine.custom(Unsendable()))
    with open_executor(2) as pool:
        with pytest.raises(
            InputError, match=r"executor: other processes, .* cannot be sent .*never leaves home"
        ):
            run([plan], pool)
        assert not active_children()
    assert run([plan], Here())


@pytest.mark.parametrize(
    ("workers", "message"),
    [
        (0, "at least 1"),
        (-2, "at least 1"),
        (True, "whole number"),
        (1.5, "executor: 1.5"),
        ("two", "executor"),
    ],
)
def test_bad_executors(workers, message):
    with pytest.raises(InputError, match=message), open_executor(workers):
        pass


def test_counting_workers():
    class Unknown:
        pass

    class Mpi:
        num_workers = 7

    assert count_workers(ThreadPoolExecutor(5)) == 5
    assert count_workers(Mpi()) == 7
    assert count_workers(Unknown()) == 32
    assert window_of(Here()) == 1


def test_blocks_cover_the_draws():
    """The last block has the rest, never fewer than four draws if there are as many."""
    plan = engine.plan(draws=29)
    assert list(plan.blocks())[-1] == Block(5, 4)
    assert len(plan) == 6
    for draws in range(2, 40):
        sizes = [block.draws for block in engine.plan(draws=draws).blocks()]
        assert sum(sizes) == draws
        assert set(sizes[:-1]) <= {5}
        assert min(4, draws) <= sizes[-1] < 9
        assert len(sizes) == len(engine.plan(draws=draws))


def test_a_script_that_starts_workers_when_imported_is_told_so(tmp_path):
    script = tmp_path / "unguarded.py"
    script.write_text(
        "import varprop as vp\n"
        "network = vp.mlp('10x2', 'relu', 'he_normal', input=vp.half_on(10))\n"
        "vp.simulate(network, draws=64, executor=2)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert done.stderr.count("Traceback") == 1
    assert "under if __name__ == '__main__'" in done.stderr.splitlines()[-1]
