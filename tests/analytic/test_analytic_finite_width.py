"""Finite width against networks drawn with explicit weights (`explicit.py`, which uses none of varprop's samplers).

Every test draws R independent networks and compares all rows of a kind at once, each with |z| at most the two-sided
Bonferroni quantile at 1e-3 for the rows of the test (seeds are fixed, so a test that passes keeps passing; under a
fresh seed a right theory fails once in a thousand). Power is shown, not assumed: the same bound must refute the
infinite-width values.
"""

import numpy as np
import pytest
from scipy.stats import norm

import varprop as vp
from tests.analytic.explicit import draw_networks
from varprop.analytic import predict_network
from varprop.analytic.design import design_effects
from varprop.analytic.log_laws import SPREAD_QUANTITIES, log_laws
from varprop.analytic.spread import gradient_ratio, width_for_spread, width_spread
from varprop.spec import Head, Layer, Network

pytestmark = pytest.mark.agreement

FORWARD = {
    "z2": "preactivation_second_moment",
    "a": "activation_mean",
    "a2": "activation_second_moment",
    "d2": "derivative_second_moment",
}
BACKWARD = {"delta": "gradient_preactivation", "weight": "gradient_weight", "input": "gradient_input"}
LAWS = {
    "normal": lambda s: f"normal(std={s!r})",
    "uniform": lambda s: f"uniform(low={-(3**0.5) * s!r}, high={3**0.5 * s!r})",
    "rademacher": lambda s: f"rademacher(std={s!r})",
}


def both(phi, widths, sw2, draws, seed, law="normal", bias=0.0, head=None, n0=30):
    """Return the network and the per-draw mean squares of explicit draws of it."""
    x = np.random.default_rng(5).standard_normal(n0)
    stds = [float(np.sqrt(sw2 / fan)) for fan in (n0, *widths[:-1])]
    activation, last = vp.activation(phi), len(widths) - 1
    biases = f"normal(std={bias})" if bias else "zeros"
    layers = [
        Layer(n, activation if i < last else "linear", LAWS[law](s), biases)
        for i, (n, s) in enumerate(zip(widths, stds, strict=True))
    ]
    network = Network(vp.data(x[None], name="x"), layers, head=Head(*head[:2]) if head else Head())
    drawn = draw_networks(
        x, widths, stds, activation, activation.derivative, draws, seed, law,
        [bias] * len(widths), head[2] if head else None,
    )  # fmt: skip
    return network, drawn


def z_scores(network, drawn, names, order):
    table = predict_network(network, order=order).set_index(["quantity", "layer"])
    scores = {}
    for name, quantity in names.items():
        for layer in range(1, network.depth + 1):
            values, row = drawn[name][:, layer - 1], table.loc[(quantity, layer)]
            error = values.std() / len(values) ** 0.5
            if error > 1e-12 * abs(values.mean()):
                scores[quantity, layer] = ((values.mean() - row["value"]) / error, row["order"])
            else:
                assert values.mean() == pytest.approx(row["value"], rel=1e-9), (quantity, layer)
    return scores


def bound(scores):
    return norm.isf(1e-3 / 2 / len(scores))


def agree(scores, order=None):
    worst = {key: z for key, (z, own) in scores.items() if order is None or own == order}
    assert max(map(abs, worst.values())) < bound(scores), {k: round(z, 1) for k, z in worst.items()}
    return len(worst)


@pytest.mark.parametrize(
    ("phi", "widths", "sw2", "bias", "law", "draws", "refuted"),
    [
        ("tanh", [32] * 5, 1.5, 0.0, "normal", 30000, "forward and backward"),
        ("tanh", [32] * 5, 1.5, 0.0, "rademacher", 30000, "forward"),
        ("tanh", [32, 64, 16, 48, 20], 3.0, 0.0, "normal", 20000, "forward and backward"),
        ("sigmoid", [32] * 4, 9.0, 0.7, "normal", 30000, "forward and backward"),
        ("gelu", [64] * 4, 1.9, 0.0, "normal", 12000, "forward and backward"),
        ("relu", [64] * 4, 2.0, 0.5, "normal", 10000, "forward"),
        # The effects of finite width and of the weights' kurtosis nearly cancel: nothing to refute.
        ("tanh", [64] * 4, 3.0, 0.0, "uniform", 12000, ""),
    ],
)
def test_corrected_predictions_agree_where_infinite_width_is_refuted(
    phi, widths, sw2, bias, law, draws, refuted
):
    """Detects a relative error of about 0.5 % in forward rows and 1 % in gradients."""
    network, drawn = both(phi, widths, sw2, draws, seed=7, law=law, bias=bias)
    for direction, names in (("forward", FORWARD), ("backward", BACKWARD)):
        assert agree(z_scores(network, drawn, names, "best")) > 0
        if direction in refuted:
            plain = z_scores(network, drawn, names, "infinite")
            worst = max(abs(z) for z, own in plain.values() if own == "infinite")
            assert worst > bound(plain), {k: round(z, 1) for k, (z, _) in plain.items()}


