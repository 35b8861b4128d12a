"""The verdict rule, row by row."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from tests.comparison.tables import MOMENT, compared, pair, row, verdict
from varprop._validation import InputError
from varprop.comparison import compare_frames
from varprop.results.schema import COMPARED_COLUMNS, PREDICTED_COLUMNS, SIMULATED_COLUMNS, tidy

NAN, INF = math.nan, math.inf


class TestExact:
    def test_agrees_inside_the_margin(self) -> None:
        assert verdict(501.0, 502.0, 1.0) == ("agrees", "")

    def test_three_percent_off_differs(self) -> None:
        assert verdict(1.03, 1.0, 0.005) == ("differs", "")

    def test_a_difference_within_the_margin_that_is_real_differs(self) -> None:
        # One percent off, ten standard errors: an exact formula may not be wrong by any amount.
        assert verdict(1.0, 1.01, 0.001) == ("differs", "")

    def test_noise_is_not_agreement(self) -> None:
        table = compared(pair(1.0, 1.001, 0.05))
        assert table.loc[0, ["verdict", "reason"]].tolist() == ["undecided", "noise"]

    def test_draws_needed_are_enough_and_not_many_more(self) -> None:
        needed = float(compared(pair(1.0, 1.0, 0.05))["draws_needed"].iloc[0])
        for draws, word in ((needed, "agrees"), (needed / 3, "undecided")):
            error = 0.05 * math.sqrt(200 / draws)
            # One standard error off, as measurements are.
            assert verdict(1.0, 1.0 + error, error, draws=int(draws))[0] == word


class TestOthers:
    def test_finite_width_is_allowed_for_but_said(self) -> None:
        pairs = [pair(1.0, 1.08, 0.002, order="infinite", layer=layer) for layer in range(1, 11)]
        table = compared(*pairs)  # depth 10, width 100: allowance 0.1
        assert set(table["verdict"]) == {"undecided"}
        assert set(table["reason"]) == {"finite_width"}
        assert table["draws_needed"].isna().all()

    def test_beyond_margin_and_allowance_differs(self) -> None:
        pairs = [pair(1.0, 1.13, 0.001, order="infinite", layer=layer) for layer in range(1, 11)]
        assert set(compared(*pairs)["verdict"]) == {"differs"}

    def test_a_real_difference_within_the_margin_agrees(self) -> None:
        assert verdict(1.0, 1.01, 0.001, order="infinite") == ("agrees", "")

    def test_the_computed_correction_replaces_depth_over_width(self) -> None:
        for allowance, word in ((0.001, "differs"), (0.5, "undecided"), (NAN, "differs")):
            found = verdict(1.0, 1.04, 0.001, order="1/n", width=1000, allowance=allowance)
            assert found[0] == word

    def test_width_of_the_output_layer_does_not_count(self) -> None:
        pairs = [
            pair(1.0, 1.10, 0.001, order="infinite", layer=layer, width=width)
            for layer, width in ((1, 1000), (2, 1000), (3, 1))
        ]
        assert set(compared(*pairs)["verdict"]) == {"differs"}


class TestMargins:
    def test_fractions_and_correlations_are_absolute(self) -> None:
        for quantity in ("saturated_fraction", "correlation"):
            table = compared(pair(0.5, 0.503, 0.0008, quantity=quantity, order="infinite"))
            assert table.loc[0, "margin"] == pytest.approx(0.01)
            assert table.loc[0, "verdict"] == "agrees"

    def test_means_are_in_units_of_the_root_second_moment(self) -> None:
        table = compared(pair(0.0, 0.1, 0.05, quantity="preactivation_mean"), pair(100.0, 100.0, 0.1))
        assert table["margin"].tolist() == pytest.approx([0.2, 2.0])
        # The measured moment serves where there is no prediction.
        table = compared(
            pair(0.0, 0.1, 0.05, quantity="preactivation_mean"), pair(NAN, 25.0, 0.1, note="no theory")
        )
        assert table["margin"].tolist() == pytest.approx([0.1, NAN], nan_ok=True)

    def test_the_margin_scales(self) -> None:
        assert compared(pair(2.0, 2.0, 0.01), margin=0.1).loc[0, "margin"] == pytest.approx(0.2)
        assert compared(pair(0.5, 0.5, 0.01, quantity="dead_fraction"), margin=0.1).loc[
            0, "margin"
        ] == pytest.approx(0.05)


class TestWithoutRandomness:
    """Zeros, constants and identities do not vary over draws."""

    @pytest.mark.parametrize(
        ("predicted", "measured", "order", "word"),
        [
            (0.0, 0.0, "exact", "agrees"),
            (3.0, 3.0 * (1 + 1e-8), "exact", "agrees"),
            (3.0, 3.0 * (1 + 1e-4), "exact", "differs"),
            (0.0, 1e-3, "exact", "differs"),
            (3.0, 3.03, "infinite", "agrees"),
            (3.0, 3.07, "infinite", "undecided"),
            (3.0, 3.2, "infinite", "differs"),
        ],
    )
    def test_compared_to_rounding(self, predicted: float, measured: float, order: str, word: str) -> None:
        assert verdict(predicted, measured, 0.0, order=order)[0] == word

    def test_a_variance_that_is_a_rounding_error_is_zero(self) -> None:
        table = compared(
            pair(0.0, 1e-13, 1e-14, quantity="preactivation_variance"),
            pair(4.0, 4.0, 0.0),
            pair(1.0, 1.0, 0.0, quantity="gradient_weight"),
        )
        assert set(table["verdict"]) == {"agrees"}

    def test_rare_events_that_did_not_happen_are_no_certainty(self) -> None:
        # Draws are counted, not units: 200 without the event leave up to 1 - 0.025^(1/200) = 1.8 %, 2000 leave 0.2 %.
        assert verdict(1e-10, 0.0, 0.0, quantity="saturated_fraction")[0] == "undecided"
        assert verdict(1e-10, 0.0, 0.0, quantity="saturated_fraction", draws=2000)[0] == "agrees"
        assert verdict(0.005, 0.0, 0.0, quantity="saturated_fraction", width=1)[0] == "undecided"
        assert verdict(0.2, 0.0, 0.0, quantity="saturated_fraction")[0] == "differs"
        assert verdict(1.0 - 1e-10, 1.0, 0.0, quantity="saturated_fraction", draws=2000)[0] == "agrees"
        # By construction, on the other hand, they are.
        assert verdict(0.0, 0.0, 0.0, quantity="inactive_fraction", width=1)[0] == "agrees"


class TestTails:
    def test_the_flag_of_the_simulation_counts(self) -> None:
        assert verdict(1.0, 1.5, 0.1, flag="heavy_tail") == ("undecided", "heavy_tail")

    def test_a_wide_spread_of_draws(self) -> None:
        assert verdict(1.0, 0.3, 0.1) == ("undecided", "heavy_tail")

    def test_a_median_far_below_the_mean(self) -> None:
        assert verdict(1.0, 0.8, 0.04, median=0.8)[0] == "differs"
        assert verdict(1.0, 0.8, 0.04, median=0.1) == ("undecided", "heavy_tail")
        assert verdict(1.0, 0.8, 0.04, median=0.1, estimator="control")[0] == "differs"

    def test_means_and_fractions_are_not_flagged(self) -> None:
        assert verdict(0.0, 0.1, 1.0, quantity="preactivation_mean")[1] == "noise"
        assert verdict(1e-5, 2e-5, 1e-5, quantity="saturated_fraction")[0] == "agrees"


class TestBeyondFloatingPoint:
    def test_overflow(self) -> None:
        assert verdict(INF, INF, NAN, predicted_log=800.0, measured_log=801.0) == ("undecided", "overflow")
        assert verdict(1e300, INF, NAN, flag="overflow", measured_log=INF)[1] == "overflow"
        assert verdict(NAN, 1.0, 0.1, predicted_log=800.0)[1] == "overflow"

    def test_vanished(self) -> None:
        assert verdict(0.0, 0.0, 0.0, predicted_log=-800.0, measured_log=-805.0) == ("undecided", "vanished")
        assert verdict(1e-310, 1.1e-310, 0.0)[1] == "vanished"
        assert verdict(0.0, 0.0, 0.0, predicted_log=-INF, measured_log=-INF) == ("agrees", "")

    def test_no_error(self) -> None:
        assert verdict(1.0, 1.0, NAN) == ("undecided", "noise")
        assert verdict(1.0, 1.0, 0.0, draws=1) == ("undecided", "noise")


class TestReasons:
    def test_what_the_prediction_says_is_kept(self) -> None:
        table = compared(
            pair(1.0, 1.0, 0.001, order="approximate", note="weights have a mean"),
            pair(1.0, 1.0, 0.1, layer=2, order="approximate", note="weights have a mean"),
            pair(NAN, 1.0, 0.1, layer=3, order="", note="needs two inputs"),
            pair(NAN, 1.0, 0.1, layer=4, order=""),
        )
        assert table["verdict"].tolist() == ["agrees", "undecided", "unpredicted", "unpredicted"]
        assert table["reason"].tolist() == [
            "weights have a mean",
            "noise: weights have a mean",
            "needs two inputs",
            "no theory for this row",
        ]
        assert table["margin"].isna().tolist() == [False, False, True, True]

    def test_what_the_sampler_does_not_give(self) -> None:
        assert verdict(1.0, NAN, NAN, flag="not given by the chain sampler", draws=0) == (
            "undecided",
            "not measured: not given by the chain sampler",
        )


class TestTables:
    def test_columns_order_and_attrs(self) -> None:
        table = compared(pair(2.0, 2.1, 0.1), alpha=0.1, margin=0.3)
        assert tuple(table.columns) == COMPARED_COLUMNS
        assert table.attrs == {"alpha": 0.1, "margin": 0.3, "tests": 1}
        first = table.iloc[0]
        assert first["difference"] == pytest.approx(0.1)
        assert first["z_score"] == pytest.approx(1.0)
        assert first["ci_low"] < 2.1 < first["ci_high"]

    def test_p_values_count_the_table(self) -> None:
        pairs = [pair(1.0, 1.0 + i / 100, 0.01, layer=i) for i in range(1, 5)]
        table = compared(*pairs)
        from scipy import stats

        p = 2 * stats.t.sf([1, 2, 3, 4], 199)
        # Positive draws with t > 0 are on the side that is not bent.
        assert table["p_value"].to_numpy() == pytest.approx(p, rel=1e-3)  # equality to rounding
        found = table["p_value"].to_numpy()
        assert table["p_adjusted"].to_numpy() == pytest.approx(found * [1, 2, 3, 4], rel=1e-9)
        # The interval is the row's own, whatever the number of rows.
        half = (table["ci_high"] - table["measured"]) / 0.01
        assert stats.t.isf(0.025, 199) <= half.min() <= half.max() < 1.05 * stats.t.isf(0.025, 199)

    def test_rows_of_one_side_only(self) -> None:
        theory = tidy(
            [row(value=1.0, order="exact"), row(layer=2, value=1.0, order="exact")], PREDICTED_COLUMNS
        )
        seen = tidy(
            [row(layer=3, value=1.0, std_error=0.1, n_draws=9), row(value=1.0, std_error=0.001, n_draws=9)],
            SIMULATED_COLUMNS,
        )
        table = compare_frames(theory, seen)
        assert table["layer"].tolist() == [1, 2, 3]
        assert table["verdict"].tolist() == ["agrees", "undecided", "unpredicted"]
        assert table["reason"].tolist() == ["", "not measured", "no theory for this row"]
        assert table["width"].tolist() == [100, 100, 100]
        assert table["width"].dtype == np.int64

    def test_other_order_of_rows_same_table(self) -> None:
        pairs = [pair(1.0, 1.0 + i / 100, 0.01, layer=i) for i in range(1, 5)]
        theory = tidy([p for p, _ in pairs], PREDICTED_COLUMNS)
        seen = tidy([s for _, s in reversed(pairs)], SIMULATED_COLUMNS)
        pd.testing.assert_frame_equal(compare_frames(theory, seen), compared(*pairs))

    def test_disjoint_tables(self) -> None:
        theory = tidy([row(value=1.0)], PREDICTED_COLUMNS)
        seen = tidy([row(case="other", value=1.0, std_error=0.1, n_draws=9)], SIMULATED_COLUMNS)
        with pytest.raises(InputError, match="without a common row"):
            compare_frames(theory, seen)

    @pytest.mark.parametrize("bad", [0.0, -0.1, 1.0, NAN, INF, "0.05", True, None])
    def test_margin_and_alpha(self, bad: object) -> None:
        for name in ("margin", "alpha"):
            with pytest.raises(InputError, match=name):
                compared(pair(1.0, 1.0, 0.1), **{name: bad})  # type: ignore[arg-type]

    def test_no_tables(self) -> None:
        theory, seen = (tidy([], columns) for columns in (PREDICTED_COLUMNS, SIMULATED_COLUMNS))
        for one, other in ((theory, seen), (None, seen), (seen, theory), (theory, "x")):
            with pytest.raises(InputError, match=r"predicted|simulated"):
                compare_frames(one, other)  # type: ignore[arg-type]

    def test_does_not_touch_its_arguments(self) -> None:
        theory = tidy([row(MOMENT, value=1.0, order="exact")], PREDICTED_COLUMNS)
        seen = tidy([row(MOMENT, value=1.0, std_error=0.1, n_draws=9)], SIMULATED_COLUMNS, {"k": [1]})
        before = theory.copy(), seen.copy()
        compare_frames(theory, seen)
        pd.testing.assert_frame_equal(theory, before[0])
        pd.testing.assert_frame_equal(seen, before[1])
        assert seen.attrs == {"k": [1]}


class TestBesideControl:
    """A controlled mean cannot hide what the plain mean or its own innovations refute."""

    def beside(self, plain: float, innovation: float, **more: object) -> tuple[str, str]:
        theory, seen = pair(1.0, 1.0, 1e-5, estimator="control")
        seen |= {
            "plain_value": plain,
            "plain_std_error": 0.01,
            "plain_draws": 200,
            "innovation_p": innovation,
        }
        table = compare_frames(tidy([theory], PREDICTED_COLUMNS), tidy([seen], SIMULATED_COLUMNS))
        return table.loc[0, "verdict"], table.loc[0, "reason"]

    def test_all_three_agree(self) -> None:
        assert self.beside(1.01, 0.5) == ("agrees", "")

    def test_the_plain_mean_refutes(self) -> None:
        assert self.beside(1.06, 0.5) == ("differs", "")

    def test_the_innovations_refute_at_a_tenth_of_alpha(self) -> None:
        assert self.beside(1.01, 0.004) == ("differs", "innovations")
        assert self.beside(1.01, 0.006) == ("agrees", "")

    def test_a_moment_that_no_draw_has_shown_is_not_known_to_be_zero(self) -> None:
        assert verdict(1.0, 0.0, 0.0) == ("undecided", "heavy_tail")
