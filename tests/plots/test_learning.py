"""Figures of training: what is drawn is what the tables say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import varprop as vp
from varprop.plots.breaking import gradients_by_step, units_by_step
from varprop.plots.learning import (
    bars_by_group,
    components,
    decision_regions,
    failure_bars,
    final_losses,
    learning_curves,
    side_by_side,
)
from varprop.plots.style import figure_style
from varprop.training.outcomes import failure_rates, variance_sources


def axes():
    return Figure().subplots()


def drawn(figure):
    with figure_style():
        figure.canvas.draw()


@pytest.fixture
def history():
    rows = [
        (start, seed, step, "train", (1 + seed) / (1 + step), 0.5 + step / 100)
        for start in ("He", "$x$", "_hidden")
        for seed in range(5)
        for step in (0, 10, 20)
    ]
    return pd.DataFrame(rows, columns=["start", "seed", "step", "split", "loss", "accuracy"])


@pytest.mark.parametrize("value", ["loss", "accuracy"])
def test_curves_are_medians_over_runs(history, value):
    ax = learning_curves(history, value=value, reference=0.7, ax=axes())
    line = ax.lines[0]
    expected = history[history["start"] == "He"].groupby("step")[value].median()
    np.testing.assert_allclose(line.get_ydata(), expected)
    assert ax.get_yscale() == ("log" if value == "loss" else "linear")
    assert len(ax.get_legend().get_texts()) == 3
    drawn(ax.figure)


def test_regions_show_both_classes_and_all_points():
    axis = np.linspace(-1, 1, 5)
    logits = np.add.outer(axis, axis).ravel()
    ax = decision_regions(logits, axis, np.array([[0.5, -0.5], [0.5, -0.5]]), np.array([1, 0]), ax=axes())
    assert sum(len(line.get_xdata()) for line in ax.lines) == 2
    assert len({line.get_marker() for line in ax.lines}) == 2
    drawn(ax.figure)


def test_one_class_everywhere_can_be_drawn():
    ax = decision_regions(
        np.zeros(25), np.linspace(-1, 1, 5), np.zeros((2, 3)), np.array([0, 1, 1]), ax=axes()
    )
    drawn(ax.figure)


def test_final_losses_are_sorted(history):
    ax = final_losses(history[history["step"] == 20], ax=axes())
    assert (np.diff(ax.lines[0].get_ydata()) >= 0).all()
    drawn(ax.figure)


def test_bars_hold_their_intervals():
    index = pd.Index(["a", "b"])
    values = [pd.Series(v, index=index) for v in ([0.5, 1.0], [0.4, 0.9], [0.6, 1.0])]
    ax = bars_by_group(*values, ax=axes())
    assert [bar.get_height() for bar in ax.patches] == [0.5, 1.0]
    drawn(ax.figure)


def test_failures_by_problem(history):
    final = history[history["step"] == 20].assign(problem=lambda t: np.where(t["seed"] < 3, "one", "two"))
    table = failure_rates(final, ["problem", "start"], goal=0.8)
    figure = side_by_side(table, "problem", failure_bars)
    assert [ax.get_title(loc="left") or ax.get_title() for ax in figure.axes] == ["one", "two"]
    assert all(bar.get_height() == 1 for ax in figure.axes for bar in ax.patches)
    drawn(figure)


def test_components_are_shares():
    rng = np.random.default_rng(0)
    rows = [(i, j, np.exp(rng.normal() + i)) for i in range(5) for j in range(5)]
    frame = pd.DataFrame(rows, columns=["seed", "order_seed", "loss"])
    table = variance_sources(pd.concat([frame.assign(model=m) for m in ("a", "b")]), "model")
    ax = components(table, ax=axes())
    heights = np.array([bar.get_height() for bar in ax.patches]).reshape(3, 2)
    np.testing.assert_allclose(heights.sum(axis=0), 1)
    drawn(ax.figure)


def test_the_staircase_of_all_zeros():
    targets = [1] * 6 + [0] * 3
    parts = [
        vp.symmetry(
            vp.mlp([3, 2, 1], phi, "zeros", input=vp.gaussian(2, 9), head="bce", targets=targets), steps=3
        )
        for phi in ("sigmoid", "tanh")
    ]
    frame = pd.concat([p.assign(case="zeros", activation=phi) for p, phi in zip(parts, "st", strict=True)])
    figure = gradients_by_step(frame)
    stairs, flat = (ax.collections[0].get_array().reshape(3, 3).tolist() for ax in figure.axes)
    assert stairs == [[0, 0, 2], [0, 2, 2], [2, 2, 2]]
    assert flat == [[0, 0, 0], [0, 0, 0], [1, 1, 1]]
    drawn(figure)


def test_units_are_groups_of_bars():
    rows = [("zeros", 1, unit, weight, 0.0) for unit in (1, 2) for weight in ("bias", "input")]
    rows += [("random", 1, unit, weight, 0.1 * unit) for unit in (1, 2) for weight in ("bias", "input")]
    figure = units_by_step(pd.DataFrame(rows, columns=["start", "step", "unit", "weight", "value"]))
    assert len(figure.axes) == 2
    assert [bar.get_height() for bar in figure.axes[1].patches] == pytest.approx([0.1, 0.2] * 2)
    drawn(figure)
