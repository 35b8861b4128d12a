"""Time and memory over width, depth, draws, inputs and workers."""

from __future__ import annotations

import pytest

from tests.benchmarks.alone import alone
from tests.benchmarks.contenders import ours
from tests.benchmarks.peers import Workload
from varprop.montecarlo import open_executor

CONDITIONAL, DENSE = "varprop, conditional", "varprop, dense"


def scale(benchmark, group, label, name, work, draws):
    benchmark.group = group
    benchmark.extra_info.update(name=label, unit="draw", work=draws)
    with alone(name, work) as contender:
        contender.run(min(draws, 16))
        benchmark.pedantic(contender.run, (draws,), rounds=3)
        benchmark.extra_info["memory"] = contender.peak


@pytest.mark.parametrize("width", [100, 300, 1000, 3000, 10_000])
def test_width_conditional(benchmark, width):
    work = Workload.of(width, depth=5)
    scale(benchmark, "conditional over width, depth 5, B = 1", f"width {width}", CONDITIONAL, work, 500)


@pytest.mark.parametrize("width", [100, 300, 1000, 3000])
def test_width_dense(benchmark, width):
    work = Workload.of(width, depth=5)
    scale(
        benchmark, "dense over width, depth 5, B = 1", f"width {width}", DENSE, work, max(8, 30_000 // width)
    )


@pytest.mark.parametrize("depth", [5, 10, 20, 50, 100, 200])
def test_depth(benchmark, depth):
    work = Workload.of(1000, depth)
    scale(benchmark, "conditional over depth, width 1000, B = 1", f"depth {depth}", CONDITIONAL, work, 200)


@pytest.mark.parametrize("draws", [50, 200, 1000, 5000])
def test_draws(benchmark, draws):
    work = Workload.of(1000, 5)
    scale(
        benchmark,
        "conditional over draws, width 1000, depth 5, B = 1",
        f"{draws} draws",
        CONDITIONAL,
        work,
        draws,
    )


@pytest.mark.parametrize("batch", [1, 4, 16, 64, 256])
def test_inputs(benchmark, batch):
    work = Workload.of(1000, 5, batch)
    scale(benchmark, "conditional over inputs, width 1000, depth 5", f"B = {batch}", CONDITIONAL, work, 16)


@pytest.mark.parametrize("workers", [1, 2])
def test_workers(benchmark, workers):
    benchmark.group = "workers, width 1000, depth 5, B = 32"
    benchmark.extra_info.update(name=f"{workers} workers", unit="draw", work=200)
    with open_executor(workers) as pool:
        run = ours(CONDITIONAL, Workload.of(1000, 5, 32), pool)
        benchmark.pedantic(run, (200,), rounds=3, warmup_rounds=1)


def test_starting_workers(benchmark):
    benchmark.group = "workers, width 1000, depth 5, B = 32"
    benchmark.extra_info.update(name="starting and ending 2 workers", unit="draw")

    def start() -> None:
        with open_executor(2) as pool:
            ours(CONDITIONAL, Workload.of(10, 2), pool, block_size=4)(8)

    benchmark.pedantic(start, rounds=3)
