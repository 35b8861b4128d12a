"""One network or many, on anything: the same table, honestly timed, within the memory that was promised."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import pandas as pd
import pytest

import varprop as vp
from tests.montecarlo import engine
from varprop import InputError
from varprop.montecarlo import simulate_network, simulate_networks
from varprop.montecarlo.blocks import Block
from varprop.montecarlo.costs import check_memory, default_block_size, draw_seconds, spell_bytes
from varprop.montecarlo.planning import make_plan
from varprop.montecarlo.progress import Progress
from varprop.results.schema import SIMULATED_COLUMNS

FAST = {"draws": 29, "block_size": 5, "seed": 3}


def digest(frame) -> str:
    return frame.attrs["digest"]


@pytest.mark.parametrize("sampler", ["dense", "conditional"])
def test_same_bits_on_any_executor(sampler):
    settings = FAST | {"sampler": sampler}
    expected = simulate_network(engine.network(), **settings)
    shuffled = engine.Shuffled(0)
    with (
        ThreadPoolExecutor(3) as threads,
        ProcessPoolExecutor(2, mp_context=get_context("spawn")) as processes,
    ):
        for executor in (1, 2, threads, processes, shuffled):
            found = simulate_network(engine.network(), **settings, executor=executor)
            assert digest(found) == digest(expected)
            pd.testing.assert_frame_equal(found, expected, check_exact=True)
    shuffled.shutdown()


def test_same_bits_with_several_blas_threads():
    """A product wide enough for BLAS to share it among threads must not depend on how many there are."""
    script = (
        "import varprop as vp; from varprop.montecarlo import simulate_network; "
        "net = vp.mlp([300, 300], 'tanh', 'lecun_normal', input=vp.gaussian(300, 40)); "
        "print(simulate_network(net, draws=4, sampler='dense').attrs['digest'])"
    )
    import os

    digests = {
        subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads},
        ).stdout
        for threads in ("1", "2", "4")
    }
    assert len(digests) == 1


def test_seed_case_and_block_size_decide_the_numbers():
    def run(**changes):
        return digest(simulate_network(engine.network(), **FAST | changes))

    assert run() == run()
    assert len({run(), run(seed=4), run(case=1), run(block_size=6)}) == 4


def test_several_networks_are_the_single_ones_below_one_another():
    nets = [engine.network(), engine.network(activation="relu"), engine.network(width=7)]
    nets[2] = replace(nets[2], name="narrow")
    seen = []
    joint = simulate_networks(nets, **FAST, executor=2, progress=seen.append)
    assert list(joint.columns) == list(SIMULATED_COLUMNS)
    assert [r.blocks for r in seen] == list(range(1, 19))
    for position, net in enumerate(nets):
        single = simulate_network(net, **FAST, case=position)
        rows = joint[joint["case"] == net.case].reset_index(drop=True)
        pd.testing.assert_frame_equal(rows, single, check_exact=True, check_flags=False)
        assert joint.attrs["cases"][net.case]["digest"] == digest(single)


def test_a_study_brings_its_draws_seed_and_share():
    study = vp.Study("s", [engine.network()], draws=10, seed=5, saturation_share=0.2)
    found = simulate_networks(study, block_size=5)
    expected = simulate_network(engine.network(), draws=10, seed=5, share=0.2, block_size=5)
    assert digest(found) != digest(expected)  # the joint digest is one of digests
    assert found.attrs["cases"][engine.network().case]["digest"] == digest(expected)
    assert set(simulate_networks(study, draws=4)["n_draws"]) <= {0, 4}


def test_no_network_is_refused():
    with pytest.raises(InputError, match=r"networks: .* at least one"):
        simulate_networks([])


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"draws": 1}, "draws"),
        ({"draws": 2.0}, "draws"),
        ({"seed": -1}, "seed"),
        ({"sampler": "densee"}, "sampler.*'dense' \\(did you mean"),
        ({"estimator": "contol"}, "estimator.*'control'"),
        ({"share": 0.0}, "share"),
        ({"share": 1.0}, "share"),
        ({"block_size": 3}, "block_size"),
        ({"memory": 0}, "memory"),
        ({"executor": 0}, "workers"),
        ({"case": -1}, "case"),
    ],
)
def test_bad_arguments(options, field):
    with pytest.raises(InputError, match=field):
        simulate_network(engine.network(), **FAST | options)


def test_memory_is_checked_before_work_starts():
    wide = vp.mlp([12_000] * 2, "tanh", "uniform(low=-0.01, high=0.01)")
    seen = []
    with pytest.raises(InputError, match=r"memory: 1\.0 GiB is not allowed; expected at least [\d.]+ GiB"):
        simulate_network(wide, draws=2, sampler="dense", progress=seen.append)
    assert not seen


def test_memory_says_how_many_threads_would_fit():
    plan = engine.plan(width=1000, sampler="dense")
    none, one, two = (check_memory([plan], 2**40, threads=n, window=1) for n in (0, 1, 2))
    assert none < one < two
    with pytest.raises(InputError, match="or 2 instead of 50 threads"):
        check_memory([plan], two, threads=50, window=1)
    with pytest.raises(InputError, match="narrower layers"):
        check_memory([plan], 2**20, threads=1, window=1)


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings", [("conditional", 1000, 4, 8), ("dense", 1000, 4, 8), ("conditional", 60, 60, 2000)]
)
def test_memory_foreseen_is_not_exceeded(settings):
    sampler, width, depth, draws = settings
    script = (
        "import varprop as vp; from varprop.montecarlo import simulate_network; "
        "from tests.montecarlo.resident import peak_bytes; "
        "from varprop.montecarlo.costs import check_memory; "
        "from varprop.montecarlo.planning import make_plan; "
        f"net = vp.mlp([{width}] * {depth}, 'tanh', 'lecun_normal', input=vp.gaussian({width}, 2)); "
        f"plan = make_plan(net, draws={draws}, sampler='{sampler}'); "
        f"simulate_network(net, draws={draws}, sampler='{sampler}'); "
        "print(peak_bytes(), check_memory([plan], 2**40, 1, 1))"
    )
    output = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=engine.ROOT
    ).stdout
    used, foreseen = map(int, output.split())
    assert used <= foreseen


@pytest.mark.slow
def test_peak_memory_does_not_grow_with_the_draws():
    """Resident memory of a run of 20 times the draws is the same within 15 %."""
    script = (
        "import sys, varprop as vp; from varprop.montecarlo import simulate_network; "
        "from tests.montecarlo.resident import peak_bytes; "
        "net = vp.mlp([100] * 8, 'tanh', 'lecun_normal', input=vp.gaussian(100, 2)); "
        "simulate_network(net, draws=int(sys.argv[1])); "
        "print(peak_bytes())"
    )

    def peak(draws: int) -> int:
        run = [sys.executable, "-c", script, str(draws)]
        return int(subprocess.run(run, capture_output=True, text=True, check=True, cwd=engine.ROOT).stdout)

    assert peak(10_000) < 1.15 * peak(500)


def test_block_size_is_a_power_of_two_set_by_the_network():
    sizes = [default_block_size(engine.network(width=w), "dense") for w in (10, 100, 1000, 3000)]
    assert sizes == sorted(sizes, reverse=True)
    assert all(size & (size - 1) == 0 for size in sizes)
    assert (
        make_plan(engine.network(), draws=10).block_size
        == make_plan(engine.network(), draws=10**6).block_size
    )


def test_bytes_are_spelled():
    assert [spell_bytes(n) for n in (0, 1023, 2048, 2**30, 5 * 2**40)] == [
        "0 B",
        "1023 B",
        "2.0 KiB",
        "1.0 GiB",
        "5.0 TiB",
    ]


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_time_left_is_measured_not_predicted():
    """Two cases, the second costlier; the machine is much slower than predicted, two at a time."""
    plans = [engine.plan(draws=50), engine.plan(draws=50, case=1, width=48, sampler="dense")]
    ratio = draw_seconds(plans[1].network, plans[1].sampler) / draw_seconds(
        plans[0].network, plans[0].sampler
    )
    clock, seen = Clock(), []
    progress = Progress(plans, seen.append, clock)
    for index in range(10):  # each block of 5 draws takes 2 s, and two run at a time
        clock.now += 1.0
        progress.finished(0, Block(index, 5), 2.0)
    expected = 50 * 0.4 * ratio / 2
    assert seen[-1].remaining == pytest.approx(expected, rel=0.11)  # the first block started one second early
    assert seen[-1].fraction == pytest.approx(1 / (1 + ratio))
    for index in range(10):  # now the second case is measured: 10 s a block, one at a time
        clock.now += 10.0
        progress.finished(1, Block(index, 5), 10.0)
        if index == 8:
            assert seen[-1].remaining == pytest.approx(10.0, rel=0.1)
    assert seen[-1].remaining == 0.0
    assert seen[-1].fraction == 1.0
    assert seen[-1].elapsed == pytest.approx(110.0)
    assert [r.case for r in seen] == [plans[0].network.case] * 10 + [plans[1].network.case] * 10


def test_blocks_from_a_store_do_not_count_as_speed():
    plans = [engine.plan(draws=50)]
    clock, seen = Clock(), []
    progress = Progress(plans, seen.append, clock)
    for index in range(5):
        progress.finished(0, Block(index, 5), None)
    assert seen[-1].remaining is None
    clock.now += 3.0
    progress.finished(0, Block(5, 5), 3.0)
    assert seen[-1].remaining == pytest.approx(12.0)
