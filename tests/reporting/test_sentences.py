from __future__ import annotations

import math

import pandas as pd
import pytest

from varprop.reporting.sentences import advice, agreement_words, draws_words, headline, verdict
from varprop.results.schema import COMPARED_COLUMNS, PREDICTED_COLUMNS, SIMULATED_COLUMNS, tidy


def _table(**quantities: list[float]) -> pd.DataFrame:
    rows = [
        {
            "case": "a",
            "layer": layer,
            "quantity": q,
            "value": v,
            "log_value": math.log(v) if v > 0 else math.nan,
        }
        for q, values in quantities.items()
        for layer, v in enumerate(values, start=1)
    ]
    return tidy(rows, PREDICTED_COLUMNS)


def _verdicts(*verdicts: str, reason: str = "noise") -> pd.DataFrame:
    rows = [
        {
            "case": "a",
            "quantity": "preactivation_variance",
            "verdict": v,
            "reason": reason if v == "undecided" else "",
        }
        for v in verdicts
    ]
    return tidy(rows, COMPARED_COLUMNS)


NOTHING = tidy([], SIMULATED_COLUMNS)


@pytest.mark.parametrize(
    ("signal", "gradient", "saturated", "badge", "words"),
    [
        (
            [1, 1, 1],
            [1, 1, 1],
            [0, 0, 0],
            "healthy",
            "Signal keeps its size (×1), gradient keeps its size (×1)",
        ),
        (
            [1, 1, 1],
            [1e9, 1e3, 1],
            [0, 0, 0],
            "gradient explodes",
            "gradient explodes (×1e+09)",
        ),
        (
            [1, 1, 1],
            [1e-9, 1e-3, 1],
            [0.2, 0, 0],
            "gradient vanishes",
            "up to 20 % of the units are saturated",
        ),
        (
            [1, 1e-4, 1e-8],
            [1e-8, 1e-4, 1],
            [0, 0, 0],
            "both vanish",
            "Signal vanishes (×1e-08)",
        ),
        ([1, 1e4, 1e8], [1e-8, 1e-4, 1], [0, 0, 0], "signal explodes, gradient vanishes", "Signal explodes"),
        ([1, 1, 1e9], [1, 1, 1], [0, 0, 0], "signal explodes", "Signal explodes (×1e+09, first at layer 3)"),
        ([1, 1, 1], [1, 1, 1], [0, 0.9, 0], "saturated", "up to 90 % of the units are saturated"),
        ([0, 0, 0], [0, 0, 1], [0, 0, 0], "no signal", "Every pre-activation is exactly zero"),
        (
            [501],
            [1],
            [0.84],
            "saturated",
            "Pre-activations have mean square 501, 84 % of the units are saturated",
        ),
        # One layer has nothing to be compared with: that is not known, which is not healthy.
        ([1.5], [1], [1e-4], "not known", "Pre-activations have mean square 1.5"),
    ],
)
def test_one_sentence_says_what_happens(
    signal: list[float], gradient: list[float], saturated: list[float], badge: str, words: str
) -> None:
    theory = _table(
        preactivation_second_moment=signal, gradient_preactivation=gradient, saturated_fraction=saturated
    )
    _, found, sentence = verdict("a", theory, NOTHING, _verdicts("agrees"))
    assert found == badge
    assert words in sentence
    assert sentence.endswith("theory agrees in its one row.")
    assert sentence.count(". ") == 0


def test_a_half_that_is_off_by_design_is_no_symptom() -> None:
    flat = {
        "preactivation_second_moment": [1, 1],
        "gradient_preactivation": [1, 1],
        "saturated_fraction": [0.6, 0.6],
    }
    assert verdict("a", _table(**flat), NOTHING, _verdicts("agrees"))[1] == "saturated"
    off = _table(**flat, inactive_fraction=[0.6, 0.6])
    mood, badge, sentence = verdict("a", off, NOTHING, _verdicts("agrees"))
    assert (mood, badge) == ("good", "healthy")
    assert "saturated" not in sentence


@pytest.mark.parametrize(
    ("activation", "steps", "words"),
    [
        ("relu", 50, "weights of variance 2/fan_in: signal ×1, gradient ×1"),
        ("linear", 9, "weights of variance 1/fan_in: signal ×1, gradient ×1"),
        ("step", 9, "No gain keeps both level through 9 layers; at best"),
    ],
)
def test_advice_names_the_variance(activation: str, steps: int, words: str) -> None:
    assert words in advice(activation, steps)


