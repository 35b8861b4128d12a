"""Zeros, constants, identity, silence, overflow: defined rows, no warnings (warnings are errors here)."""

import numpy as np
import pytest

import varprop as vp
from varprop.analytic import predict_network
from varprop.spec import Layer, Network

X = np.array([[1.0, -2.0, 0.5], [0.3, 0.3, 2.0], [0.0, 0.0, 0.0]])


def table_of(network, **options):
    return predict_network(network, **options).set_index(["layer", "quantity"])


def explicit(network, rng=None):
    """Forward and backward through the (deterministic) network in plain NumPy; mse head, per-example squares."""
    h, tape = network.input.array(), []
    for number, layer in enumerate(network.layers, start=1):
        fan_in, fan_out = network.fans(number)
        w = layer.sample_weights(fan_in, fan_out, rng=np.random.default_rng(0))
        z = w @ h + layer.bias_law(fan_in, fan_out).mean
        tape.append((w, h, z))
        h = layer.activation(z)
    delta = (h - network.targets) * network.layers[-1].activation.derivative(tape[-1][2])
    found = {}
    for number in range(network.depth, 0, -1):
        w, arriving, z = tape[number - 1]
        batch = delta.shape[1]
        found[number, "preactivation_second_moment"] = np.mean(z**2)
        found[number, "gradient_preactivation"] = np.mean(delta**2)
        found[number, "gradient_weight"] = np.mean(np.mean(delta**2, 0) * np.mean(arriving**2, 0))
        found[number, "gradient_weight_batch"] = np.mean((delta @ arriving.T / batch) ** 2)
        found[number, "gradient_input"] = np.mean((w.T @ delta) ** 2)
        if number > 1:
            delta = (w.T @ delta) * network.layers[number - 2].activation.derivative(tape[number - 2][2])
    return found


@pytest.mark.parametrize("weights", ["zeros", "ones", "constant(value=-0.3)", "identity", "identity(gain=2)"])
@pytest.mark.parametrize("activation", ["tanh", "relu", "sigmoid", "linear"])
@pytest.mark.parametrize("biases", ["zeros", "constant(value=0.4)"])
def test_networks_without_randomness_are_computed(weights, activation, biases):
    network = vp.mlp(
        [4, 3, 5], activation=activation, weights=weights, biases=biases, input=vp.data(X, name="x"),
        head="mse", targets=0.25,
    )  # fmt: skip
    table = table_of(network)
    assert (table[table["value"].notna()]["order"] == "exact").all()
    assert (table.xs("preactivation_variance", level=1)["value"] == 0).all()
    for key, expected in explicit(network).items():
        assert table.loc[key, "value"] == pytest.approx(expected, rel=1e-12, abs=1e-300), key


def test_a_known_prefix_is_input_to_the_random_layers():
    prefix = (
        Layer(4, "tanh", "identity"),
        Layer(5, "sigmoid", "constant(value=0.5)", "constant(value=-1.0)"),
    )
    network = Network(vp.data(X, name="x"), (*prefix, Layer(6, "tanh", "standard_normal"), Layer(2)))
    table = table_of(network)
    h = np.tanh(np.vstack([X.T, np.zeros(3)]))
    h = 1 / (1 + np.exp(-(0.5 * h.sum(0) - 1)))
    assert table.loc[(3, "preactivation_variance"), "value"] == pytest.approx(5 * np.mean(h**2))
    assert table.loc[(3, "saturated_fraction"), "order"] == "exact"
    assert table.loc[(1, "preactivation_mean"), "order"] == "exact"


def test_gradients_below_a_known_prefix_are_those_of_explicit_draws():
    """20000 draws; each of six rows within four standard errors (false alarm 4e-4, detects 3 %)."""
    layers = (
        Layer(4, "tanh", "identity(gain=0.8)"),
        Layer(3, "sigmoid", "constant(value=0.4)"),
        Layer(6, "linear"),
    )
    network = Network(vp.data(X, name="x"), layers)
    table = table_of(network)
    h0 = X.T
    z1 = 0.8 * np.vstack([h0, np.zeros(3)])
    h1 = np.tanh(z1)
    h2 = 1 / (1 + np.exp(-np.full((3, 4), 0.4) @ h1))
    rng = np.random.default_rng(5)
    squares = {key: [] for key in ((2, "p"), (2, "x"), (1, "p"), (1, "x"), (1, "w"))}
    for _ in range(20000):
        w = rng.standard_normal((6, 3)) * np.sqrt(2 / 9)
        d2 = (w.T @ rng.standard_normal((6, 3))) * h2 * (1 - h2)
        u = np.full((4, 3), 0.4) @ d2
        d1 = u * (1 - h1**2)
        squares[2, "p"].append(np.mean(d2**2))
        squares[2, "x"].append(np.mean(u**2))
        squares[1, "p"].append(np.mean(d1**2))
        squares[1, "x"].append(np.mean((0.8 * d1[:3]) ** 2))
        squares[1, "w"].append(np.mean(np.mean(d1**2, 0) * np.mean(h0**2, 0)))
    names = {"p": "gradient_preactivation", "x": "gradient_input", "w": "gradient_weight"}
    for (layer, name), values in squares.items():
        row = table.loc[(layer, names[name])]
        assert row["order"] == "exact"
        assert abs(np.mean(values) - row["value"]) < 4 * np.std(values) / len(values) ** 0.5


