"""Runs that look at their draws again and again: nested, and the same whatever runs them or stops them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import varprop as vp
from varprop._random import chosen_seed
from varprop._validation import InputError
from varprop.montecarlo.blocks import split
from varprop.montecarlo.looks import default_budget, plans_with_looks, simulate_looks, stop_before
from varprop.montecarlo.progress import Report
from varprop.montecarlo.shown import shown
from varprop.montecarlo.simulation import make_plans, simulate_plans
from varprop.montecarlo.tables import Simulated
from varprop.montecarlo.verification import verify_store

NETWORKS = [
    vp.mlp([20, 10], "relu", "he_uniform", input=vp.gaussian(8, 2)),
    vp.mlp([20, 10], "tanh", "lecun_normal", input=vp.half_on(8)),
]


class Needs:
    """Stands in for the comparison: case i wants `looks[i]` looks."""

    def __init__(self, *looks: int) -> None:
        self.looks = dict(zip([network.case for network in NETWORKS], looks, strict=True))
        self.seen: list[list[tuple[str, int]]] = []

    def __call__(self, cases: Sequence[Simulated]) -> list[int]:
        tables = [case.table for case in cases]
        now = [(str(t["case"].iloc[0]), int(t["look"].iloc[0])) for t in tables]
        assert all(
            (t["n_draws"] == 50 * 2 ** (look - 1)).all() for t, (_, look) in zip(tables, now, strict=True)
        )
        self.seen.append(now)
        return [int(self.looks[case] > look) for case, look in now]


def digests(found: Sequence[Simulated]) -> list[str]:
    return [str(case.table.attrs["digest"]) for case in found]


class TestBlocks:
    @pytest.mark.parametrize("size", [4, 7, 16, 50, 64, 1024])
    def test_a_longer_run_begins_with_a_shorter_one(self, size: int) -> None:
        stops = [50 * 2**k for k in range(8)]
        for short, long in pairwise(stops):
            first, both = (list(split(n, size, 50)) for n in (short, long))
            assert both[: len(first)] == first
            assert [b.index for b in both] == list(range(len(both)))
            assert sum(b.draws for b in both) == long
            assert all(4 <= b.draws < max(size + 4, 8) for b in both)

    def test_without_looks_nothing_changes(self) -> None:
        assert [b.draws for b in split(200, 64)] == [64, 64, 64, 8]
        assert "first_look" not in make_plans(NETWORKS)[0].facts()


class TestRuns:
    def test_only_open_cases_go_on(self) -> None:
        needs = Needs(3, 1)
        found = simulate_looks(plans_with_looks(NETWORKS, 800), needs)
        assert [[look for _, look in step] for step in needs.seen] == [[1, 1], [2], [3]]
        assert [int(case.table["n_draws"].max()) for case in found] == [200, 50]
        assert [int(case.table["look"].iloc[0]) for case in found] == [3, 1]

    def test_a_look_has_the_bits_of_one_run_of_its_length(self) -> None:
        plans = plans_with_looks(NETWORKS, 200, block_size=16)
        assert digests(simulate_looks(plans, Needs(9, 9))) == digests(simulate_plans(plans))

    def test_workers_do_not_matter(self) -> None:
        plans = plans_with_looks(NETWORKS, 400, block_size=16)
        alone = simulate_looks(plans, Needs(4, 2))
        together = simulate_looks(plans, Needs(4, 2), executor=2)
        assert digests(alone) == digests(together)
        for one, other in zip(alone, together, strict=True):
            pd.testing.assert_frame_equal(one.table, other.table, check_exact=True)

    def test_interrupted_and_resumed(self, tmp_path: Path) -> None:
        plans = plans_with_looks(NETWORKS, 400, block_size=16)
        whole = simulate_looks(plans, Needs(4, 3))
        store = tmp_path / "run.sqlite"
        done = 0

        def stop(state: Report) -> None:
            nonlocal done
            done += 1
            if done == 20:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            simulate_looks(plans, Needs(4, 3), store=store, progress=stop)
        resumed = simulate_looks(plans, Needs(4, 3), store=store)
        assert digests(resumed) == digests(whole)
        assert verify_store(store) == []
        loaded = vp.load(store)
        assert loaded.groupby("case", sort=False)["n_draws"].max().tolist() == [400, 200]

    def test_a_store_of_a_fixed_number_of_draws_is_another_run(self, tmp_path: Path) -> None:
        store = tmp_path / "run.sqlite"
        vp.simulate(NETWORKS, draws=20, store=store, estimator="plain")
        with pytest.raises(InputError, match="first_look"):
            simulate_looks(plans_with_looks(NETWORKS), Needs(1, 1), store=store)

    def test_budgets(self) -> None:
        found = simulate_looks(plans_with_looks(NETWORKS, 130), Needs(9, 1))
        assert int(found[0].table["n_draws"].max()) == 100
        assert found[0].table.attrs["stopped"] == "budget"
        assert "stopped" not in found[1].table.attrs
        assert [stop_before(n) for n in (50, 99, 100, 1599, 1600)] == [50, 50, 100, 800, 1600]
        wide = vp.mlp("2000x20", "tanh", "lecun_uniform")
        assert default_budget(wide, "dense") == 200 < default_budget(NETWORKS[0], "dense")
        with pytest.raises(InputError, match="budget"):
            plans_with_looks(NETWORKS, 49)

    def test_a_limit_of_time_ends_between_looks_and_is_recorded(self) -> None:
        needs = Needs(9, 9)
        found = simulate_looks(plans_with_looks(NETWORKS, 800), needs, seconds=1e-9)
        assert len(needs.seen) == 1
        assert [case.table.attrs["stopped"] for case in found] == ["time", "time"]

    def test_progress_says_what_is_open_and_how_long_it_may_take(self) -> None:
        states: list[Report] = []
        simulate_looks(plans_with_looks(NETWORKS, 400, block_size=16), Needs(3, 1), progress=states.append)
        looks = [state.look for state in states]
        assert looks == sorted(looks)
        assert set(looks) == {1, 2, 3}
        assert {state.open_rows for state in states} == {None, 1}
        ends = [
            state for state, later in pairwise([*states, None]) if later is None or later.look != state.look
        ]
        assert [(state.fraction, state.remaining) for state in ends] == [(1.0, 0.0)] * 3
        assert all(state.longest is not None and state.longest >= state.remaining for state in states)
        assert np.all(np.diff([state.elapsed for state in states]) >= 0)


class TestSeeds:
    def test_rng_stands_beside_seed(self) -> None:
        network = NETWORKS[0]
        by_seed = vp.simulate(network, draws=8, seed=5).attrs["digest"]
        assert vp.simulate(network, draws=8, rng=5).attrs["digest"] == by_seed
        assert vp.simulate(network, draws=8, rng=6).attrs["digest"] != by_seed

    def test_sequences_repeat_themselves_and_generators_do_not(self) -> None:
        one, other = (chosen_seed(None, np.random.SeedSequence(3, spawn_key=(k,))) for k in (0, 1))
        assert one == chosen_seed(None, np.random.SeedSequence(3, spawn_key=(0,))) != other
        rng = np.random.default_rng(1)
        first, second = chosen_seed(None, rng), chosen_seed(None, rng)
        assert first != second
        assert first == chosen_seed(None, np.random.default_rng(1))

    def test_what_is_refused(self) -> None:
        for bad in (True, "3", 1.5, -1, np.random.RandomState(1)):
            with pytest.raises(InputError, match="rng"):
                vp.simulate(NETWORKS[0], draws=8, rng=bad)  # type: ignore[arg-type]
        with pytest.raises(InputError, match="not both"):
            vp.simulate(NETWORKS[0], draws=8, seed=1, rng=1)


class TestShown:
    def test_one_line_that_is_written_anew(self) -> None:
        stream = io.StringIO()
        with shown(True, stream) as told:
            assert told is not None
            told(Report("he", 1, 4, 0.25, 1.0, 3.0, look=2, open_rows=7, longest=9.0))
            told(Report("he", 4, 4, 1.0, 4.0, 0.0))
        lines = stream.getvalue().split("\r")
        assert lines[1] == " 25 %  3 s left to look 2, 9 s at most, 7 rows open, he"
        assert lines[2].rstrip() == "100 %  0 s left, he"
        assert "\n" not in stream.getvalue()
        assert not lines[-1]

    def test_true_false_and_nonsense(self, capsys: pytest.CaptureFixture[str]) -> None:
        vp.simulate(NETWORKS[0], draws=8, progress=False)
        assert capsys.readouterr().err == ""
        vp.simulate(NETWORKS[0], draws=8, progress=True)
        assert "100 %" in capsys.readouterr().err
        with pytest.raises(InputError, match="progress"):
            vp.simulate(NETWORKS[0], draws=8, progress=3)  # type: ignore[arg-type]
