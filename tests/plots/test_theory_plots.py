"""Figures of the theory's tables: the curves are the tables' and the marks where they belong."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import varprop as vp
from varprop.plots.style import figure_style
from varprop.plots.theory import correlation_map, fan, length_map, panels, phase_map, spectrum


def axes():
    return Figure().subplots()


def drawn(figure):
    with figure_style():
        figure.canvas.draw()


def test_the_length_map_ends_where_it_crosses_the_diagonal():
    ax = length_map(vp.length_curve("tanh", 3.58, start=0.2, steps=60), axes())
    path = ax.lines[2]
    x, y = path.get_xdata()[-1], path.get_ydata()[-1]
    assert x == pytest.approx(y)
    assert x == pytest.approx(1.79, abs=0.01)
    drawn(ax.figure)


def test_the_correlation_map_keeps_equal_inputs_equal():
    ax = correlation_map(vp.correlation_curve("tanh", 2.5, 0.05), axes())
    assert ax.lines[1].get_ydata()[-1] == pytest.approx(1.0)
    drawn(ax.figure)


def test_the_phase_map_marks_the_edge():
    frame = vp.phase_diagram("tanh", np.linspace(0.5, 3, 8), np.linspace(0, 0.5, 5))
    ax = phase_map(frame, axes())
    assert len(ax.collections) == 2
    drawn(ax.figure)


def test_a_phase_map_without_an_edge_can_be_drawn():
    frame = vp.phase_diagram("tanh", np.linspace(0.2, 0.5, 3), np.linspace(0, 0.1, 2))
    drawn(phase_map(frame, axes()).figure)


def test_the_spectrum_of_drawn_networks_has_the_mass_of_the_values_that_are_not_zero():
    values = np.r_[np.zeros(50), np.linspace(0.5, 1.5, 150)]
    ax = spectrum(vp.spectral_density("linear", 1.0, 2), values, ax=axes())
    heights, edges, _ = ax.patches[0].get_data()
    assert float(heights @ np.diff(edges)) == pytest.approx(0.75)
    drawn(ax.figure)


FAN = pd.DataFrame(
    [(c, q, k, 1.0, 0.8**k, 0.5**k, 2.0) for c in "ab" for q in "pq" for k in (1, 2, 3)],
    columns=["case", "quantity", "layer", "mean", "median", "low", "high"],
)


def test_the_fan_draws_one_case_and_quantity_of_many():
    ax = fan(FAN, FAN, case="a", quantity="q", ax=axes())
    assert ax.lines[1].get_ydata().tolist() == pytest.approx([0.8, 0.64, 0.512])
    assert [t.get_text() for t in ax.get_legend().get_texts()] == [
        "5 to 95 % of draws",
        "mean",
        "median",
        "drawn",
    ]
    drawn(ax.figure)


def test_panels_have_titles_that_are_shown_letter_by_letter():
    figure = panels({"plain": lambda ax: ax.plot([0, 1]), "$x$": lambda ax: ax.plot([1, 0])})
    assert [ax.get_title() for ax in figure.axes] == ["plain", r"\$x\$"]
    drawn(figure)


def test_a_fan_is_one_line_in_order_of_layers() -> None:
    shuffled = FAN.sample(frac=1.0, random_state=0)
    for frame in (shuffled, shuffled.drop(columns="case")[shuffled["case"] == "a"]):
        ax = fan(frame, case="a", quantity="q", ax=axes())
        assert ax.lines[0].get_xdata().tolist() == sorted(FAN.loc[FAN["case"] == "a", "layer"].unique())
    twice = pd.concat([FAN, FAN.assign(case="b")])
    for wrong in (twice[twice["quantity"] == "q"], FAN[:0]):
        with pytest.raises(vp.InputError, match=r"frame: \d+ rows for \d+ layers"):
            fan(wrong, ax=axes())


def test_phase_diagrams_are_not_averaged() -> None:
    one = vp.phase_diagram("tanh", [1.0, 2.0], [0.0, 0.1])
    both = pd.concat([one, vp.phase_diagram("erf", [1.0, 2.0], [0.0, 0.1])])
    with pytest.raises(vp.InputError, match=r"frame\.activation: 2 activations"):
        phase_map(both, ax=axes())