def softmax_gradient(z, rng):
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    p[:, 3] -= 1.0
    return p


@pytest.mark.parametrize(
    "head",
    [
        ("mse", 0.5, lambda z, rng: z - 0.5),
        ("bce", 1.0, lambda z, rng: 1 / (1 + np.exp(-z)) - 1.0),
        ("softmax_ce", 3, softmax_gradient),
    ],
    ids=lambda head: head[0],
)
def test_heads_are_corrected_for_the_gradients_dependence_on_the_weights(head):
    network, drawn = both("tanh", [32, 32, 32, 10], 2.0, 20000, seed=13, bias=0.3, head=head)
    agree(z_scores(network, drawn, BACKWARD, "best"))
    plain = z_scores(network, drawn, BACKWARD, "infinite")
    assert max(abs(z) for z, _ in plain.values()) > bound(plain)


@pytest.mark.parametrize(
    ("phi", "bias", "law"),
    [
        ("relu", 0.0, "normal"),
        ("relu", 0.0, "uniform"),
        ("relu", 0.4, "normal"),
        ("leaky_relu(slope=0.2)", 0.5, "normal"),
        ("linear", 0.0, "rademacher"),
    ],
)
def test_exact_laws_agree_at_width_eight(phi, bias, law):
    """All second moments, forward and backward, are labelled exact; 40000 draws detect 2 % at the last layer."""
    network, drawn = both(phi, [8] * 5, 2.0 if phi != "linear" else 1.0, 40000, seed=21, law=law, bias=bias)
    names = {k: v for k, v in (FORWARD | BACKWARD).items() if k != "a"}
    scores = z_scores(network, drawn, names, "best")
    assert {own for _, own in scores.values()} == {"exact"}
    agree(scores)


def test_exact_means_of_relu_activations_at_width_eight():
    network, drawn = both("relu", [8] * 5, 2.0, 40000, seed=22)
    scores = z_scores(network, drawn, {"a": "activation_mean"}, "best")
    assert {own for _, own in scores.values()} == {"exact"}
    agree(scores)


@pytest.mark.parametrize("phi", ["relu", "leaky_relu(slope=0.3)", "linear"])
def test_logarithms_of_norms_are_exact(phi):
    """Mean and variance of log, width 8, dead draws left out; the variance within five standard errors (5 %)."""
    network, drawn = both(phi, [8] * 5, 2.0, 20000, seed=23)
    for quantity, name in zip(SPREAD_QUANTITIES, ("z2", "a2", "delta", "weight"), strict=True):
        for layer, law in enumerate(log_laws(network, quantity)):
            assert law.order == "exact"
            values = drawn[name][:, layer]
            logs = np.log(values[values > 0])
            error = logs.std() / logs.size**0.5
            assert abs(logs.mean() - law.mean) < 4.5 * error, (quantity, layer)
            scale = np.square(logs - logs.mean()).std() / logs.size**0.5
            assert abs(logs.var() - law.variance) < 5 * scale, (quantity, layer)


def test_dead_networks_are_counted():
    network, drawn = both("relu", [4] * 6, 2.0, 20000, seed=24)
    dead = width_spread(network, "preactivation_second_moment")["dead"].to_numpy()
    assert dead == pytest.approx(1 - (1 - 2.0**-4) ** np.arange(6))
    measured = (drawn["z2"] == 0).mean(axis=0)
    assert np.abs(measured - dead).max() < 4.5 * 0.5 / 20000**0.5


