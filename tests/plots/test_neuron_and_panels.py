"""One neuron's densities, panels by initializer and layer, the trade-off of the fans."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import varprop as vp
from tests import synthetic
from varprop.plots.neuron import activation_over_density, densities_together, one_neuron
from varprop.plots.panels import (
    binned,
    by_depth_panels,
    common_component,
    histogram_panels,
    learning_panels,
    trade_off,
)

CASES = synthetic.CASES[:2]


def test_densities_on_one_axis_keep_their_own_heights() -> None:
    ax = densities_together(synthetic.predicted(), cases=CASES, reach=4.0, ax=Figure().subplots())
    assert [line.get_label() for line in ax.lines] == list(CASES)
    assert ax.get_ylim()[1] >= max(line.get_ydata().max() for line in ax.lines)


def test_the_activation_lies_over_the_density_on_its_own_axis() -> None:
    sigmoid = vp.activation("sigmoid")
    below = Figure().subplots()
    front = activation_over_density(sigmoid, synthetic.predicted(), case=CASES[0], reach=5.0, ax=below)
    z, height = front.lines[0].get_data()
    assert height == pytest.approx(sigmoid(np.asarray(z)))
    assert front.get_xlim() == below.get_xlim() == (-5.0, 5.0)


def test_one_neuron_has_a_panel_for_all_and_one_for_each() -> None:
    figure = one_neuron(
        vp.activation("sigmoid"),
        synthetic.predicted(),
        synthetic.histograms(),
        cases=CASES,
        reaches=(4, 5, 6),
        names=["a", "b"],
        figure=Figure(),
    )
    assert len(figure.axes) == 5
    assert figure.axes[1].get_xlim() == (-5, 5)


def test_learning_panels_are_the_values_of_the_column() -> None:
    rows = [(n, s, e, "test", e / 4) for n in (64, 1024) for s in "ab" for e in range(4)]
    history = pd.DataFrame(rows, columns=["inputs", "start", "epoch", "split", "accuracy"])
    figure = learning_panels(
        history,
        column="inputs",
        figure=Figure(),
        title="{} inputs",
        value="accuracy",
        step="epoch",
        split="test",
    )
    assert [ax.get_title(loc="left") or ax.get_title() for ax in figure.axes] == ["64 inputs", "1024 inputs"]


def test_depth_panels_draw_roots_and_gradients_backwards() -> None:
    table = synthetic.predicted()
    quantities = ("preactivation_variance", "gradient_preactivation", "saturated_fraction")
    figure = by_depth_panels(
        table, synthetic.simulated(), [(q, "layer > 0", q) for q in quantities], figure=Figure()
    )
    rows = table[(table["case"] == CASES[0]) & (table["quantity"] == quantities[0])]
    theory = next(line for line in figure.axes[0].lines if line.get_marker() == "None")
    assert theory.get_ydata() == pytest.approx(np.sqrt(rows["value"].to_numpy()))
    assert figure.axes[1].xaxis_inverted()
    assert not figure.axes[0].xaxis_inverted()
    assert {t.get_text() for t in figure.legends[0].get_texts()} == set(table["weights"])


def test_histograms_share_a_grid_within_a_row_and_count_everything_inside() -> None:
    rng = np.random.default_rng(0)
    table = binned({("a", "1"): rng.standard_normal(5000), ("a", "2"): 0.01 * rng.standard_normal(5000)})
    one, two = (part for _, part in table.groupby("column"))
    assert one["low"].tolist() == two["low"].tolist()
    area = (two["density"] * (two["high"] - two["low"])).sum()
    assert area == pytest.approx(1.0)
    assert two["std"].iloc[0] == pytest.approx(0.01, rel=0.1)
    figure = histogram_panels(table, figure=Figure())
    assert [ax.texts[0].get_text()[:2] for ax in figure.axes] == ["sd", "sd"]


def test_a_constant_layer_can_be_drawn() -> None:
    figure = histogram_panels(binned({("zeros", "1"): np.zeros(10)}), figure=Figure())
    figure.canvas.draw()


def test_the_trade_off_marks_every_layer_of_every_rule() -> None:
    frame = pd.DataFrame(
        {
            "rule": ["in", "in", "out"],
            "layer": ["1 → 2", "2 → 1", "1 → 2"],
            "forward": [1.0, 1.0, 0.5],
            "backward": [2.0, 0.5, 1.0],
            "forward_measured": [1.01, 1.0, 0.5],
            "backward_measured": [2.0, 0.5, 1.0],
        }
    )
    ax = trade_off(frame, Figure().subplots())
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["in", "out"]
    assert len(ax.texts) == 3


def test_the_common_component_is_a_share() -> None:
    frame = pd.DataFrame(
        {"activation": "relu", "weights": "a", "layer": [1, 2], "predicted": 0.9, "measured": 0.9}
    )
    figure = common_component(frame, figure=Figure())
    assert figure.axes[0].get_ylim() == (-0.05, 1.05)
