"""Every case of a table is judged by itself, whatever was done to the table; nothing compared is unknown."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest

import varprop as vp

LAWS = {"he_normal": "healthy", "lecun_normal": "vanishing", "normal(std=0.3)": "exploding"}
NETWORKS = [vp.mlp("64x40", "relu", law, input=vp.half_on(64)) for law in LAWS]
FORWARD = ["preactivation_second_moment"]


@pytest.fixture(scope="module")
def predicted() -> pd.DataFrame:
    return vp.predict(NETWORKS)


@pytest.fixture(scope="module")
def tables(predicted: pd.DataFrame) -> dict[str, pd.DataFrame]:
    simulated = vp.simulate(NETWORKS, draws=20, estimator="plain")
    return {
        "predicted": predicted,
        "simulated": simulated,
        "compared": vp.compare(predicted, simulated),
        "concatenated": pd.concat([vp.predict(network) for network in reversed(NETWORKS)]),
        "shuffled": predicted.sample(frac=1.0, random_state=1),
        "categories": predicted.astype({"case": "category", "quantity": "category", "layer": "category"}),
        "from a CSV file": pd.read_csv(io.StringIO(predicted.to_csv())),
        "as text": pd.read_csv(io.StringIO(predicted.to_csv()), dtype=str),
        "columns in another order": predicted[predicted.columns[::-1]],
        "nullable": predicted.convert_dtypes(),
    }


@pytest.mark.parametrize(
    "kind",
    [
        "predicted", "simulated", "compared", "concatenated", "shuffled", "categories", "from a CSV file", "as text",
        "columns in another order", "nullable",
    ],
)  # fmt: skip
def test_every_case_has_its_own_verdict(kind: str, tables: dict[str, pd.DataFrame]) -> None:
    """The mean square of relu layers of equal width n gains n·Var[W]/2 a layer: 1, 1/2 and 64·0.09/2."""
    found = vp.diagnose(tables[kind]).set_index("case")
    assert len(found) == 3
    for network, (law, health) in zip(NETWORKS, LAWS.items(), strict=True):
        row = found.loc[network.case]
        assert (row["forward"], row["backward"]) == (health, health)
        assert row["health"] == ("healthy" if health == "healthy" else "unhealthy")
        rate = {"he_normal": 1.0, "lecun_normal": 0.5, "normal(std=0.3)": 64 * 0.09 / 2}[law]
        if kind not in ("simulated", "compared"):
            assert row["forward_log_factor"] == pytest.approx(39 * np.log(rate), abs=1e-6)
            assert row["backward_typical"] == pytest.approx(rate, rel=1e-6)
        assert row["forward_layer"] == (0 if health == "healthy" else 2)


def test_one_case_speaks_and_several_are_refused(predicted: pd.DataFrame) -> None:
    own = predicted[predicted["case"] == NETWORKS[1].case]
    assert vp.diagnose_one(own).sentences()[0] == "unhealthy"
    with pytest.raises(vp.InputError, match=r"table: a table of 3 cases .*vp\.diagnose"):
        vp.diagnose_one(predicted)


def unknowns() -> dict[str, pd.DataFrame]:
    deep = vp.predict(NETWORKS[1])
    numbers = ["value", "log_value"]
    return {
        "one layer": vp.predict(vp.mlp(10, weights="lecun_normal", input=vp.half_on(10))),
        "one layer of many": deep[deep["layer"] == 7],
        "no prediction": deep.assign(value=np.nan, log_value=np.nan),
        "other quantities": deep[deep["quantity"] == "inactive_fraction"],
        "all but one missing": deep.assign(**{n: deep[n].where(deep["layer"] == 3) for n in numbers}),
    }


@pytest.mark.parametrize("kind", unknowns())
def test_where_nothing_was_compared_the_answer_is_unknown(kind: str) -> None:
    table = unknowns()[kind]
    found = vp.diagnose_one(table)
    assert (found.forward.health, found.backward.health) == ("unknown", "unknown")
    assert (found.health, found.healthy, found.sentences()[0]) == ("unknown", False, "unknown")
    assert vp.diagnose(table)["health"].tolist() == ["unknown"]
    with pytest.raises(vp.InputError, match=r"table: .*, which cannot be judged \(forward: unknown"):
        vp.suggest(table)


def test_half_a_verdict_is_not_healthy() -> None:
    table = vp.predict(NETWORKS[0])
    found = vp.diagnose_one(table[table["quantity"].isin(FORWARD)])
    assert (found.forward.health, found.backward.health, found.health) == ("healthy", "unknown", "unknown")


def test_variables_of_a_sweep_come_along(predicted: pd.DataFrame) -> None:
    scale = predicted["case"].map(dict(zip((n.case for n in NETWORKS), (2.0, 1.0, 5.76), strict=True)))
    found = vp.diagnose(predicted.assign(scale=scale, note=range(len(predicted)), health="mine"))
    assert found["scale"].tolist() == [2.0, 1.0, 5.76]
    assert "note" not in found
    assert found["health"].tolist() == ["healthy", "unhealthy", "unhealthy"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.iloc[:0], "a table without rows"),
        (lambda t: pd.concat([t, t]), "twice"),
        (lambda t: t.drop(columns="layer"), "a table without layer"),
        (lambda t: t.drop(columns="log_value"), "a table without log_value"),
        (lambda t: t.set_index("quantity"), "a table without quantity"),
        (lambda t: t.assign(layer=np.nan), "a whole number"),
        (lambda t: t.assign(value="much"), "numbers"),
        (lambda t: pd.concat([t, t["case"]], axis=1), "two columns case"),
        (lambda t: t["value"], "a DataFrame"),
        (lambda t: None, "a DataFrame"),
    ],
)
@pytest.mark.parametrize("judge", [vp.diagnose, vp.diagnose_one, vp.suggest])
def test_what_is_no_table_is_one_line(change, said, judge) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(vp.InputError, match=said):
        judge(change(vp.predict(NETWORKS[1])))


def test_sampled_tables_of_a_store_are_judged_alike(tmp_path) -> None:  # type: ignore[no-untyped-def]
    simulated = vp.simulate(NETWORKS, draws=5, store=tmp_path / "run.sqlite")
    pd.testing.assert_frame_equal(vp.diagnose(vp.load(tmp_path / "run.sqlite")), vp.diagnose(simulated))
