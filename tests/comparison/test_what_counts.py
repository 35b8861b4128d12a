"""What counts as a test of its own, what an interval covers, and how many draws settle a table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tests.comparison.tables import compared, pair
from varprop._validation import InputError
from varprop.comparison import compare_frames, draws_to_settle, holm
from varprop.results.schema import PREDICTED_COLUMNS, SIMULATED_COLUMNS, tidy

TWINS = [
    ("gradient_preactivation", "gradient_bias", "tanh"),
    ("gradient_weight", "gradient_weight_batch", "tanh"),
    ("inactive_fraction", "dead_fraction", "relu"),
    ("inactive_fraction", "saturated_fraction", "relu"),
    ("preactivation_second_moment", "activation_second_moment", "linear"),
]


class TestWhatCounts:
    @pytest.mark.parametrize(("one", "other", "activation"), TWINS)
    def test_rows_that_are_one_statement_count_once(self, one: str, other: str, activation: str) -> None:
        first, second = (
            pair(0.4, 0.41, 0.004, quantity=name, activation=activation) for name in (one, other)
        )
        table = compared(first, second)
        assert table.attrs["tests"] == 1
        assert table["p_adjusted"].to_numpy() == pytest.approx(table["p_value"].to_numpy())

    def test_equal_numbers_alone_do_not_make_one_statement(self) -> None:
        for one, other in (
            ("gradient_preactivation", "gradient_weight"),
            ("preactivation_variance", "data_variance"),
        ):
            table = compared(pair(0.4, 0.41, 0.004, quantity=one), pair(0.4, 0.41, 0.004, quantity=other))
            assert table.attrs["tests"] == 2
        # The identity passes its moments on; tanh does not. Layers are never one another.
        moments = ("preactivation_second_moment", "activation_second_moment")
        assert (
            compared(*(pair(1.0, 1.0, 0.1, quantity=q, activation="tanh") for q in moments)).attrs["tests"]
            == 2
        )
        assert compared(*(pair(1.0, 1.0, 0.1, layer=layer) for layer in (1, 2))).attrs["tests"] == 2

    def test_rows_that_should_be_equal_and_are_not_are_both_tested(self) -> None:
        table = compared(
            pair(1.0, 1.0, 0.004, quantity="gradient_preactivation"),
            pair(1.0, 1.1, 0.004, quantity="gradient_bias"),
        )
        assert table.attrs["tests"] == 2
        assert table["verdict"].tolist() == ["agrees", "differs"]

    def test_what_does_not_vary_counts_nowhere(self) -> None:
        alone = compared(pair(1.0, 1.03, 0.01))
        among = compared(pair(1.0, 1.03, 0.01), *(pair(1.0, 1.0, 0.0, layer=n) for n in range(2, 200)))
        assert among.attrs["tests"] == 1
        assert among["p_adjusted"].iloc[0] == alone["p_adjusted"].iloc[0]

    def test_a_family_larger_than_its_p_values(self) -> None:
        # 0.01·5 and 0.02·4, as if three more were to come.
        assert holm([0.01, 0.02], 5) == pytest.approx([0.05, 0.08])


class TestAgreement:
    def test_the_number_of_rows_does_not_matter(self) -> None:
        row = pair(1.0, 1.002, 0.008)
        crowd = [pair(1.0, 1.0, 0.01, layer=n) for n in range(2, 500)]
        alone, among = compared(row), compared(row, *crowd)
        assert alone["verdict"].iloc[0] == among["verdict"].iloc[0] == "agrees"
        assert alone.loc[0, ["ci_low", "ci_high"]].tolist() == among.loc[0, ["ci_low", "ci_high"]].tolist()

    def test_a_difference_at_the_margin_is_called_agreement_one_time_in_forty(self) -> None:
        """20,000 means of 200 normal draws whose truth lies exactly at the margin: 2.5 % agree.

        Two-sided intervals at 5 % miss on that side with probability 2.5 %; a count beyond 5 standard deviations
        (445 to 555 of 20,000 are 2.5) has probability 6e-7. Intervals at the table's level would give 0 to 5.
        """
        rng = np.random.default_rng(12)
        draws = rng.normal(0.02, 0.05, size=(20_000, 200))
        keys = [
            {"case": f"c{i}", "layer": 1, "width": 100, "quantity": "preactivation_mean"}
            for i in range(20_000)
        ]
        theory = tidy(
            [k | {"value": 0.0, "second_moment": 1.0, "order": "infinite"} for k in keys], PREDICTED_COLUMNS
        )
        theory["allowance"] = 1.0
        seen = tidy(
            [
                k | {"value": float(x.mean()), "std_error": float(x.std(ddof=1) / 200**0.5), "n_draws": 200}
                for k, x in zip(keys, draws, strict=True)
            ],
            SIMULATED_COLUMNS,
        )
        agreed = int((compare_frames(theory, seen)["verdict"] == "agrees").sum())
        assert abs(agreed - 500) < 5 * (20_000 * 0.025 * 0.975) ** 0.5


class TestLooks:
    def test_a_look_spends_its_part_of_alpha(self) -> None:
        (theory, seen) = pair(1.0, 1.001, 0.006)
        for look, level in ((0, 0.05), (1, 0.025), (3, 0.00625)):
            table = compare_frames(
                tidy([theory], PREDICTED_COLUMNS), tidy([seen | {"look": look}], SIMULATED_COLUMNS)
            )
            half = float(table["measured"].iloc[0] - table["ci_low"].iloc[0]) / 0.006
            assert half == pytest.approx(stats.t.isf(level / 2, 199), rel=1e-9)
            assert table["p_adjusted"].iloc[0] == pytest.approx(
                min(table["p_value"].iloc[0] * 2.0**look, 1.0)
            )
            assert table["look"].iloc[0] == look


class TestDrawsToSettle:
    def table(self) -> pd.DataFrame:
        return compared(
            pair(1.0, 1.0, 0.001),
            pair(1.0, 1.0, 0.02, layer=2),
            pair(1e-9, 0.0, 0.0, quantity="saturated_fraction"),
            pair(1.0, 1.5, 0.1, layer=3, flag="heavy_tail"),
        )

    def test_unseen_events_need_the_draws_that_bound_them(self) -> None:
        # 1 - 0.025^(1/R) <= 0.01 from R = ln(0.025)/ln(0.99) = 367.04 on.
        needed = float(self.table()["draws_needed"].iloc[2])
        assert 367 <= needed <= 371
        for draws, word in ((368, "agrees"), (366, "undecided")):
            row = compared(pair(1e-9, 0.0, 0.0, quantity="saturated_fraction", draws=draws))
            assert row["verdict"].iloc[0] == word

    def test_rows_add_up(self) -> None:
        found = draws_to_settle(self.table(), [200, 400, 10_000])
        assert found["settled"].tolist() == [1, 2, 3]
        assert found["open"].tolist() == [3, 2, 1]
        assert found["share"].tolist() == [0.25, 0.5, 0.75]
        assert draws_to_settle(self.table())["settled"].iloc[-1] == 3

    def test_what_it_refuses(self) -> None:
        for bad in (0, [0], ["x"], "400"):
            with pytest.raises(InputError, match="draws"):
                draws_to_settle(self.table(), bad)  # type: ignore[arg-type]
        with pytest.raises(InputError, match="compared"):
            draws_to_settle(self.table().drop(columns="draws_needed"))
