from __future__ import annotations

import math

import numpy as np
import pytest
from matplotlib.figure import Figure

from tests import synthetic
from varprop.plots import agreement, parity
from varprop.plots.parity import FURTHEST
from varprop.plots.style import VERDICT_COLORS, looks
from varprop.results.schema import QUANTITIES


def test_parity_draws_every_moment_by_verdict() -> None:
    frame = synthetic.compared()
    ax = parity(frame, ax=Figure().subplots())
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert [name.split(" ")[0] for name in names] == ["agrees", "undecided", "differs"]
    kept = frame.quantity.map(lambda q: QUANTITIES[q].kind).isin(["moment", "loss"])
    assert sum(len(c.get_offsets()) for c in ax.collections) == int((kept & frame.predicted.notna()).sum())


def test_agreement_measures_in_margins_and_clips() -> None:
    frame = synthetic.compared()
    frame.loc[0, ["difference", "margin"]] = [100.0, 1.0]
    ax = agreement(frame, ax=Figure().subplots())
    x = np.concatenate([c.get_offsets()[:, 0] for c in ax.collections if len(c.get_offsets()) > 1])
    assert x.max() == FURTHEST
    assert len(ax.get_yticks()) == frame.quantity.nunique()


@pytest.mark.parametrize("plot", [parity, agreement])
def test_tables_without_judged_rows_are_drawn_empty(plot) -> None:  # type: ignore[no-untyped-def]
    frame = synthetic.compared()
    for empty in (frame.iloc[:0], frame.assign(predicted=math.nan, difference=math.nan)):
        plot(empty, ax=Figure().subplots()).figure.canvas.draw()


def test_verdicts_and_cases_are_told_apart_by_more_than_colour() -> None:
    names = [f"case {i}" for i in range(32)]
    seen = {(look.color, look.marker, str(look.dashes)) for look in looks(names).values()}
    assert len(seen) == 32
    assert len(set(VERDICT_COLORS.values())) == 4