def test_an_output_layer_of_zeros_stops_the_gradient_exactly():
    network = Network(vp.data(X, name="x"), (Layer(8, "tanh", "lecun_normal"), Layer(3, "linear", "zeros")))
    table = table_of(network)
    assert table.loc[(2, "preactivation_variance"), ["value", "order"]].tolist() == [0.0, "exact"]
    assert table.loc[(1, "gradient_preactivation"), ["value", "order"]].tolist() == [0.0, "exact"]
    assert table.loc[(2, "gradient_weight"), "value"] > 0


def test_a_silent_relu_net_is_exact():
    network = vp.mlp([5, 5, 2], activation="relu", weights="he_normal", input=vp.constant(4, 0.0))
    table = table_of(network)
    assert table.loc[(2, "inactive_fraction"), ["value", "order"]].tolist() == [1.0, "exact"]
    assert table.loc[(1, "gradient_weight"), "value"] == 0.0
    assert table.loc[(3, "gradient_preactivation"), "value"] == 1.0


def test_narrow_relu_nets_count_their_dead_layers():
    # One unit a layer: alive with probability 1/2 each; exact, and far from the infinite-width 1/2.
    network = vp.mlp([1, 1, 1, 1], activation="relu", weights="he_normal", input=vp.constant(3, 1.0))
    table = table_of(network)
    for layer, share in ((1, 1 / 2), (2, 3 / 4), (3, 7 / 8)):
        assert table.loc[(layer, "inactive_fraction"), ["value", "order"]].tolist() == [share, "exact"]
        assert table.loc[(layer, "derivative_second_moment"), "value"] == 1 - share
    # Gradients get through the last three layers if all four are alive.
    assert table.loc[(3, "gradient_preactivation"), "value"] == pytest.approx(2 * 1 / 8)


@pytest.mark.parametrize(("std", "reason"), [(1e6, "overflow"), (1e-6, "vanished")])
@pytest.mark.parametrize("activation", ["relu", "linear", "leaky_relu"])
def test_depth_cannot_overflow_silently(std, reason, activation):
    network = vp.mlp("20x60", activation=activation, weights=f"normal(std={std})", input=vp.constant(20, 1.0))
    table = table_of(network)
    row = table.loc[(60, "preactivation_variance")]
    slope = vp.activation(activation).slopes[0]
    expected = 60 * np.log(20 * std**2) + 59 * np.log((1 + slope**2) / 2)
    assert row["log_value"] == pytest.approx(expected, rel=1e-12)
    assert reason in row["reason"]
    assert row["value"] == (np.inf if reason == "overflow" else 0.0)
    assert reason in table.loc[(1, "gradient_weight"), "reason"]
    assert (
        table[np.isinf(table["value"]) | ((table["value"] == 0) & np.isfinite(table["log_value"]))]["reason"]
        != ""
    ).all()


@pytest.mark.parametrize(
    "activation", ["tanh", "sigmoid", "softplus", "selu", "gelu", "softsign", "hardtanh", "relu6"]
)
@pytest.mark.parametrize("std", [1e-40, 1e40])
def test_extreme_weights_are_defined_for_every_activation(activation, std):
    network = vp.mlp("6x12,3", activation=activation, weights=f"normal(std={std})", input=vp.gaussian(6, 2))
    table = table_of(network)
    bad = ~np.isfinite(table["value"])
    assert (table[bad]["reason"] != "").all()
    logs = table.xs("preactivation_variance", level=1)["log_value"]
    assert np.isfinite(logs).all()


def test_constants_through_many_wide_layers_stay_exact():
    network = vp.mlp("300x150", activation="relu", weights="ones", input=vp.constant(10, 1.0))
    table = table_of(network)
    row = table.loc[(150, "preactivation_second_moment")]
    assert row["log_value"] == pytest.approx(2 * (np.log(10) + 149 * np.log(300)))
    assert (row["order"], row["reason"]) == ("exact", "overflow")


