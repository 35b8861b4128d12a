"""Layers that are silent with a probability that is worth counting: every number that depends on it.

Expected values are algebra, written out in each test: products of the probabilities that one unit is off.
"""

import numpy as np
import pytest
from scipy.integrate import trapezoid
from scipy.stats import norm, truncnorm

import varprop as vp
from varprop.analytic import predict_network
from varprop.analytic.atoms import zero_atom
from varprop.initializers import initializer
from varprop.spec import Head, Input, Layer, Network


def rows(x, *layers):
    """Values and orders by (layer, quantity) of a network under the unit head; layers as arguments of `Layer`."""
    network = Network(Input(np.asarray(x, dtype=float)), tuple(Layer(*layer) for layer in layers), Head())
    table = predict_network(network)
    return {(r.layer, r.quantity): (r.value, r.order) for r in table.itertuples()}


def law(name):
    return initializer(name).law(3, 3)


def soft_threshold(z):
    return np.where(np.abs(z) < 1.0, 0.0, z - np.sign(z))


SOFT = vp.activation(soft_threshold, kinks=[-1.0, 1.0], inactive=[(-1.0, 1.0)], name="soft")
X = np.array([1.0, -2.0, 0.5])
SIZE = np.sqrt(X @ X)

# One unit of a first layer with weights N(0, 1) and this bias is off with this probability at X.
OFF = {
    "relu": ("relu", "zeros", 0.5),
    "negative bias": ("relu", "constant(value=-4.0)", norm.cdf(4.0 / SIZE)),
    "Gaussian bias": ("relu", "normal(std=2.0,mean=-3.0)", norm.cdf(3.0 / np.hypot(SIZE, 2.0))),
    "squared relu": ("squared_relu", "zeros", 0.5),
    "step": ("step", "constant(value=-2.0)", norm.cdf(2.0 / SIZE)),
    "relu6": ("relu6", "rademacher(std=3.0)", 0.5),
    "hard swish": ("hard_swish", "zeros", norm.cdf(-3.0 / SIZE)),
    "hard sigmoid": ("hard_sigmoid", "constant(value=-2.0)", norm.cdf(-1.0 / SIZE)),
    "declared": (SOFT, "zeros", norm.cdf(1.0 / SIZE) - norm.cdf(-1.0 / SIZE)),
    "sparse bias": ("relu", "sparse(sparsity=0.5,std=3.0)", 0.5),
    "tanh": ("tanh", "zeros", 0.0),
    "sign": ("sign", "constant(value=-2.0)", 0.0),
    "sigmoid": ("sigmoid", "zeros", 0.0),
}  # fmt: skip


@pytest.mark.parametrize("case", OFF)
@pytest.mark.parametrize("width", [1, 3])
def test_a_silent_layer_silences_layers_without_bias(case, width):
    """P(all units of layer 1 off) = off^n, as they are independent; then z = 0 in layer 2, else a fair coin."""
    activation, biases, off = OFF[case]
    found = rows(
        X, (width, activation, "standard_normal", biases), (4, "relu", "uniform(low=-1,high=1)", "zeros"),
        (2, "linear", "standard_normal", "zeros"),
    )  # fmt: skip
    silent = off**width
    expected = {
        "inactive_fraction": 0.5 * (1.0 - silent) + silent,
        "saturated_fraction": 0.5 * (1.0 - silent) + silent,
        "dead_fraction": 0.5 * (1.0 - silent) + silent,
        "derivative_second_moment": 0.5 * (1.0 - silent),
        "gradient_preactivation": 2.0 * 0.5 * (1.0 - silent),  # two outputs of weight variance 1
        "gradient_input": 4.0 / 3.0 * 2.0 * 0.5 * (1.0 - silent),
    }
    for quantity, value in expected.items():
        assert found[2, quantity] == (pytest.approx(value, rel=1e-11), "exact"), quantity


def test_the_example_of_strongly_negative_biases():
    """z ~ N(-3, 1) in layer 1: its gradient passes where z > 0, and only there."""
    x = np.ones(4)
    found = rows(
        x, (20, "relu", "normal(std=0.5)", "constant(value=-3.0)"), (10, "relu", "normal(std=0.3)", "zeros"),
        (5, "linear", "normal(std=0.2)", "zeros"),
    )  # fmt: skip
    silent, on = norm.cdf(3.0) ** 20, norm.sf(3.0)
    assert found[2, "inactive_fraction"] == (pytest.approx(0.5 + 0.5 * silent), "exact")
    above = 5 * 0.04 * 10 * 0.09 / 2
    assert found[1, "gradient_preactivation"] == (pytest.approx(above * on), "exact")
    assert found[2, "gradient_input"] == (pytest.approx(above * (1.0 - silent)), "exact")


