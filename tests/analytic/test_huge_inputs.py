"""Inputs beside which a bias is nothing: what is predicted is that of the Gaussian alone, at 1e120 as at 1.

Expected values are the centred closed forms; of the network below, E z² = 4 |x|², and its half after a ReLU.
"""

import numpy as np
import pytest

import varprop as vp
from varprop.analytic import predict_network
from varprop.spec import Head, Input, Layer, Network

BIASES = [
    "constant(value=0.5)",
    "uniform(low=0.0, high=1.0)",
    "rademacher(std=1.0)",
    "truncated_normal(std=0.7)",
]


def rows(activation, biases, x):
    layers = (Layer(3, activation, "normal(std=2.0)", biases), Layer(2, "linear", "normal(std=1.0)", "zeros"))
    table = predict_network(Network(Input(x), layers, Head()))
    return {(r.layer, r.quantity): (r.value, r.order) for r in table.itertuples()}


@pytest.mark.parametrize("biases", BIASES)
@pytest.mark.parametrize(
    ("activation", "share"), [("relu", 0.5), ("elu", 0.5), ("mish", 0.5), ("linear", 1.0)]
)
def test_a_bias_is_nothing_beside_a_huge_input(activation, share, biases):
    x = 1e120 * np.array([[1.0, 2.0], [2.0, -1.0]])
    found = rows(activation, biases, x)
    assert found[1, "activation_second_moment"] == (pytest.approx(share * 20e240, rel=1e-9), "exact")
    assert found[2, "preactivation_variance"] == (pytest.approx(3 * share * 20e240, rel=1e-9), "exact")
    if activation != "linear":
        assert found[1, "saturated_fraction"] == (pytest.approx(0.5, rel=1e-9), "exact")


@pytest.mark.parametrize("biases", BIASES)
def test_pairs_of_huge_inputs_are_right_or_not_told(biases):
    # Orthogonal inputs of one size: correlation 1/pi after a ReLU (Cho & Saul 2009, angle pi/2), 0 if linear.
    x = 1e120 * np.array([[1.0, 2.0], [2.0, -1.0]])
    for activation, rho in (("relu", 1.0 / np.pi), ("linear", 0.0)):
        assert rows(activation, biases, x)[2, "correlation"] == (pytest.approx(rho, abs=1e-9), "exact")
    assert rows("mish", biases, x)[2, "correlation"][1] == ""


def test_a_loss_of_huge_outputs_has_a_prediction():
    """Logits of 1e120 are decided: E (sigmoid - y)² = 1/2 for either target."""
    head = Head("bce", np.array([[1.0, 0.0], [0.0, 0.0]]))
    layers = (Layer(2, "linear", "normal(std=2.0)", "normal(std=1.0)"),)
    x = 1e120 * np.array([[1.0, 2.0], [2.0, -1.0]])
    table = predict_network(Network(Input(x), layers, head)).set_index("quantity")
    assert table.loc["gradient_preactivation", "value"] == pytest.approx(0.5, rel=1e-9)
    # Orthogonal inputs: products of the two errors are 1/4 E s s' for s, s' = ±1 independent, plus the targets' part.
    assert np.isfinite(table.loc["gradient_weight_batch", "value"])


def test_waves_keep_their_formula_under_any_bias():
    """E cos(z)² = (1 + e^{-2q} E cos 2b)/2, which is 1/2 at q = 4e4 whatever the bias is."""
    layers = (Layer(3, "cos", "normal(std=2.0)", "uniform(low=0.0, high=1.0)"),)
    table = predict_network(Network(Input(np.array([[100.0]])), layers, Head())).set_index("quantity")
    assert table.loc["activation_second_moment", "value"] == pytest.approx(0.5, rel=1e-12)
    assert vp.activation("cos").moments(4e4).second_moment == pytest.approx(0.5, rel=1e-12)
