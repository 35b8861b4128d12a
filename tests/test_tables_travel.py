"""A table that was filtered, sorted, joined or written and read means the same to every function that takes one."""

from __future__ import annotations

import io
import json
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import varprop as vp
from varprop.diagnosis import CHANGE_COLUMNS
from varprop.montecarlo.draw_spread import measured_spread
from varprop.plots import agreement, by_depth, density, density_panels, parity
from varprop.plots.panels import by_depth_panels
from varprop.plots.theory import fan
from varprop.reporting.evidence import Evidence
from varprop.reporting.markdown import to_markdown
from varprop.reporting.study_document import study_document
from varprop.reporting.tables import to_csv, to_json

KEYS = ["case", "layer", "quantity"]
NETWORKS = (
    vp.mlp([12, 20, 8], "relu", "lecun_normal", input=vp.gaussian(10, 3), name="NaN-free, 1st"),
    vp.mlp([15] * 3, "tanh", "normal(std=0.3)", "normal(std=0.1)", vp.gaussian(10, 3), name="2"),
)
STUDY = vp.Study("two", NETWORKS, draws=40)


def read_csv(table: pd.DataFrame, **options: object) -> pd.DataFrame:
    frame: pd.DataFrame = pd.read_csv(io.StringIO(table.to_csv(index=False)), **options)  # type: ignore[call-overload]
    return frame


def parquet(table: pd.DataFrame) -> pd.DataFrame:
    pytest.importorskip("pyarrow")
    buffer = io.BytesIO()
    table.to_parquet(buffer)
    return pd.read_parquet(buffer)


def categories(table: pd.DataFrame) -> pd.DataFrame:
    return table.astype({name: "category" for name in table.columns if table[name].dtype == object})


def nullable(table: pd.DataFrame) -> pd.DataFrame:
    with np.errstate(invalid="ignore"):  # pandas 2.1 asks whether columns with NaN or infinity are integers
        return table.convert_dtypes()


JOURNEYS: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "sorted": lambda t: t.sort_values(["quantity", "layer", "case"], ascending=[False, False, True]),
    "shuffled": lambda t: t.sample(frac=1.0, random_state=3),
    "joined anew": lambda t: pd.concat([t[t["case"] == name] for name in reversed(t["case"].unique())]),
    "joined, of other provenance": lambda t: pd.concat([t[t["layer"] < 3], t[t["layer"] >= 3].copy()]),
    "CSV": read_csv,
    "CSV with an index": lambda t: pd.read_csv(io.StringIO(t.to_csv())),
    "CSV as text": lambda t: read_csv(t, dtype=str),
    "CSV with empty cells as text": lambda t: read_csv(t, keep_default_na=False),
    "parquet": parquet,
    "categories": categories,
    "nullable": nullable,
    "columns in another order": lambda t: t[list(reversed(t.columns))],
    "with a sweep's variable": lambda t: t.assign(rate=t["case"].astype(str).str.len(), tag="a"),
    "without provenance": lambda t: pd.DataFrame(t.to_dict("list")),
}

SHOWN = ("shuffled", "joined anew", "CSV as text", "nullable", "categories")
"""One of each kind, for what takes longer."""


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    found = {"predicted": vp.predict(STUDY), "simulated": vp.simulate(STUDY, estimator="plain")}
    found["compared"] = vp.compare(found["predicted"], found["simulated"])
    rng = np.random.default_rng(0)
    arrays = {f"z{i}": [rng.normal(size=(6, 50)) * 0.3**i for _ in range(4)] for i in range(8)}
    found["audit"] = vp.audit_arrays(
        arrays, gradients=dict(reversed(arrays.items())), functions={"z0": "relu"}
    )
    return found


def ordered(table: pd.DataFrame, keys: list[str] = KEYS) -> pd.DataFrame:
    return table.sort_values(keys).reset_index(drop=True)


def drawn(figure_of: Callable[..., object]) -> list[np.ndarray]:
    """Return the data of all lines and marks of a figure, in an order of their own."""
    figure = Figure()
    ax = figure.subplots()
    figure_of(ax=ax)
    lines = [np.asarray(line.get_xydata(), dtype=float) for line in ax.lines]
    marks = [np.asarray(points.get_offsets(), dtype=float) for points in ax.collections]
    kept = [points[np.lexsort(points.T)] for points in [*lines, *marks] if points.size]
    return sorted(kept, key=lambda points: (points.shape, *np.nan_to_num(points).ravel().tolist()))