def test_almost_certain_silence_keeps_its_digits():
    """P(on) = Phi(-9) = 1.1e-19 is lost in 1 - P(off); layer 2 is alive with probability 3 Phi(-9)."""
    found = rows(
        np.ones(1), (3, "relu", "standard_normal", "constant(value=-9.0)"),
        (2, "relu", "standard_normal", "zeros"), (1, "linear", "standard_normal", "zeros"),
    )  # fmt: skip
    assert found[2, "derivative_second_moment"] == (pytest.approx(1.5 * norm.sf(9.0), rel=1e-9), "exact")


@pytest.mark.parametrize("deep", [2, 3, 4])
def test_silence_adds_up_over_layers(deep):
    """Layers of k units are silent with 2^-k each, given that the one below is not."""
    widths = [1, 2, 3, 4][:deep]
    layers = [(k, "relu", "orthogonal", "zeros") for k in widths]
    found = rows(X, *layers, (2, "relu", "he_uniform", "zeros"))
    alive = np.prod([1.0 - 0.5**k for k in widths])
    assert found[deep + 1, "inactive_fraction"] == (pytest.approx(1.0 - 0.5 * alive), "exact")


def test_biases_wake_a_silent_layer_with_their_own_law():
    """Over a silent layer z = b: 0 with probability 0.9, else a fair coin."""
    silent = 0.25
    found = rows(
        X, (2, "relu", "standard_normal", "zeros"), (3, "relu", "standard_normal", "sparse(sparsity=0.9)"),
        (2, "leaky_relu(slope=0.5)", "standard_normal", "zeros"), (1, "linear", "standard_normal", "zeros"),
    )  # fmt: skip
    inactive = 0.5 * (1.0 - silent) + silent * 0.95
    assert found[2, "inactive_fraction"] == (pytest.approx(inactive), "exact")
    assert found[2, "derivative_second_moment"] == (pytest.approx(1.0 - inactive), "exact")
    # Layer 3 gets nothing if all three units are off, and has the slope 0.5 of z = 0 there; else 0.5 or 1.
    quiet = 0.125 * (1.0 - silent) + silent * 0.95**3
    slope = 0.625 * (1.0 - quiet) + 0.25 * quiet
    assert found[3, "derivative_second_moment"] == (pytest.approx(slope), "exact")
    # Where layer 2 is on, layer 3 has a fair coin; where it is off nothing passes anyway.
    assert found[2, "gradient_preactivation"] == (pytest.approx(2 * 0.625 * (1.0 - inactive)), "exact")


def test_zero_inputs_see_the_bias_alone():
    """x = 0: z = b with P(b = 0) = 1/2; leaky units are all 0 with probability 1/8 and then have the slope at 0."""
    found = rows(
        np.zeros(2), (3, "leaky_relu(slope=0.2)", "standard_normal", "sparse(sparsity=0.5)"),
        (2, "relu", "standard_normal", "zeros"), (1, "linear", "standard_normal", "zeros"),
    )  # fmt: skip
    assert found[1, "derivative_second_moment"] == (pytest.approx(0.75 * 0.04 + 0.25), "exact")
    assert found[2, "inactive_fraction"] == (pytest.approx(0.5 + 0.5 / 8), "exact")
    # Nothing passes layer 2 where layer 1 is all 0: its slopes there, 0.2² with probability 1/8, do not count.
    passing = 0.75 * 0.04 + 0.25 - 0.04 / 8
    assert found[1, "gradient_preactivation"] == (pytest.approx(2 * 0.5 * passing), "exact")


@pytest.mark.parametrize(("inputs", "tie"), [(2, 1 / 2), (3, 0.0), (4, 3 / 8), (10, 63 / 256)])
def test_signs_on_equal_inputs(inputs, tie):
    """P(sum of n signs = 0) = C(n, n/2)/2^n; a unit is off with half of that on top of one half."""
    found = rows(
        np.ones(inputs), (3, "relu", "rademacher(std=1)", "zeros"), (2, "relu", "standard_normal", "zeros")
    )
    off = 0.5 * (1.0 + tie)
    assert found[1, "inactive_fraction"] == (pytest.approx(off), "exact")
    assert found[1, "derivative_second_moment"] == (pytest.approx(1.0 - off), "exact")
    assert found[2, "inactive_fraction"] == (pytest.approx(0.5 + 0.5 * off**3), "exact")


