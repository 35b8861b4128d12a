"""Audits as tables: advice needs no more than their rows, whatever was done to them, and changes are one model's."""

from __future__ import annotations

import io
import json

import pandas as pd
import pytest
from matplotlib.figure import Figure

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

import varprop as vp  # noqa: E402
from varprop.plots import agreement, parity  # noqa: E402

pytestmark = pytest.mark.torch


class Block(nn.Module):
    """Residual blocks whose branches keep the size of the stream, so that it doubles at each."""

    def __init__(self) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 16)) for _ in range(12)
        )
        for branch in self.branches:
            for layer in (branch[0], branch[2]):
                nn.init.normal_(layer.weight, std=(2 / 16) ** 0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for branch in self.branches:
            x = x + branch(x)
        return x


def deep() -> nn.Module:
    return nn.Sequential(
        *(layer for _ in range(14) for layer in (nn.Linear(16, 16), nn.ReLU())), nn.Linear(16, 4)
    )


@pytest.fixture(scope="module")
def audits() -> list[pd.DataFrame]:
    inputs = torch.ones(4, 16)
    return [
        vp.audit(model, inputs, draws=3).assign(case=name)
        for name, model in (("deep", deep), ("block", Block))
    ]


JOURNEYS = {
    "shuffled": lambda t: t.sample(frac=1.0, random_state=0),
    "CSV": lambda t: pd.read_csv(io.StringIO(t.to_csv(index=False))),
    "text": lambda t: pd.read_csv(io.StringIO(t.to_csv(index=False)), dtype=str),
    "categories": lambda t: t.astype({"op": "category", "module": "category", "parameter": "category"}),
}


@pytest.mark.parametrize("journey", JOURNEYS)
def test_advice_and_verdict_need_the_rows_alone(journey: str, audits: list[pd.DataFrame]) -> None:
    both = JOURNEYS[journey](pd.concat(audits))
    order = ["case", "module", "parameter"]
    expected = pd.concat([vp.suggest(table) for table in audits]).sort_values(order)
    assert set(expected["case"]) == {"deep", "block"}
    found = vp.suggest(both).sort_values(order)
    pd.testing.assert_frame_equal(found.reset_index(drop=True), expected.reset_index(drop=True))
    for table in audits:
        case = table["case"].iloc[0]
        one = vp.diagnose(both).set_index("case").loc[case]
        pd.testing.assert_series_equal(one, vp.diagnose(table).set_index("case").loc[case])
    assert (expected.loc[expected["case"] == "block", "rule"].str.contains("12 residual branches")).any()
    for draw in (parity, agreement):
        draw(both, ax=Figure().subplots())


def test_attrs_of_an_audit_are_small_and_plain(audits: list[pd.DataFrame]) -> None:
    for table in audits:
        assert json.loads(json.dumps(table.attrs)) == table.attrs
        assert len(json.dumps(table.attrs)) < 1000


def test_an_audit_with_nodes_taken_out_is_not_advised(audits: list[pd.DataFrame]) -> None:
    with pytest.raises(vp.InputError, match=r"an audit without rows of node 3 .*all rows of vp\.audit"):
        vp.suggest(audits[0][audits[0]["layer"] != 3])


def test_changes_are_those_of_one_model(audits: list[pd.DataFrame]) -> None:
    changes = vp.suggest(pd.concat(audits))
    own = changes[changes["case"] == "deep"]
    before, after = (vp.audit(deep, torch.ones(4, 16), draws=3, changes=made) for made in (None, own))
    # The gradient loses a factor (1/6)^14 = e^-25 as torch draws it; at width 16 three draws of He's spread by e^±3.
    gained = [vp.diagnose_one(table).backward.log_factor for table in (before, after)]
    assert abs(gained[1]) < 0.5 * abs(gained[0])
    for wrong, said in (
        (changes, "changes to 2 cases"),
        (pd.concat([own, own]), "twice"),
        (own.drop(columns="suggested"), "without suggested"),
        ("all", "a str without"),
    ):
        with pytest.raises(vp.InputError, match=f"changes: .*{said}"):
            vp.audit(deep, torch.ones(4, 16), draws=2, changes=wrong)  # type: ignore[arg-type]
