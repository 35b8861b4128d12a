"""Gradients below layers that keep the direction of what comes back: exact whatever the law of the layer itself.

Expected values are algebra, and for what is new against an explicit Monte Carlo in plain NumPy.
"""

import numpy as np
import pytest
from scipy.integrate import trapezoid
from scipy.stats import norm

import varprop as vp
from varprop.analytic import predict_network
from varprop.spec import Head, Input, Layer, Network


def rows(x, *layers):
    """Values and orders by (layer, quantity) of a network under the unit head; layers as arguments of `Layer`."""
    network = Network(Input(np.asarray(x, dtype=float)), tuple(Layer(*layer) for layer in layers), Head())
    table = predict_network(network)
    return {(r.layer, r.quantity): (r.value, r.order) for r in table.itertuples()}


def test_relu_above_a_constant_bias():
    """z ~ N(1, 1): slopes are 1 with probability Phi(1), and 10 outputs with weight variance 2/100 look back."""
    network = vp.mlp([100, 10], "relu", "he_normal", biases="constant(value=1.0)", input=vp.half_on(100))
    table = predict_network(network).set_index(["layer", "quantity"])
    for quantity, factor in (
        ("gradient_preactivation", 1.0),
        ("gradient_weight", 0.5),
        ("gradient_bias", 1.0),
    ):
        row = table.loc[1, quantity]
        assert row["value"] == pytest.approx(factor * 0.2 * norm.cdf(1.0), rel=1e-12)
        assert row["order"] == "exact"
    # What goes on to the input meets the weights that decided about the slope.
    assert table.loc[1, "gradient_input"]["order"] != "exact"


LAWS = {
    "constant bias": ("standard_normal", "constant(value=-0.7)", -0.7, np.sqrt(5.0)),
    "bias with a mean": ("standard_normal", "normal(std=2.0,mean=1.0)", 1.0, 3.0),
    "weights with a mean": ("normal(std=1.0,mean=-0.5)", "zeros", 0.5, np.sqrt(5.0)),
}


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("slope", [0.0, 0.3, -0.5])
def test_any_first_layer_below_fair_ones(law, slope):
    """E delta² = (3 s_4)(4 s_3/2)(2 s_2/2) E phi'(z)², x = (1, -2): the layers above pass every direction alike."""
    weights, biases, mean, std = LAWS[law]
    found = rows(
        [1.0, -2.0], (3, f"leaky_relu(slope={slope})" if slope else "relu", weights, biases),
        (2, "relu", "uniform(low=-1,high=1)", "normal(std=0.3)"), (4, "relu", "orthogonal", "rademacher(std=1)"),
        (3, "linear", "normal(std=0.5)", "constant(value=2.0)"),
    )  # fmt: skip
    above = (3 / 4) * (4 * 0.25 / 2) * (2 / 3 / 2)
    square = norm.cdf(mean / std) + slope**2 * norm.sf(mean / std)
    assert found[1, "gradient_preactivation"] == (pytest.approx(above * square, rel=1e-12), "exact")
    assert found[1, "gradient_weight"] == (pytest.approx(2.5 * above * square, rel=1e-12), "exact")
    assert found[2, "gradient_input"] == (pytest.approx(above, rel=1e-12), "exact")


def test_any_activation_below_fair_layers():
    """tanh: E phi'² under N(0, 5) by a sum over a fine grid."""
    found = rows(
        [1.0, -2.0],
        (3, "tanh", "standard_normal"),
        (2, "relu", "standard_normal"),
        (1, "linear", "standard_normal"),
    )
    z = np.linspace(-40, 40, 200_001)
    square = trapezoid(norm.pdf(z, scale=np.sqrt(5.0)) / np.cosh(z) ** 4, z)
    assert found[1, "gradient_preactivation"] == (pytest.approx(square, rel=1e-9), "exact")