def test_sparse_weights_on_known_inputs():
    """All weights of two inputs are 0 with probability 0.36."""
    found = rows(
        [1.0, 0.0, 2.0], (3, "relu", "sparse(sparsity=0.6)", "zeros"), (2, "relu", "standard_normal", "zeros")
    )
    assert found[1, "inactive_fraction"] == (pytest.approx(0.68), "exact")
    assert found[2, "inactive_fraction"] == (pytest.approx(0.5 + 0.5 * 0.68**3), "exact")


def test_what_is_not_proven_is_not_exact():
    """Units of a second layer share what arrives: their silence is no product; nor do atoms keep signs fair."""
    found = rows(
        X, (2, "tanh", "standard_normal", "zeros"), (3, "relu", "standard_normal", "constant(value=-1)"),
        (2, "relu", "standard_normal", "zeros"),
    )  # fmt: skip
    assert found[3, "inactive_fraction"][1] != "exact"
    assert found[3, "derivative_second_moment"][1] != "exact"
    found = rows(
        X, (2, "relu", "standard_normal", "zeros"), (3, "relu", "sparse(sparsity=0.5)", "zeros"),
        (2, "linear", "standard_normal", "zeros"),
    )  # fmt: skip
    for quantity in (
        "inactive_fraction",
        "derivative_second_moment",
        "gradient_preactivation",
        "gradient_input",
    ):
        assert found[2, quantity][1] != "exact", quantity
    assert found[1, "gradient_preactivation"][1] != "exact"


def test_a_bound_is_enough_where_layers_are_wide():
    """(3/4)^200 = 1e-25: whatever the ties of 200 units are, layer 2 is never silent."""
    generic = np.random.default_rng(0).standard_normal(60)
    found = rows(
        generic, (200, "relu", "rademacher(std=1)", "zeros"), (2, "relu", "standard_normal", "zeros")
    )
    assert found[2, "inactive_fraction"] == (0.5, "exact")


def test_ties_of_signs():
    signs, zeros = law("rademacher(std=1)"), law("zeros")
    x = np.array([[3.0, 1.0, 1.0, 1.1], [2.0, 1.0, 2.0, 2.3], [1.0, 1.0, 2.5, 5.0]])
    # ±(3 - 2 - 1) in 2 of 8; three equal: never; 1 + 2 - 2.5: never.
    assert zero_atom(signs, zeros, 4, x).probability.tolist() == [0.25, 0.0, 0.0, 0.0]
    # A bias of ±1 meets sums of ∓1 with equal chances: 3 of 8 each for three equal inputs.
    assert zero_atom(signs, law("rademacher(std=1)"), 1, x[:, 1:2]).probability == pytest.approx(0.375)
    # Too many sums to convolve; all inputs are odd multiples of 1 but one, so an odd number is: no tie.
    many = np.concatenate([2.0 * np.arange(60) + 1.0, [2.0], [7.0]])[:, None]
    assert zero_atom(signs, zeros, 1, many).exact
    unknown = zero_atom(signs, zeros, 1, np.concatenate([many, [[9.0]]]))
    assert not unknown.exact
    assert unknown.largest == pytest.approx(0.0999, abs=2e-3)  # sqrt(2 / (63 pi))


@pytest.mark.parametrize("spread", [0.0, 1e-6, 0.01, 1.0])
def test_saturation_under_truncated_biases(spread):
    """z = w x + b with b truncated normal: the distribution function of b, smoothed; bounds are no kinks of tanh."""
    biases = initializer("truncated_normal(std=1.0)").law(1, 1)
    low, high = vp.activation("tanh").saturation().low, vp.activation("tanh").saturation().high
    found = rows([spread], (1, "tanh", "standard_normal", "truncated_normal(std=1.0)"))
    parent = truncnorm(biases["low"], biases["high"])
    b = np.linspace(biases["low"], biases["high"], 400_001)
    if spread < 0.01:
        expected = parent.cdf(low) + parent.sf(high)  # a smoothing of 1e-6 adds its square
    else:
        inside = norm.cdf((low - b) / spread) + norm.sf((high - b) / spread)
        expected = trapezoid(parent.pdf(b) * inside, b)
    assert found[1, "saturated_fraction"] == (pytest.approx(expected, rel=1e-8), "exact")


def test_columns_with_a_whole_number_of_zeros():
    """ceil(0.6·3) = 2 of the 3 weights on an input are 0: a unit with three inputs is 0 with probability (2/3)³."""
    found = rows(X, (3, "relu", "torch.sparse_(sparsity=0.6, std=1.0)"), (2,))
    assert found[1, "inactive_fraction"] == (
        pytest.approx((1.0 + (2.0 / 3.0) ** 3) / 2.0, rel=1e-12),
        "exact",
    )
