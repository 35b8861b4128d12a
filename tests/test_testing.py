"""Formulas in tests: right ones pass, wrong ones fail with all that is needed to see why."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import varprop as vp
from varprop._validation import InputError
from varprop.testing import assert_agrees, spending

Q = "preactivation_second_moment"
RELU = vp.mlp("60x3", "relu", "he_normal", input=vp.constant(60, 1.0))
"""q = 2 at every layer: He weights keep E z² from 2 · E x² on (K. He et al., 2015)."""


def he(network: vp.Network) -> dict[str, list[float]]:
    q = [2.0 * float(np.mean(network.input.array() ** 2))]
    return {Q: q * network.depth}


class TestExpectations:
    @pytest.mark.parametrize(
        "expected", [2.0, {Q: 2.0}, {Q: [2.0, 2.0, 2.0]}, {Q: {1: 2.0, 3: 2}}, he, lambda network: 2.0]
    )
    def test_every_spelling_of_a_right_formula(self, expected: object) -> None:
        table = assert_agrees(expected, RELU, quantity=Q)
        assert set(table["verdict"]) == {"agrees"}
        assert set(table["quantity"]) == {Q}
        assert table["layer"].tolist() == ([1, 3] if expected == {Q: {1: 2.0, 3: 2}} else [1, 2, 3])

    def test_tables(self) -> None:
        frame = pd.DataFrame({"layer": [1, 2], "quantity": Q, "value": 2.0})
        assert len(assert_agrees(frame, RELU)) == 2
        assert len(assert_agrees(frame.drop(columns="layer").head(1), RELU)) == 3
        assert assert_agrees(frame, RELU, layer=2)["layer"].tolist() == [2]

    def test_several_networks_each_by_its_own_formula(self) -> None:
        other = vp.mlp("60x2", "relu", "he_normal", input=vp.constant(60, 2.0))
        table = assert_agrees(he, [RELU, other])
        assert table.groupby("case", sort=False)["predicted"].first().tolist() == [2.0, 8.0]

    def test_what_is_refused(self) -> None:
        for bad, match in (
            ({"expected": 2.0}, "quantity"),
            ({"expected": {"variance": 2.0}}, "expected"),
            ({"expected": "2", "quantity": Q}, "expected"),
            ({"expected": {Q: float("nan")}}, "expected"),
            ({"expected": {Q: [2.0] * 4}}, "layer 4"),
            ({"expected": 2.0, "quantity": Q, "layer": 9}, "layer 9"),
            ({"expected": {}}, "expected"),
            ({"expected": 2.0, "quantity": Q, "margin": 0.0}, "margin"),
            ({"expected": 2.0, "quantity": Q, "alpha": 2.0}, "alpha"),
            ({"expected": 2.0, "quantity": Q, "budget": 3}, "budget"),
        ):
            with pytest.raises(InputError, match=match):
                assert_agrees(subject=RELU, **bad)  # type: ignore[arg-type]


class TestFailures:
    def test_a_wrong_formula_says_everything(self) -> None:
        with pytest.raises(AssertionError) as caught:
            assert_agrees({Q: [2.0, 2.0, 2.08]}, RELU, seed=3)
        first, line = str(caught.value).splitlines()
        assert first == "1 of 3 rows does not agree (margin 2 %, alpha 0.05, seed 3):"
        for part in (f"layer 3, {Q}: differs: predicted 2.08, measured", "±", "interval", "z = -", "draws"):
            assert part in line

    def test_undecided_at_the_budget_fails(self) -> None:
        noisy = vp.mlp("60x3", "relu", "he_uniform", input=vp.constant(60, 1.0))
        with pytest.raises(AssertionError, match=r"undecided .*some [\d,]+ would settle it"):
            assert_agrees(2.0, noisy, quantity=Q, layer=3, budget=50)

    def test_the_margin_decides(self) -> None:
        assert_agrees(2.08, RELU, quantity=Q, margin=0.1)
        with pytest.raises(AssertionError, match="differs"):
            assert_agrees(2.08, RELU, quantity=Q, margin=0.01)

    def test_an_exact_formula_may_not_be_wrong_by_any_amount(self) -> None:
        frame = pd.DataFrame({"quantity": [Q], "value": [2.02]})
        assert_agrees(frame, RELU)
        with pytest.raises(AssertionError, match="differs"):
            assert_agrees(frame.assign(order="exact"), RELU)

    def test_same_seed_same_outcome(self) -> None:
        one, other = (assert_agrees(2.0, RELU, quantity=Q, seed=4) for _ in range(2))
        pd.testing.assert_frame_equal(one, other)
        assert not one.equals(assert_agrees(2.0, RELU, quantity=Q, rng=5))


class TestCompare:
    def test_minimal_frames(self) -> None:
        seen = vp.simulate(RELU, draws=400)
        own = pd.DataFrame({"layer": [1, 2, 3], "quantity": Q, "value": [2.0, 2.0, 2.2]})
        table = vp.compare(own, seen)
        assert table["verdict"].tolist()[:3] == ["agrees", "agrees", "differs"]
        assert set(table["verdict"][3:]) == {"unpredicted"}
        assert table["width"].tolist()[:3] == [60] * 3
        with pytest.raises(InputError, match="layer 4"):
            vp.compare(own.assign(layer=[1, 2, 4]), seen)
        with pytest.raises(InputError, match="two values"):
            vp.compare(own.assign(layer=[1, 2, 2]), seen)


class TestSpending:
    def test_calls_share(self) -> None:
        levels = []
        with spending(0.04):
            for _ in range(3):
                with pytest.raises(AssertionError) as caught:
                    assert_agrees(3.0, RELU, quantity=Q, layer=1)
                levels.append(str(caught.value).split("alpha ")[1].split(",")[0])
        assert levels == ["0.02", "0.01", "0.005"]


PLUGIN_TESTS = """
import pytest
import varprop as vp
from varprop.testing import assert_agrees as direct

NET = vp.mlp("30x2", "relu", "he_normal", input=vp.constant(30, 1.0))
Q = "preactivation_second_moment"

@pytest.mark.varprop
@pytest.mark.parametrize("seed", range(3))
def test_marked(seed, varprop_share):
    assert varprop_share == pytest.approx(0.08 / 5)
    direct(2.0, NET, quantity=Q, layer=1, seed=seed)

def test_by_fixture(assert_agrees):
    assert_agrees(2.0, NET, quantity=Q, layer=2)

@pytest.mark.varprop
def test_wrong(assert_agrees):
    assert_agrees(2.5, NET, quantity=Q, layer=1)

def test_something_else(varprop_share):
    direct(2.0, NET, quantity=Q, layer=1)
"""


def test_marked_tests_share_one_alpha_on_every_worker(tmp_path: Path) -> None:
    (tmp_path / "test_formulas.py").write_text(PLUGIN_TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\nvarprop_alpha = 0.08\naddopts = --strict-markers\n")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "varprop.pytest_plugin",
            "-n",
            "2",
            "test_formulas.py",
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(vp.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 failed, 5 passed" in done.stdout, done.stdout + done.stderr
    # Half of 0.08/5: the first of as many calls as the test may make.
    assert "alpha 0.008" in done.stdout