def test_relative_variance_of_a_norm_is_exact():
    network, drawn = both("relu", [8] * 4, 2.0, 100000, seed=25)
    for layer, law in enumerate(log_laws(network, "preactivation_second_moment")):
        values = drawn["z2"][:, layer] / drawn["z2"][:, layer].mean()
        expected = (1 + 5 / 8) ** layer * (1 + 2 / 8) - 1
        assert law.relative_variance == pytest.approx(expected, rel=1e-12)
        scale = np.square(values - 1).std() / len(values) ** 0.5
        assert abs(values.var() - expected) < 4 * scale


def test_logarithm_of_the_gradient_ratio_in_a_chaotic_net():
    """tanh, sigma_w² = 3.58 at its fixed point, width 64, depth 25, 2000 draws: mean and spread of the log ratio.

    The infinite-width value lies more than ten standard errors away.
    """
    start = vp.constant(64, (1.791196278928351 / 3.58) ** 0.5)
    network = vp.mlp("64x25", activation="tanh", weights="variance_scaling(scale=3.58)", input=start)
    ratio = gradient_ratio(network)
    activation = vp.activation("tanh")
    stds = [(3.58 / 64) ** 0.5] * 25
    drawn = draw_networks(
        start.array()[:, 0], [64] * 25, stds, activation, activation.derivative, 2000, 31, block=500
    )["delta"]
    logs = np.log(drawn[:, 0] / drawn[:, -1])
    error = logs.std() / logs.size**0.5
    assert abs(logs.mean() - ratio.mean) < 3.5 * error
    assert abs(logs.mean() - ratio.infinite) > 10 * error
    assert logs.std() == pytest.approx(ratio.std, rel=0.1)


def test_the_headline_case_forward_stable_backward_exploding():
    start = vp.constant(256, (1.791196278928351 / 3.58) ** 0.5)
    network = vp.mlp("256x100", activation="tanh", weights="variance_scaling(scale=3.58)", input=start)
    ratio = gradient_ratio(network)
    assert ratio.infinite == pytest.approx(26.9, abs=0.05)
    assert ratio.mean == pytest.approx(25.5, abs=0.5)
    assert ratio.std == pytest.approx(1.5, abs=0.1)
    table = predict_network(network).set_index(["quantity", "layer"])
    for layer in (1, 50, 100):
        assert table.loc[("preactivation_second_moment", layer), "value"] == pytest.approx(1.79, rel=0.02)


def test_design_effects_are_those_of_pooled_units():
    """width 16, depth 6, 20000 draws: true variance of the mean over the pooled-units one, to 5 %."""
    network, drawn = both("tanh", [16] * 6, 3.0, 20000, seed=26)
    table = design_effects(network).set_index(["quantity", "layer"])
    mean = drawn["z2"][:, -1]
    law = log_laws(network, "preactivation_second_moment")[-1]
    between = mean.var() / mean.mean() ** 2
    # Var of one unit's z² over networks: 3 E khat² - (E khat)², and E (mean z²)² = E khat² (1 + 2/n)
    khat2 = np.square(mean).mean() / (1 + 2 / 16)
    pooled = 3 * khat2 - mean.mean() ** 2
    assert table.loc[("preactivation_second_moment", 6), "variance_ratio"] == pytest.approx(
        mean.var() * 16 / pooled, rel=0.05
    )
    assert between == pytest.approx(law.relative_variance, rel=0.05)
    wide = design_effects(vp.mlp("64x20", activation="relu", weights="he_normal", input=vp.constant(64, 1.0)))
    last = wide[(wide["quantity"] == "preactivation_second_moment") & (wide["layer"] == 20)]
    # (2 E k² + n Var k)/(2 E k² + Var k) with E k² = (1 + 5/64)^19
    square = (1 + 5 / 64) ** 19
    assert last["variance_ratio"].item() == pytest.approx((2 * square + 64 * (square - 1)) / (3 * square - 1))


def test_width_for_spread_is_the_smallest():
    network = vp.mlp("100x20,10", activation="relu", weights="he_normal")
    width = width_for_spread(network, 2.0)
    for n, holds in ((width, True), (width - 1, False)):
        narrow = vp.mlp(f"{n}x20,10", activation="relu", weights="he_normal")
        std = max(law.variance for law in log_laws(narrow, "preactivation_second_moment")[:-1]) ** 0.5
        assert bool(1.6448536 * std <= np.log(2.0)) is holds
    assert width_for_spread(network, 1.01, widest=1000) is None
