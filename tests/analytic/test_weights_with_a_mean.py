"""The variance above weights with a mean: mu² Var(sum_j h_j), exact above independent units with exact moments."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

import varprop as vp
from varprop.analytic import predict_network
from varprop.spec import Layer, Network

X = np.array([[1.0], [-0.5], [2.0]])
SQUARE = float(np.square(X).sum())
FUNCTIONS = {
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0.0),
    "sigmoid": lambda z: 1.0 / (1.0 + np.exp(-z)),
    "linear": lambda z: z,
}
# spelling: mixture of atoms and scipy laws, each with its probability
BIASES = {
    "zeros": [(1.0, 0.0)],
    "constant(value=0.7)": [(1.0, 0.7)],
    "rademacher(std=2)": [(0.5, 2.0), (0.5, -2.0)],
    "uniform(low=0,high=3)": [(1.0, stats.uniform(0.0, 3.0))],
    "normal(mean=-1,std=0.5)": [(1.0, stats.norm(-1.0, 0.5))],
    "sparse(sparsity=0.75,std=3)": [(0.75, 0.0), (0.25, stats.norm(0.0, 3.0))],
    "torch.trunc_normal_(mean=0,std=1,a=-1,b=2)": [(1.0, stats.truncnorm(-1.0, 2.0))],
}


def panels(edges, count=16):
    """Nodes and weights of 20-point Gauss-Legendre rules on `count` equal parts between the edges."""
    t, w = np.polynomial.legendre.leggauss(20)
    ends = np.concatenate([np.linspace(a, b, count + 1)[:-1] for a, b in pairwise(edges)] + [edges[-1:]])
    half = 0.5 * np.diff(ends)[:, None]
    return (ends[:-1, None] + half * (1.0 + t)).ravel(), (half * w).ravel()


def average(f, std, bias):
    """E f(std g + b), cut at z = 0 where relu bends."""

    def given(b):
        z, w = panels(sorted({b - 12 * std, min(max(0.0, b - 12 * std), b + 12 * std), b + 12 * std}))
        return w @ (f(z) * stats.norm.pdf(z, b, std))

    total = 0.0
    for probability, law in bias:
        if isinstance(law, float):
            total += probability * given(law)
        else:
            b, w = panels([law.ppf(1e-17), law.isf(1e-17)], 2)
            total += probability * w @ (law.pdf(b) * [given(x) for x in b])
    return total


def two_layers(activation, first, biases, second, width=5, last_biases="zeros"):
    layers = (Layer(width, activation, first, biases), Layer(3, "linear", second, last_biases))
    return Network(vp.data(X.T, name="x"), layers)


def rows(network):
    return predict_network(network).set_index(["layer", "quantity"])


@pytest.mark.parametrize("activation", FUNCTIONS)
@pytest.mark.parametrize("biases", BIASES)
def test_exact_above_independent_gaussian_units(activation, biases):
    """Var z = s n E h² + mu² n Var h, E z = mu n E h, with E h and E h² by a quadrature of scipy."""
    std, mu, s, n = 0.8, 0.3, 0.04, 5
    f = FUNCTIONS[activation]
    root = std * np.sqrt(SQUARE)
    first, square = (average(g, root, BIASES[biases]) for g in (f, lambda z: f(z) ** 2))
    table = rows(two_layers(activation, f"normal(std={std})", biases, f"normal(mean={mu},std={np.sqrt(s)})"))
    variance = n * (s * square + mu**2 * (square - first**2))
    for quantity, expected in {
        "preactivation_mean": mu * n * first,
        "preactivation_variance": variance,
        "preactivation_second_moment": variance + (mu * n * first) ** 2,
    }.items():
        row = table.loc[(2, quantity)]
        assert row["order"] == "exact", quantity
        assert row["value"] == pytest.approx(expected, rel=1e-8, abs=1e-10), quantity


@pytest.mark.parametrize(
    ("activation", "first", "biases"),
    [
        ("relu", "uniform(low=-1,high=1)", "zeros"),  # E h² by symmetry, E h not known
        ("tanh", "uniform(low=-1,high=1)", "normal(mean=1,std=1)"),
        ("relu", "orthogonal", "zeros"),  # rows of a Haar matrix are dependent
        ("linear", "orthogonal", "zeros"),
        ("linear", "torch.sparse_(sparsity=0.4)", "zeros"),  # zeros of a column exclude each other
    ],
)
def test_not_exact_where_a_premise_fails(activation, first, biases):
    table = rows(two_layers(activation, first, biases, "normal(mean=0.3,std=0.2)"))
    assert table.loc[(2, "preactivation_variance"), "order"] != "exact"
    assert table.loc[(2, "preactivation_second_moment"), "order"] != "exact"


@pytest.mark.parametrize("first", ["uniform(low=-1,high=1)", "rademacher", "sparse(sparsity=0.5,std=1)"])
def test_linear_units_of_any_law_stay_exact(first):
    """Linear: Var sum_j z_j = n (s_1 |x|² + Var b), whatever the laws; E z = mu n E b."""
    s1 = {"u": 1 / 3, "r": 1.0, "s": 0.5}[first[0]]
    table = rows(two_layers("linear", first, "uniform(low=0,high=2)", "uniform(low=-0.1,high=0.5)"))
    own, mean, mu, s = s1 * SQUARE + 1 / 3, 1.0, 0.2, 0.03
    row = table.loc[(2, "preactivation_variance")]
    assert row["order"] == "exact"
    assert row["value"] == pytest.approx(5 * (s * (own + mean**2) + mu**2 * own), rel=1e-12)


def test_small_variances_do_not_cancel():
    """Sigmoid of z with variance q = 1e-16·|x|²: Var h = q/16 drowns in E h² - (E h)² = 1/4 - 1/4."""
    table = rows(two_layers("sigmoid", "normal(std=1e-8)", "zeros", "constant(value=2.0)"))
    row = table.loc[(2, "preactivation_variance")]
    assert row["order"] == "exact"
    assert row["value"] == pytest.approx(4.0 * 5 * 1e-16 * SQUARE / 16.0, rel=1e-9, abs=0.0)


def test_explicit_draws_agree_above_atoms():
    """Sign biases under relu, 200,000 explicit networks; 4.5 standard errors: false alarm 1e-5, catches 2 %."""
    rng, draws, n = np.random.default_rng(20), 200_000, 5
    z = 0.8 * rng.standard_normal((draws, n, 3)) @ X[:, 0] + 2.0 * rng.choice([-1.0, 1.0], (draws, n))
    w = 0.3 + 0.2 * rng.standard_normal((draws, n))
    out = (w * np.maximum(z, 0.0)).sum(1)
    square = np.square(out - out.mean())
    table = rows(two_layers("relu", "normal(std=0.8)", "rademacher(std=2)", "normal(mean=0.3,std=0.2)"))
    error = 4.5 * square.std() / np.sqrt(draws)
    assert error < 0.02 * square.mean()
    assert abs(table.loc[(2, "preactivation_variance"), "value"] - square.mean()) < error


@pytest.mark.parametrize(
    "weights", ["torch.uniform_", "normal(mean=1e120,std=1e100)", "uniform(low=0,high=1e130)"]
)
@pytest.mark.parametrize("size", [1.0, 1e155, 1e-200])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_huge_sums_are_said_and_never_raised(weights, size, activation):
    """Sums of weights with a mean, and inputs whose squares leave the doubles: rows or reasons, no warning."""
    source = vp.data(size * X.T, name="x")
    table = predict_network(vp.mlp("20x4,10", activation, weights, input=source))
    assert (table[table["value"].isna()]["reason"] != "").all()
    second = table[(table["quantity"] == "preactivation_second_moment") & (table["layer"] == 1)].iloc[0]
    assert np.isfinite(second["log_value"])
    assert second["value"] > 0.0 or "vanished" in second["reason"] or "overflow" in second["reason"]