def test_what_theory_leaves_open_is_taken_from_the_simulation() -> None:
    measured = _table(
        preactivation_second_moment=[1, 1e6], gradient_preactivation=[1, 1], saturated_fraction=[0, 0]
    )
    theory = measured.assign(value=math.nan, log_value=math.nan)
    assert verdict("a", theory, measured, _verdicts("unpredicted"))[1:] == (
        "signal explodes",
        "Signal explodes (×1e+06), gradient keeps its size (×1); there is no theory for this case.",
    )


def test_depths_beyond_floats_are_judged_by_their_logarithm() -> None:
    rows = [
        {"case": "a", "layer": i, "quantity": q, "value": v, "log_value": log}
        for q in ("preactivation_second_moment", "gradient_preactivation")
        for i, v, log in ((1, 1.0, 0.0), (2, 0.0, -3000.0))
    ]
    mood, badge, sentence = verdict("a", tidy(rows, PREDICTED_COLUMNS), NOTHING, _verdicts("agrees"))
    assert (mood, badge) == ("bad", "signal vanishes, gradient explodes")
    assert "×10^-1303" in sentence


def test_nothing_known_is_said() -> None:
    mood, badge, sentence = verdict("a", _table(), NOTHING, _verdicts())
    assert (mood, badge) == ("open", "not known")
    assert sentence == "There is no theory for this case."


def test_a_refuted_theory_outranks_everything() -> None:
    theory = _table(preactivation_second_moment=[1, 1], gradient_preactivation=[1, 1])
    mood, badge, sentence = verdict("a", theory, NOTHING, _verdicts("agrees", "differs", "undecided"))
    assert (mood, badge) == ("bad", "theory differs")
    assert "agrees in 1 of 3 rows, differs in 1, 1 undecided (too few draws)" in sentence


@pytest.mark.parametrize(
    ("verdicts", "words"),
    [
        (("agrees", "agrees"), "No row differs: theory and simulation agree in 2 of 2 rows."),
        (("differs", "agrees"), "1 row differs: theory and simulation agree in 1 of 2 rows."),
        (("differs", "differs"), "2 rows differ: theory and simulation agree in 0 of 2 rows."),
        (
            ("agrees", "undecided", "unpredicted"),
            "No row differs: theory and simulation agree in 1 of 2 rows, "
            "and 1 stays undecided, with its reason.",
        ),
        (("unpredicted",), "There is no theory for any row; what was measured stands alone."),
    ],
)
def test_the_headline_is_one_sentence(verdicts: tuple[str, ...], words: str) -> None:
    assert headline(_verdicts(*verdicts)) == words


def test_an_unknown_reason_is_passed_on() -> None:
    assert "(a tail: heavy" not in agreement_words(_verdicts("undecided", reason="heavy_tail: kurtosis 40"))
    assert "(heavy tail)" in agreement_words(_verdicts("undecided", reason="heavy_tail: kurtosis 40"))


@pytest.mark.parametrize(
    ("needed", "never", "words"),
    [
        ([], 0, ""),
        ([], 3, ""),
        ([1e22], 0, ""),
        ([350.0], 0, "350 draws settle all of these rows: --draws 350"),
        ([351.0] * 60 + [1920.0], 3, "360 draws settle 97 % of these rows, 2,000 all but 3: --draws 2000"),
        # Two rows that ask for a million draws do not set the number.
        ([400.0] * 60 + [1e6, 1e6], 0, "400 draws settle all but 2 of these rows: --draws 400"),
    ],
)
def test_how_many_draws_would_settle_the_rows(needed: list[float], never: int, words: str) -> None:
    rows = [
        {"case": "a", "layer": layer, "quantity": "preactivation_variance", "verdict": "undecided"} | more
        for layer, more in enumerate([{"draws_needed": n} for n in needed] + [{}] * never, start=1)
    ]
    done = [
        {"case": "b", "layer": layer, "quantity": "preactivation_variance", "verdict": "agrees"}
        for layer in range(1, 61)
    ]
    assert draws_words(tidy(rows + done, COMPARED_COLUMNS), "--draws {}") == words