def test_attrs_are_plain_provenance(tables: dict[str, pd.DataFrame]) -> None:
    """JSON both ways: no array, no list parallel to the rows; nothing grows with the rows of a case."""
    long = vp.simulate(vp.mlp("8x60", "tanh", "lecun_normal"), draws=4)
    for table in [*tables.values(), long, vp.solve(NETWORKS[1]), vp.correlation_curve("tanh", 2.0)]:
        text = json.dumps(table.attrs, allow_nan=False)
        assert json.loads(text) == table.attrs
        assert len(text) < 1500


@pytest.mark.parametrize("journey", JOURNEYS)
def test_compared_diagnosed_advised(journey: str, tables: dict[str, pd.DataFrame]) -> None:
    go = JOURNEYS[journey]
    again = vp.compare(go(tables["predicted"]), go(tables["simulated"]))
    columns = list(tables["compared"].columns)
    pd.testing.assert_frame_equal(ordered(again)[columns], ordered(tables["compared"])[columns])
    assert again.attrs == tables["compared"].attrs
    assert ("rate" in again) == (journey == "with a sweep's variable")
    for table in tables.values():
        found = vp.diagnose(table)
        again = ordered(vp.diagnose(go(table))[found.columns], ["case"])
        pd.testing.assert_frame_equal(again, ordered(found, ["case"]))
        advice = vp.suggest(table)
        assert tuple(advice.columns) == CHANGE_COLUMNS
        pd.testing.assert_frame_equal(
            ordered(vp.suggest(go(table)), ["case", "module", "parameter"]),
            ordered(advice, ["case", "module", "parameter"]),
        )
        alone = go(table[table["case"] == table["case"].iloc[0]])
        assert vp.diagnose_one(alone).health == found["health"].iloc[0]
    spread = measured_spread(tables["simulated"])
    pd.testing.assert_frame_equal(ordered(measured_spread(go(tables["simulated"]))), ordered(spread))


@pytest.mark.parametrize("journey", SHOWN)
def test_drawn(journey: str, tables: dict[str, pd.DataFrame]) -> None:
    go = JOURNEYS[journey]
    predicted, simulated, compared = (tables[name] for name in ("predicted", "simulated", "compared"))
    case = NETWORKS[1].case
    spread = measured_spread(simulated).assign(mean=1.0)
    for name, figure_of in {
        "by_depth": lambda p, s, _: lambda ax: by_depth(p, s, quantity="preactivation_variance", ax=ax),
        "fractions": lambda p, s, _: lambda ax: by_depth(p, s, quantity="inactive_fraction", ax=ax),
        "density": lambda p, *_: lambda ax: density(p, case=case, layer=2, ax=ax),
        "parity": lambda p, s, c: lambda ax: parity(c, ax=ax),
        "fan": lambda *_: (
            lambda ax: fan(go(spread), go(spread), case=case, quantity="gradient_weight", ax=ax)
        ),
    }.items():
        if name == "fan" and "text" in journey:
            continue  # not a table of the contract: columns are numbers or they are not drawn
        one = drawn(figure_of(predicted, simulated, compared))
        two = drawn(figure_of(go(predicted), go(simulated), go(compared)))
        assert len(one) == len(two) > 0, name
        for before, after in zip(one, two, strict=True):
            np.testing.assert_allclose(after, before, err_msg=name)
    # Within its lane a row's height is its rank in the table; its place along the axis is its own.
    lanes = [np.sort(np.concatenate([p[:, 0] for p in drawn(lambda ax, t=t: agreement(t, ax=ax))])) for t in (
        compared, go(compared))]  # fmt: skip
    np.testing.assert_allclose(lanes[1], lanes[0])
    density_panels(go(predicted), cases=[case], layers=[1, 2], figure=Figure())
    by_depth_panels(
        go(predicted), go(simulated), [("all", "width > 0", "gradient_weight")], figure=Figure()
    ) if ("text" not in journey) else None
    assert drawn(lambda ax: parity(go(tables["audit"]), ax=ax))


@pytest.mark.parametrize("journey", SHOWN)
def test_reported(journey: str, tables: dict[str, pd.DataFrame]) -> None:
    go = JOURNEYS[journey]
    texts = []
    for change in (lambda t: t, go):
        evidence = Evidence.of(
            STUDY, *(change(tables[name]) for name in ("predicted", "simulated", "compared"))
        )
        document = study_document(evidence)
        texts.append([document.headline, document.shares, [card.findings for card in document.cards]])
        assert "Layer by layer" in to_markdown(document)
    assert texts[0] == texts[1]
    for table in tables.values():
        assert len(to_csv(go(table)).splitlines()) == len(table) + 1
        assert len(json.loads(to_json(go(table)))) == len(table)


