from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import varprop as vp
from varprop.pipeline import as_study
from varprop.results.schema import COMPARED_COLUMNS, PREDICTED_COLUMNS, SIMULATED_COLUMNS

NEURON = vp.mlp(50, weights="standard_normal", biases="standard_normal", input=vp.half_on(1000))
DEEP = vp.mlp([30, 30, 10], activation="relu", weights="he_normal", input=vp.half_on(20))


@pytest.mark.parametrize("subject", [NEURON, [NEURON, DEEP], (DEEP,), vp.Study("two", (NEURON, DEEP))])
def test_every_subject_gives_one_table_with_all_cases(subject: object) -> None:
    cases = as_study(subject).cases
    predicted = vp.predict(subject)  # type: ignore[arg-type]
    simulated = vp.simulate(subject, draws=10)  # type: ignore[arg-type]
    compared = vp.compare(predicted, simulated)
    for table, columns in (
        (predicted, PREDICTED_COLUMNS),
        (simulated, SIMULATED_COLUMNS),
        (compared, COMPARED_COLUMNS),
    ):
        assert tuple(table.columns)[: len(columns)] == columns
        assert tuple(table["case"].unique()) == cases
    assert set(predicted.attrs["cases"]) == set(cases)


def test_tables_of_several_cases_are_those_of_each() -> None:
    both = vp.predict([NEURON, DEEP])
    each = pd.concat([vp.predict(NEURON), vp.predict(DEEP)], ignore_index=True)
    pd.testing.assert_frame_equal(both, each, check_flags=False)


def test_networks_of_one_automatic_name_are_told_apart() -> None:
    twins = [vp.mlp([n, 10], activation="relu", weights="he_normal") for n in (20, 30)]
    assert vp.predict(twins)["case"].nunique() == 2


@pytest.mark.parametrize("subject", [None, "he_normal", 3, {}, [], [3], [NEURON, "x"]])
def test_other_subjects_are_refused(subject: object) -> None:
    with pytest.raises(vp.InputError):
        vp.predict(subject)  # type: ignore[arg-type]


def test_a_study_gives_the_defaults_and_arguments_replace_them() -> None:
    study = vp.Study("s", (DEEP,), draws=7, seed=3)
    assert set(vp.simulate(study).n_draws) == {7}
    assert set(vp.simulate(study, draws=9).n_draws) == {9}
    again = vp.simulate(DEEP, draws=7, seed=3)
    pd.testing.assert_frame_equal(vp.simulate(study), again, check_flags=False)


def test_progress_is_told_to_the_end() -> None:
    seen: list[float] = []
    vp.simulate([NEURON, DEEP], draws=20, progress=lambda report: seen.append(report.fraction))
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_examine_answers_a_study_with_what_was_asked() -> None:
    found = vp.examine(DEEP, draws=12, seed=5)
    assert (found.study.draws, found.study.seed) == (12, 5)
    assert set(found.simulated["n_draws"]) == {12}
    assert set(found.seconds) == {"theory", "simulation", "comparison"}
    assert found.settings["sampler"] == "auto"
    assert found.simulated.attrs == {}
    assert [(h.case, h.layer) for h in found.histograms] == [(DEEP.case, n) for n in (1, 2, 3)]


def test_report_returns_its_page_and_keeps_the_old_one(tmp_path: Path) -> None:
    page = vp.report(DEEP, tmp_path / "out", draws=5)
    assert page == tmp_path / "out" / "report.html"
    with pytest.raises(vp.InputError, match="--force"):
        vp.report(DEEP, tmp_path / "out", draws=10**9)  # refused before any work
    assert vp.report(DEEP, tmp_path / "out", draws=6, force=True) == page


def test_a_store_is_loaded_as_the_table_it_came_from(tmp_path: Path) -> None:
    table = vp.simulate([NEURON, DEEP], draws=10, store=tmp_path / "run.sqlite")
    loaded = vp.load(tmp_path / "run.sqlite")
    pd.testing.assert_frame_equal(loaded, table, check_flags=False)
    with pytest.raises(vp.InputError, match="store"):
        vp.load(tmp_path / "missing.sqlite")