@pytest.mark.parametrize(
    "middle",
    [
        ("relu", "standard_normal", "constant(value=1.0)"),
        ("relu", "normal(std=1.0,mean=0.5)", "zeros"),
        ("tanh", "standard_normal", "zeros"),
        ("relu", "rademacher(std=1)", "zeros"),
        ("relu", "sparse(sparsity=0.5)", "zeros"),
    ],
)
def test_no_claim_below_layers_whose_slopes_know_their_weights(middle):
    found = rows([1.0, -2.0], (3, "relu", "standard_normal"), (2, *middle), (2, "linear", "standard_normal"))
    for quantity in ("gradient_preactivation", "gradient_weight"):
        assert found[1, quantity][1] != "exact", quantity
    assert found[2, "gradient_input"][1] != "exact"


@pytest.mark.parametrize("middle", ["step", "sign"])
def test_flat_layers_pass_nothing(middle):
    found = rows(
        [1.0], (3, "tanh", "normal(std=1.0,mean=1.0)"), (2, middle, "rademacher(std=1)", "constant(value=1)"),
        (2, "linear", "standard_normal"),
    )  # fmt: skip
    for layer, quantity in (
        (2, "gradient_preactivation"),
        (2, "gradient_weight"),
        (1, "gradient_weight"),
        (1, "gradient_input"),
    ):
        assert found[layer, quantity] == (0.0, "exact")


def test_a_slope_that_underflows_is_no_exact_zero():
    """Layer 2 is N(-100, 1e-4) only in the limit of wide layers; its units may be on, however seldom."""
    found = rows(
        [1.0], (3, "tanh", "standard_normal"), (2, "relu", "normal(std=0.01)", "constant(value=-100)"),
        (2, "linear", "standard_normal"),
    )  # fmt: skip
    assert found[2, "gradient_preactivation"][1] != "exact"


def test_against_explicit_networks():
    """Draw 200,000 networks 3-2-2-1 with relu and a biased first layer; backpropagate by hand.

    Ten means of 20 batches are compared at 4.5 standard errors: a false alarm in 1 of 400 other seeds (the
    seed is fixed); the smallest error seen is about 2 %.
    """
    rng, draws, x = np.random.default_rng(0), 200_000, np.array([1.0, -1.0, 0.5])
    w1, b1 = rng.standard_normal((draws, 2, 3)), 0.8 * rng.standard_normal((draws, 2)) - 1.0
    w2, w3 = rng.uniform(-1, 1, (draws, 2, 2)), rng.standard_normal((draws, 1, 2))
    z1 = w1 @ x + b1
    h1 = np.maximum(z1, 0)
    z2 = np.einsum("rij,rj->ri", w2, h1)
    h2 = np.maximum(z2, 0)
    d3 = rng.standard_normal((draws, 1))
    u2 = np.einsum("ri,rij->rj", d3, w3)
    d2 = u2 * (z2 > 0)
    u1 = np.einsum("ri,rij->rj", d2, w2)
    d1 = u1 * (z1 > 0)
    measured = {
        (3, "gradient_weight"): np.mean(d3**2 * np.square(h2).mean(1)[:, None], axis=1),
        (3, "gradient_input"): np.square(u2).mean(1),
        (2, "gradient_preactivation"): np.square(d2).mean(1),
        (2, "gradient_weight"): np.square(d2).mean(1) * np.square(h1).mean(1),
        (2, "gradient_input"): np.square(u1).mean(1),
        (2, "inactive_fraction"): (z2 <= 0).mean(1),
        (2, "derivative_second_moment"): (z2 > 0).mean(1),
        (1, "gradient_preactivation"): np.square(d1).mean(1),
        (1, "gradient_weight"): np.square(d1).mean(1) * np.mean(x**2),
        (1, "inactive_fraction"): (z1 <= 0).mean(1),
    }
    found = rows(
        x, (2, "relu", "standard_normal", "normal(std=0.8,mean=-1.0)"), (2, "relu", "uniform(low=-1,high=1)"),
        (1, "linear", "standard_normal"),
    )  # fmt: skip
    for key, values in measured.items():
        value, order = found[key]
        assert order == "exact", key
        batches = values.reshape(20, -1).mean(axis=1)
        error = batches.std(ddof=1) / np.sqrt(20)
        assert abs(value - batches.mean()) < 4.5 * error, key
