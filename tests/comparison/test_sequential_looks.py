"""Verdicts that are reached look by look."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import varprop as vp
from tests.comparison.tables import pair
from varprop._validation import InputError
from varprop.comparison.looks import Looks
from varprop.results.schema import PREDICTED_COLUMNS, SIMULATED_COLUMNS, tidy

BUDGETS = {"a": 800, "b": 800}


def tables(
    *pairs: tuple[dict[str, object], dict[str, object]], look: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    seen = [{**s, "look": look, "n_draws": 50 * 2 ** (look - 1)} for _, s in pairs]
    return tidy([p for p, _ in pairs], PREDICTED_COLUMNS), tidy(seen, SIMULATED_COLUMNS)


class TestLooks:
    def test_first_decisions_are_final_and_settled_cases_are_left_alone(self) -> None:
        theory, first = tables(
            pair(1.0, 1.0, 0.001, case="a"),
            pair(1.0, 1.0, 0.012, case="a", layer=2),
            pair(1.0, 1.0, 0.001, case="b"),
            look=1,
        )
        looks = Looks(theory, margin=0.02, alpha=0.05)
        assert looks.look(first, BUDGETS) == {"a": 1, "b": 0}
        # The first row of case a would differ now; it has been decided.
        _, second = tables(pair(1.0, 1.5, 0.001, case="a"), pair(1.0, 1.0, 0.003, case="a", layer=2), look=2)
        assert looks.look(second, BUDGETS) == {"a": 0}
        found = looks.compared
        assert found["verdict"].tolist() == ["agrees"] * 3
        assert found["measured"].tolist() == [1.0] * 3
        assert found["look"].tolist() == [1, 2, 1]
        assert found["n_draws"].tolist() == [50, 100, 50]

    def test_differs_wins_where_both_hold(self) -> None:
        # One percent off, ten standard errors: inside the margin, and refuted.
        theory, seen = tables(pair(1.0, 1.01, 0.001, case="a"), look=1)
        looks = Looks(theory, margin=0.02, alpha=0.05)
        looks.look(seen, BUDGETS)
        assert looks.compared["verdict"].tolist() == ["differs"]

    def test_the_family_is_the_whole_table_at_every_look(self) -> None:
        many = [pair(1.0, 1.0, 0.001, case="b", layer=layer) for layer in range(1, 100)]
        theory, first = tables(pair(1.0, 1.0, 0.05, case="a"), *many, look=1)
        looks = Looks(theory, margin=0.02, alpha=0.05)
        looks.look(first, BUDGETS)
        _, second = tables(pair(1.0, 1.03, 0.01, case="a"), look=2)
        looks.look(second, BUDGETS)
        row = looks.compared.iloc[0]
        # 100 statements, and a quarter of alpha.
        assert row["p_adjusted"] == pytest.approx(min(100 * 4 * row["p_value"], 1.0))
        assert row["verdict"] == "undecided"

    def test_rows_beyond_the_budget_do_not_keep_a_case_open(self) -> None:
        theory, seen = tables(pair(1.0, 1.0, 0.2, case="a"), pair(1.0, 1.0, 0.012, case="b"), look=1)
        assert Looks(theory, margin=0.02, alpha=0.05).look(seen, BUDGETS) == {"a": 0, "b": 1}


@pytest.mark.agreement
@pytest.mark.slow
def test_false_alarms_of_all_looks_together() -> None:
    """Means of normal draws, five looks at cumulated data, 100 tables of 8 true exact rows.

    At most 5 % may have an alarm; 13 of 100 are exceeded with probability 5e-4 at that rate, and with 0.55 at the 14 %
    that five looks at level 0.05 each would give. The margin is so narrow that no row can agree.
    """
    rng = np.random.default_rng(41)
    alarms = 0
    keys = [{"case": "a", "layer": i, "width": 100, "quantity": "preactivation_mean"} for i in range(1, 9)]
    theory = tidy(
        [k | {"value": 0.0, "second_moment": 1.0, "order": "exact"} for k in keys], PREDICTED_COLUMNS
    )
    for _ in range(100):
        looks = Looks(theory, margin=1e-5, alpha=0.05)
        draws = rng.normal(size=(8, 800))
        for look in range(1, 6):
            part = draws[:, : 50 * 2 ** (look - 1)]
            size = part.shape[1]
            error = part.std(axis=1, ddof=1) / size**0.5
            rows = [
                k | {"value": m, "std_error": e, "n_draws": size, "look": look}
                for k, m, e in zip(keys, part.mean(axis=1), error, strict=True)
            ]
            looks.look(tidy(rows, SIMULATED_COLUMNS), {"a": 10**9})
        alarms += bool((looks.compared["verdict"] == "differs").any())
    assert alarms <= 13


class TestExamine:
    NETWORK = vp.mlp([30, 10], "tanh", "lecun_normal", input=vp.gaussian(8, 2))

    def test_draws_as_many_as_the_rows_need(self) -> None:
        found = vp.examine(self.NETWORK, budget=1600)
        assert set(found.compared["verdict"]) <= {"agrees", "undecided"}
        assert set(found.compared["look"]) > {1}
        last = found.simulated["n_draws"].max()
        assert last == 50 * 2 ** (found.simulated["look"].max() - 1)
        again = vp.examine(self.NETWORK, budget=1600, executor=2)
        pd.testing.assert_frame_equal(found.compared, again.compared, check_exact=True)
        pd.testing.assert_frame_equal(found.simulated, again.simulated, check_exact=True)

    def test_a_number_of_draws_stays_possible(self) -> None:
        found = vp.examine(self.NETWORK, draws=60)
        assert set(found.simulated["n_draws"]) == {60}
        assert set(found.compared["look"]) == {0}
        study = vp.Study("s", (self.NETWORK,), draws=70)
        assert set(vp.examine(study).simulated["n_draws"]) == {70}
        assert set(vp.simulate(vp.Study("s", (self.NETWORK,))).n_draws) == {200}

    def test_what_is_refused(self) -> None:
        with pytest.raises(InputError, match=r"budget.*draws='auto'"):
            vp.examine(self.NETWORK, draws=50, budget=400)
        for bad in ("many", 1, 0.5):
            with pytest.raises(InputError, match="draws"):
                vp.examine(self.NETWORK, draws=bad)  # type: ignore[arg-type]
        with pytest.raises(InputError, match="seconds"):
            vp.examine(self.NETWORK, seconds=-1.0)

    def test_time_that_ran_out_is_recorded(self) -> None:
        wide = vp.mlp([30, 10], "tanh", "lecun_uniform", input=vp.gaussian(8, 2))
        found = vp.examine(wide, seconds=1e-9)
        assert found.settings["stopped"] == {wide.case: "time"}
        assert found.settings["seconds"] == 1e-9
