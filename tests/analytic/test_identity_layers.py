"""Identity weights on a known input: z_i = gain x_i + b_i, of which every average over units can be written down.

Expected values are averages over units of one-dimensional integrals over the bias, from SciPy's distributions.
"""

from itertools import pairwise

import numpy as np
import pytest
from scipy import integrate, stats

from varprop.analytic import predict_network
from varprop.spec import Head, Input, Layer, Network

X = np.array([1.5, -0.3, 0.8, -2.0, 0.1])
BIASES = {
    "normal(std=0.5,mean=-1)": stats.norm(-1.0, 0.5),
    "uniform(low=0,high=2)": stats.uniform(0.0, 2.0),
    "truncated_normal(std=0.7)": stats.truncnorm(-2.0, 2.0, 0.0, 0.7),
}


def rows(x, layers, head=None):
    network = Network(
        Input(np.asarray(x, dtype=float)), tuple(Layer(*layer) for layer in layers), head or Head()
    )
    table = predict_network(network)
    return {(r.layer, r.quantity): (r.value, r.order) for r in table.itertuples()}


def average(f, means, bias, points):
    """Mean over units of E f(m + b): a trapezoidal sum with nodes on either side of what is not smooth."""
    low, high = bias.ppf([1e-14, 1.0 - 1e-14])
    found = []
    for mean in np.atleast_1d(means):
        cuts = np.unique([low, *np.clip(np.asarray(points) - mean, low, high), high])
        total = 0.0
        for a, b in pairwise(cuts):
            grid = np.linspace(a, b, 20_001)
            inside = np.clip(grid, a + 1e-12, b - 1e-12)
            total += integrate.trapezoid(bias.pdf(inside) * f(mean + inside), grid)
        found.append(total)
    return float(np.mean(found))


@pytest.mark.parametrize("biases", BIASES)
@pytest.mark.parametrize("width", [3, 5, 7])
def test_averages_over_units(biases, width):
    """3 units see the first inputs only; of 7 units two see none."""
    bias, means = BIASES[biases], np.zeros(width)
    means[: min(width, 5)] = 2.0 * X[:width]
    found = rows(
        X, [(width, "relu", "identity(gain=2.0)", biases), (2, "linear", "standard_normal", "zeros")]
    )
    expected = {
        "preactivation_mean": means.mean() + bias.mean(),
        "preactivation_variance": bias.var(),
        "preactivation_second_moment": bias.var() + np.mean((means + bias.mean()) ** 2),
        "inactive_fraction": np.mean(bias.cdf(-means)),
        "saturated_fraction": np.mean(bias.cdf(-means)),
        "derivative_second_moment": np.mean(bias.sf(-means)),
        "activation_mean": average(lambda z: np.maximum(z, 0), means, bias, [0.0]),
        "activation_second_moment": average(lambda z: np.maximum(z, 0) ** 2, means, bias, [0.0]),
        # Two outputs of variance 1; weight gradients meet the mean square of all five inputs.
        "gradient_preactivation": 2.0 * np.mean(bias.sf(-means)),
        "gradient_weight": 2.0 * np.mean(bias.sf(-means)) * np.mean(X**2),
    }
    for quantity, value in expected.items():
        assert found[1, quantity] == (pytest.approx(value, rel=1e-7, abs=1e-9), "exact"), quantity
    assert found[2, "preactivation_variance"][0] == pytest.approx(
        width * expected["activation_second_moment"], rel=1e-7
    )
    assert found[2, "preactivation_variance"][1] == "exact"


def test_silence_is_the_product_over_units():
    """Units of different means are off independently."""
    bias = BIASES["normal(std=0.5,mean=-1)"]
    found = rows(
        X,
        [
            (4, "relu", "identity", "normal(std=0.5,mean=-1)"),
            (3, "relu", "he_normal"),
            (2, "linear", "he_normal"),
        ],
    )
    silent = np.prod(bias.cdf(-X[:4]))
    assert found[2, "inactive_fraction"] == (pytest.approx(0.5 + 0.5 * silent), "exact")


def test_inputs_see_their_own_kinks():
    """Constant weights add 0.3 sum x to a uniform bias: every input has the kink of relu at another bias."""
    bias, x = BIASES["uniform(low=0,high=2)"], np.array([[-1.0, -3.0, 2.0], [-2.0, -0.1, 1.0]])
    found = rows(x, [(3, "relu", "constant(value=0.3)", "uniform(low=0,high=2)")])
    for quantity, f in (
        ("activation_mean", lambda z: np.maximum(z, 0)),
        ("activation_second_moment", lambda z: np.maximum(z, 0) ** 2),
        ("derivative_second_moment", lambda z: (z > 0) * 1.0),
    ):
        expected = average(f, 0.3 * x.sum(axis=0), bias, [0.0])
        assert found[1, quantity] == (pytest.approx(expected, rel=1e-7), "exact")


def test_errors_of_outputs_that_differ():
    """E (z_i - y_i)² = Var b + (x_i + E b - y_i)², unit by unit; other heads say that they do not know."""
    y = np.array([1.0, 2.0, -1.0])
    layers = [(3, "linear", "identity", "uniform(low=0,high=2)")]
    found = rows(X[:3], layers, Head("mse", y))
    square = 1 / 3 + np.mean((X[:3] + 1.0 - y) ** 2)
    assert found[1, "gradient_preactivation"] == (pytest.approx(square), "exact")
    assert found[1, "initial_loss"] == (pytest.approx(1.5 * square), "exact")
    for head in (Head("bce", np.array([0.0, 1.0, 1.0])), Head("softmax_ce", 1)):
        found = rows(X[:3], layers, head)
        assert np.isnan(found[1, "gradient_preactivation"][0])
        assert np.isnan(found[1, "initial_loss"][0])


def test_identity_above_identity_is_no_average_of_alike_units():
    """The first three of five units are picked, whose means are not those of all five."""
    found = rows(
        X, [(5, "linear", "identity", "normal(std=0.5)"), (3, "linear", "identity", "normal(std=0.5)")]
    )
    assert found[2, "preactivation_mean"][1] != "exact"
    assert found[2, "preactivation_variance"][1] != "exact"
