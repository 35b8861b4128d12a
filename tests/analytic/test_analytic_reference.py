"""Predictions against mpmath (reference/analytic_mpmath.py): the neuron, heads, norms, whole networks."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import varprop as vp
from varprop.analytic import predict_network
from varprop.analytic.cross_entropy import softmax_averages
from varprop.analytic.forward import forward
from varprop.analytic.norm_factor import norm_factor
from varprop.spec import Head, Layer, Network

REFERENCE = pd.read_csv(Path(__file__).parents[1] / "reference" / "analytic.csv")


def reference(kind):
    return REFERENCE[REFERENCE["kind"] == kind]


def value(table, layer, quantity):
    row = table[(table["layer"] == layer) & (table["quantity"] == quantity)].iloc[0]
    return row["value"]


@pytest.mark.parametrize(
    ("name", "weights"), [("standard", "standard_normal"), ("scaled", "normal(std=0.03162277660168379332)")]
)
def test_nielsens_neuron(name, weights):
    neuron = vp.mlp(
        [1], output_activation="sigmoid", weights=weights, biases="standard_normal", input=vp.half_on(1000)
    )
    # sigmoid' at 1 % of the asymptotes is 4 · 0.01 · 0.99 of its maximum
    table = predict_network(neuron, share=4 * 0.01 * 0.99)
    assert (table["order"] == "exact").all()
    for row in reference("neuron").query("name == @name").itertuples():
        quantity = {"one_percent_tails": "saturated_fraction"}.get(row.quantity, row.quantity)
        assert value(table, 1, quantity) == pytest.approx(row.value, rel=1e-11), quantity


@pytest.mark.parametrize(
    "row", [pytest.param(r, id=r.name) for r in reference("kurtosis").itertuples(index=False)]
)
def test_kurtosis_of_a_first_layer(row):
    name, biased = row.name.rsplit("-", 1)
    std = 10**-0.5
    law = {
        "uniform": f"uniform(low={-(3**0.5) * std!r}, high={3**0.5 * std!r})",
        "truncated": "variance_scaling(scale=0.4, distribution=truncated)",
        "rademacher": f"rademacher(std={std!r})",
    }[name]
    layer = Layer(6, "tanh", law, "normal(std=0.5)" if biased == "1" else "zeros")
    state = forward(Network(vp.data([[1.0, 2.0, 3.0, 0.5]], name="x"), (layer,)))[0]
    assert state.unit.kurtosis[0] == pytest.approx(row.value, rel=1e-12)


@pytest.mark.parametrize(
    "row", [pytest.param(r, id=f"{r.name}-{r.quantity}") for r in reference("bce").itertuples(index=False)]
)
def test_binary_cross_entropy(row):
    q, y = (float(part.split("=")[1]) for part in row.name.split(","))
    network = Network(
        vp.constant(4, 1.0), (Layer(7, "linear", f"normal(std={(q / 4) ** 0.5!r})"),), head=Head("bce", y)
    )
    table = predict_network(network)
    if row.quantity == "loss":
        assert value(table, 1, "initial_loss") == pytest.approx(7 * row.value, rel=1e-10)
    else:
        assert value(table, 1, "gradient_preactivation") == pytest.approx(row.value, rel=1e-10)


@pytest.mark.parametrize(
    "row",
    [pytest.param(r, id=f"{r.name}-{r.quantity}") for r in reference("softmax").itertuples(index=False)],
)
def test_softmax_cross_entropy(row):
    q, classes = (float(part.split("=")[1]) for part in row.name.split(","))
    network = Network(
        vp.constant(4, 1.0),
        (Layer(int(classes), "linear", f"normal(std={(q / 4) ** 0.5!r})"),),
        head=Head("softmax_ce", 1),
    )
    table = predict_network(network)
    quantity = "initial_loss" if row.quantity == "loss" else "gradient_preactivation"
    assert value(table, 1, quantity) == pytest.approx(row.value, rel=1e-9)
    assert table[table["quantity"] == quantity]["order"].tolist() == ["exact"]


def test_softmax_of_zero_logits_and_of_huge_ones():
    assert softmax_averages(10, 0.0)[:2] == (
        pytest.approx(np.log(10), rel=1e-15),
        pytest.approx(0.1, rel=1e-15),
    )
    near, far = softmax_averages(10, 299.9), softmax_averages(10, 300.1)
    assert far.loss == pytest.approx(near.loss, rel=1e-3)
    assert far.squares == pytest.approx(near.squares, rel=1e-5)


NETWORKS = {
    "tanh-wide-narrow": ("tanh", (20, 60, 30, 50, 10), 2.0, "normal(std=0.3)"),
    "gelu-constant-bias": ("gelu", (16, 40, 80, 5), 1.5, "constant(value=0.2)"),
    "sigmoid-large": ("sigmoid", (25, 100, 100, 1), 50.0, "standard_normal"),
    "relu-shifted": ("relu", (10, 30, 20, 4), 2.0, "normal(std=0.5, mean=-0.5)"),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_recursions_of_whole_networks(name):
    phi, widths, sw2, biases = NETWORKS[name]
    network = vp.mlp(
        list(widths[1:]),
        activation=phi,
        weights=f"variance_scaling(scale={sw2})",
        biases=biases,
        input=vp.data([[1 + j / 10 for j in range(widths[0])]], name="ramp"),
    )
    table = predict_network(network, order="infinite")
    for row in reference("network").query("name == @name").itertuples():
        found = value(table, row.layer, row.quantity)
        assert found == pytest.approx(row.value, rel=1e-10, abs=1e-14), (row.layer, row.quantity)


@pytest.mark.parametrize(
    "row", [pytest.param(r, id=f"{r.name}-{r.quantity}") for r in reference("norm").itertuples(index=False)]
)
def test_norm_factors(row):
    a, n = (float(part.split("=")[1]) for part in row.name.split(","))
    assert getattr(norm_factor((a, 1.0), int(n)), row.quantity) == pytest.approx(
        row.value, rel=1e-10, abs=1e-12
    )


def test_norm_factor_of_a_leaky_layer():
    rows = reference("leaky").set_index("quantity")["value"]
    factor = norm_factor((0.5, 1.0), 2)
    assert factor.log_mean == pytest.approx(rows["log_mean"], abs=1e-9)
    assert factor.log_variance == pytest.approx(rows["log_square"] - rows["log_mean"] ** 2, rel=1e-8)
    assert (factor.mean, factor.dead) == (pytest.approx(1.25), 0.0)
    assert factor.square_ratio == pytest.approx(1 + (1.5 * (1 + 0.5**4) / 0.625**2 - 1) / 2)


def test_pairs_of_inputs():
    rows = reference("pair").set_index("quantity")["value"]
    # Inputs whose first-layer covariance is ((1.2, 0.7), (0.7, 0.8)), exactly.
    root = np.linalg.cholesky([[1.2, 0.7], [0.7, 0.8]])
    network = vp.mlp(
        [50, 1], activation="tanh", weights="lecun_normal", input=vp.data(root * 2**0.5, name="two")
    )
    table = predict_network(network)
    squares = [predict_network(vp.mlp([50, 1], activation="tanh", weights="lecun_normal",
                                      input=vp.data(root[[i]] * 2**0.5, name="one"))) for i in (0, 1)]  # fmt: skip
    q1, q2 = (value(t, 2, "preactivation_second_moment") for t in squares)
    assert value(table, 2, "correlation") == pytest.approx(rows["product"] / np.sqrt(q1 * q2), rel=1e-9)
    assert value(table, 2, "data_variance") == pytest.approx((q1 + q2) / 2 - rows["product"], rel=1e-9)