def test_identity_after_a_random_layer_says_what_is_not_known():
    network = Network(
        vp.gaussian(10), (Layer(8, "relu", "he_normal"), Layer(8, "tanh", "identity"), Layer(2))
    )
    table = table_of(network)
    assert table.loc[(2, "preactivation_second_moment"), "order"] == "exact"
    assert np.isnan(table.loc[(2, "saturated_fraction"), "value"])
    assert "identity" in table.loc[(2, "saturated_fraction"), "reason"]


@pytest.mark.parametrize("std", [0.0, 1e-6, 0.05, 1.0])
@pytest.mark.parametrize(
    "biases", ["uniform(low=-1, high=2)", "rademacher(std=0.7)", "sparse(sparsity=0.5, std=0.8)"]
)
def test_biases_of_any_law_count_with_their_own_law(std, biases):
    """Against a fine sum over the bias; weights from nothing to as large as the biases."""
    weights = f"normal(std={std})" if std else "zeros"
    network = vp.mlp(
        [3], output_activation="hardtanh", weights=weights, biases=biases, input=vp.constant(4, 0.5)
    )
    table = table_of(network)
    if biases.startswith("uniform"):
        b = -1 + 3 * (np.arange(200000) + 0.5) / 200000
        shares, extra = np.full(b.size, 1 / b.size), np.zeros(b.size)
    elif biases.startswith("rademacher"):
        b, shares, extra = np.array([-0.7, 0.7]), np.array([0.5, 0.5]), np.zeros(2)
    else:
        b, shares, extra = np.zeros(2), np.array([0.5, 0.5]), np.array([0.0, 0.64])
    g = np.linspace(-9, 9, 1801)
    w = np.exp(-0.5 * g * g)
    w /= w.sum()
    spread = np.sqrt(std**2 + extra)
    if np.ptp(spread) == 0.0 and std == 0.0:
        z, weights = b, shares
    else:
        step = max(1, b.size // 2000)
        z = (b[::step, None] + spread[::step, None] * g).ravel()
        weights = (shares[::step, None] * w).ravel()
        weights = weights / weights.sum()
    for quantity, value in (
        ("activation_mean", np.clip(z, -1, 1)),
        ("activation_second_moment", np.clip(z, -1, 1) ** 2),
        ("inactive_fraction", np.abs(z) >= 1),
        ("preactivation_second_moment", z**2),
    ):
        assert table.loc[(1, quantity), "value"] == pytest.approx(weights @ value, abs=2e-3), quantity
        assert table.loc[(1, quantity), "order"] == "exact"


def test_memory_stays_bounded_for_a_large_batch_with_uniform_biases():
    import tracemalloc

    network = vp.mlp(
        [50, 50, 2], activation="tanh", weights="torch.linear_default", input=vp.gaussian(10, 300)
    )
    tracemalloc.start()
    predict_network(network)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 500e6


@pytest.mark.agreement
def test_gradients_lean_along_a_known_constant_layer():
    """A constant layer sums the gradient along its own output, where the weights above have met it.

    20000 draws; within four standard errors (false alarm 1e-4) and 3 % for 1/n at width 60. Taking the entries of
    the arriving gradient as uncorrelated is refuted.
    """
    layers = (
        Layer(5, "linear", "constant(value=0.3)"),
        Layer(60, "tanh", "normal(std=2.0)"),
        Layer(3, "linear", "lecun_normal"),
    )
    x = np.array([[1.0, 2.0, 0.5]])
    table = table_of(Network(vp.data(x, name="x"), layers))
    h = np.full(5, 0.3 * x.sum())
    rng = np.random.default_rng(9)
    squares, sums = [], []
    for _ in range(20000):
        w = 2.0 * rng.standard_normal((60, 5))
        out = rng.standard_normal((3, 60)) / 60**0.5
        delta = (1 - np.tanh(w @ h) ** 2) * (out.T @ rng.standard_normal(3))
        u = w.T @ delta
        squares.append(np.mean(u**2))
        sums.append((0.3 * u.sum()) ** 2)
    for values, quantity in ((squares, "gradient_preactivation"), (sums, "gradient_input")):
        predicted = table.loc[(1, quantity), "value"]
        error = 4 * np.std(values) / len(values) ** 0.5
        assert abs(np.mean(values) - predicted) < error + 0.03 * predicted, quantity
    naive = 0.3**2 * 5 * np.mean(squares)
    assert naive > 1.5 * np.mean(sums)
