from __future__ import annotations

import math

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from tests import synthetic
from varprop import InputError
from varprop.plots import by_depth, figure_style
from varprop.results.schema import PREDICTED_COLUMNS, QUANTITIES, tidy


def _axes() -> mpl.axes.Axes:
    return Figure().subplots()


def _rows(case: str, values: list[float], logs: list[float] | None = None) -> pd.DataFrame:
    rows = [
        {"case": case, "layer": i, "quantity": "preactivation_variance", "value": v, "log_value": log}
        for i, (v, log) in enumerate(zip(values, logs or [math.nan] * len(values), strict=True), start=1)
    ]
    return tidy(rows, PREDICTED_COLUMNS)


def _drawn(figure: Figure) -> bytes:
    """Draw in full, because much of matplotlib fails only then."""
    with figure_style():
        figure.canvas.draw()
    return b""


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_every_quantity_can_be_drawn(quantity: str) -> None:
    ax = by_depth(synthetic.predicted(), synthetic.simulated(), quantity=quantity, ax=_axes())
    assert ax.get_title(loc="left") or ax.get_title()
    _drawn(ax.figure)


def test_theory_is_a_line_and_measurement_marks_with_a_band() -> None:
    ax = by_depth(synthetic.predicted(), synthetic.simulated(), ax=_axes())
    styles = [(line.get_linestyle(), line.get_marker()) for line in ax.lines]
    assert sum(style == "None" for style, _ in styles) == len(synthetic.CASES)
    assert len(ax.collections) == len(synthetic.CASES)
    assert ax.get_yscale() == "log"
    assert len(ax.get_legend().get_texts()) == len(synthetic.CASES)


def test_the_line_lies_on_the_values() -> None:
    ax = by_depth(_rows("a", [1.0, 10.0, 100.0]), ax=_axes())
    assert ax.lines[0].get_ydata() == pytest.approx([1.0, 10.0, 100.0])


def test_values_beyond_floats_are_drawn_by_their_logarithm() -> None:
    frame = _rows("a", [1.0, 0.0, 0.0], [0.0, -1000.0, -2000.0])
    ax = by_depth(frame, ax=_axes())
    assert ax.lines[0].get_ydata() == pytest.approx([0.0, -1000 / math.log(10), -2000 / math.log(10)])
    _drawn(ax.figure)


def test_exact_zeros_lie_on_the_lower_edge() -> None:
    ax = by_depth(_rows("zeros", [0.0, 0.0]), ax=_axes())
    assert ax.lines[0].get_ydata() == pytest.approx([ax.get_ylim()[0]] * 2)
    _drawn(ax.figure)


def test_a_single_layer_is_visible() -> None:
    ax = by_depth(synthetic.predicted(depth=1), synthetic.simulated(depth=1), ax=_axes())
    lines = [line for line in ax.lines if line.get_marker() == "None"]
    assert all(np.ptp(line.get_xdata()) > 0 for line in lines)
    _drawn(ax.figure)


@pytest.mark.parametrize("frame", [None, synthetic.predicted().iloc[:0]])
def test_nothing_to_draw_is_said(frame: pd.DataFrame | None) -> None:
    ax = by_depth(frame, ax=_axes())
    assert [text.get_text() for text in ax.texts] == ["no rows"]


def test_rows_without_a_value_are_left_out() -> None:
    ax = by_depth(_rows("a", [1.0, math.nan, 3.0]), ax=_axes())
    assert list(ax.lines[0].get_xdata()) == [1, 3]


def test_deep_networks_get_few_marks() -> None:
    ax = by_depth(None, synthetic.simulated(depth=240), ax=_axes())
    assert ax.lines[0].get_markevery() == 10


@pytest.mark.parametrize(
    "name", ["_hidden", "$x$ and $", "<b>&", "x" * 5000, "\x1b[31m\n", r"\$\alpha", "🦊"]
)
def test_hostile_names_are_shown_harmlessly(name: str) -> None:
    frame = _rows(name, [1.0, 2.0])
    with figure_style():
        ax = by_depth(frame, ax=_axes())
        entries = [text.get_text() for text in ax.get_legend().get_texts()]
    assert len(entries) == 1
    assert len(entries[0]) <= 60


def test_no_global_state_is_touched() -> None:
    before = dict(mpl.rcParams)
    with figure_style():
        _drawn(by_depth(synthetic.predicted(), ax=_axes()).figure)
    assert dict(mpl.rcParams) == before


def test_without_axes_the_current_ones_are_used() -> None:
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots()
    try:
        assert by_depth(synthetic.predicted()) is ax
    finally:
        plt.close(figure)


def test_an_unknown_quantity_is_refused_with_the_close_match() -> None:
    with pytest.raises(InputError, match="preactivation_variance"):
        by_depth(synthetic.predicted(), quantity="preactivation_varianse", ax=_axes())