@pytest.mark.parametrize(
    "rows",
    [
        "quantity == 'preactivation_mean' or quantity == 'activation_mean'",
        "quantity == 'preactivation_variance'",
        "layer == 2",
        "case == '2' and layer > 1",
    ],
)
def test_a_part_of_a_table_is_judged_by_the_same_measure(rows: str, tables: dict[str, pd.DataFrame]) -> None:
    """Unit, margin and allowance of a row are its own; only the number of tests in the family may change."""
    part = vp.compare(tables["predicted"].query(rows), tables["simulated"].query(rows)).set_index(KEYS)
    whole = tables["compared"].set_index(KEYS).loc[part.index]
    columns = ["predicted", "measured", "std_error", "difference", "margin", "z_score", "order"]
    pd.testing.assert_frame_equal(part[columns], whole[columns])
    # A table of another engine, which states neither, is judged by what stands around a row.
    bare = [
        tables[name].drop(columns=["second_moment", "depth_over_width"])
        for name in ("predicted", "simulated")
    ]
    columns = ["margin", "z_score", "p_adjusted", "verdict", "reason"]
    pd.testing.assert_frame_equal(vp.compare(*bare)[columns], tables["compared"][columns])


@pytest.mark.parametrize(
    "column", ["case", "layer", "quantity", "value", "std_error", "n_draws", "order", "width"]
)
def test_what_is_missing_is_named(column: str, tables: dict[str, pd.DataFrame]) -> None:
    without = [tables[name].drop(columns=column, errors="ignore") for name in ("predicted", "simulated")]
    with pytest.raises(vp.InputError, match=f"without {column}"):
        vp.compare(*without)


@pytest.mark.parametrize(
    ("draw", "column"),
    [
        (lambda t: by_depth(t["predicted"].drop(columns="log_value"), ax=Figure().subplots()), "log_value"),
        (lambda t: by_depth(t["compared"], ax=Figure().subplots()), "value"),
        (lambda t: by_depth(None, t["predicted"], ax=Figure().subplots()), "ci_low"),
        (lambda t: parity(t["compared"].drop(columns="measured"), ax=Figure().subplots()), "measured"),
        (lambda t: parity(t["predicted"], ax=Figure().subplots()), "predicted"),
        (lambda t: agreement(t["compared"].drop(columns="margin"), ax=Figure().subplots()), "margin"),
        (lambda t: density(t["predicted"].drop(columns="case"), case="2", ax=Figure().subplots()), "case"),
        (lambda t: measured_spread(t["predicted"]), "log_mean"),
    ],
)
def test_plots_name_what_is_missing_too(draw, column, tables) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(vp.InputError, match=rf"without .*{column}"):
        draw(tables)


def test_tables_of_another_network_with_the_same_name_are_refused(tables: dict[str, pd.DataFrame]) -> None:
    with pytest.raises(vp.InputError, match=r"simulated\.width: 13 in .* layer 1 .* 12, as predicted"):
        vp.compare(tables["predicted"], tables["simulated"].replace({"width": {12: 13}}))
    two_runs = pd.concat([tables["simulated"], vp.simulate(STUDY, seed=1, estimator="plain")])
    for judge in (vp.diagnose, vp.suggest, measured_spread, lambda t: vp.compare(tables["predicted"], t)):
        with pytest.raises(vp.InputError, match=r"twice.*different cases"):
            judge(two_runs)


@pytest.mark.parametrize("size", [3.2e75, 3.7e152, 5.3e153, 1e300, 1e-300])
@pytest.mark.parametrize("column", ["std_error", "log_std", "variance_ratio", "plain_std_error"])
def test_absurd_errors_in_a_table_decide_nothing_by_overflow(column, size):
    """Fuzzing edits single numbers of a table; their powers must not end in a warning, nor contradict theory."""
    network = vp.mlp([30, 30, 10], "relu", "he_normal", input=vp.gaussian(30, 3))
    simulated = vp.simulate(network, draws=30)
    simulated[column] = size
    compared = vp.compare(vp.predict(network), simulated)
    assert size < 1.0 or not (compared.verdict == "differs").any()
