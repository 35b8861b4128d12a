"""Pairs of inputs: rectified pairs, Mehler's series near correlation 1, silent units, batch-mean gradients."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import ndtr

import varprop as vp
from varprop.analytic import predict_network
from varprop.analytic.batch_moments import pair_averages
from varprop.analytic.rectified_pairs import rectified_pairs, shifted_rectified_pairs
from varprop.analytic.silent_units import silent_share
from varprop.analytic.unit_law import UnitLaw, bias_mixture
from varprop.initializers import initializer
from varprop.spec import Head, Layer, Network

FIRST, SECOND = np.array([0]), np.array([1])
OFF = [(-np.inf, 0.0)]


def law(q, mean=0.0, biases="zeros"):
    q = np.asarray(q, dtype=float)
    mixture = bias_mixture(initializer(biases).law(4, 4), 1.0)
    return UnitLaw(np.full(q.shape, mean), np.log(q), mixture, 0.0, np.zeros_like(q))


def nested(f, q1, q2, rho, mean=0.0, n=801):
    """E f(u, v) by two trapezoidal rules, which converge geometrically for smooth f."""
    g = np.linspace(-9, 9, n)
    w = np.exp(-0.5 * g * g) * (g[1] - g[0]) / np.sqrt(2 * np.pi)
    u = mean + np.sqrt(q1) * g[:, None]
    v = mean + np.sqrt(q2) * (rho * g[:, None] + np.sqrt(1 - rho * rho) * g)
    return w @ f(u, v) @ w


@pytest.mark.parametrize("rho", [-0.9, 0.0, 0.6, 0.99, 0.999999])
@pytest.mark.parametrize("name", ["tanh", "sigmoid", "gelu", "sin"])
@pytest.mark.parametrize("mean", [0.0, 0.7])
def test_smooth_pairs(name, rho, mean):
    phi = vp.activation(name)
    q1, q2 = (1.3, 0.6) if rho < 0.9 else (0.8, 0.8)
    found = pair_averages(phi, law([q1, q2], mean), np.array([1 - rho]), FIRST, SECOND)
    distance = nested(lambda u, v: 0.5 * (phi(u) - phi(v)) ** 2, q1, q2, rho, mean)
    slopes = nested(lambda u, v: phi.derivative(u) * phi.derivative(v), q1, q2, rho, mean)
    assert found.distance[0] == pytest.approx(distance, rel=1e-8)
    assert found.slopes[0] == pytest.approx(slopes, rel=1e-8)


@pytest.mark.parametrize("eps", [1e-4, 1e-8, 1e-12, 1e-16])
def test_nothing_cancels_near_correlation_one(eps):
    """E (phi(u) - phi(v))²/2 → q eps E phi'² for smooth phi and equal variances, relative error of order eps."""
    phi = vp.activation("tanh")
    q = 0.9
    found = pair_averages(phi, law([q, q]), np.array([eps]), FIRST, SECOND).distance[0]
    linear = q * eps * phi.moments(q).derivative_second_moment
    assert found == pytest.approx(linear, rel=3 * eps + 1e-9)
    relu = rectified_pairs((0.0, 1.0), np.array([q, q]), np.array([eps]), FIRST, SECOND)[0][0]
    theta = 2 * np.arcsin(np.sqrt(eps / 2))
    assert relu == pytest.approx(q * (eps / 2 - theta**3 / (6 * np.pi)), rel=theta**2)


@pytest.mark.parametrize("rho", [-0.7, 0.0, 0.5, 0.95])
@pytest.mark.parametrize("slopes", [(0.0, 1.0), (0.2, 1.0)])
def test_rectified_pairs_against_nested_quadrature(slopes, rho):
    low, high = slopes
    q1, q2 = 1.4, 0.5
    distance, slope = rectified_pairs(slopes, np.array([q1, q2]), np.array([1 - rho]), FIRST, SECOND)

    def phi_of(
        u,
    ):  # E[phi(v) | u] with v | u ~ N(m, s²), in closed form: the outer integral is kinked at 0 only
        m, s = rho * np.sqrt(q2 / q1) * u, np.sqrt(q2 * (1 - rho * rho))
        up = m * ndtr(m / s) + s * np.exp(-0.5 * (m / s) ** 2) / np.sqrt(2 * np.pi)
        return low * m + (high - low) * up, low + (high - low) * ndtr(m / s)

    def outer(part):
        f = (lambda u: max(u, 0.0) * high + min(u, 0.0) * low, lambda u: high if u > 0 else low)[part]
        density = lambda u: np.exp(-0.5 * u * u / q1) / np.sqrt(2 * np.pi * q1)  # noqa: E731
        return sum(quad(lambda u: f(u) * phi_of(u)[part] * density(u), *ends, epsabs=1e-13, epsrel=1e-12)[0]
                   for ends in ((-12, 0), (0, 12)))  # fmt: skip

    half = (low**2 + high**2) / 4
    assert distance[0] == pytest.approx(half * (q1 + q2) - outer(0), rel=1e-9, abs=1e-12)
    assert slope[0] == pytest.approx(outer(1), rel=1e-9)
    near = shifted_rectified_pairs(
        slopes, np.full(2, 1e-13), np.array([q1, q2]), np.array([1 - rho]), FIRST, SECOND
    )
    assert near[0][0] == pytest.approx(distance[0], rel=1e-8)
    assert near[1][0] == pytest.approx(slope[0], rel=1e-8)


@pytest.mark.parametrize("mean", [-1.2, 0.4, 3.0])
@pytest.mark.parametrize("rho", [-0.5, 0.8, 0.9999])
def test_shifted_rectified_pairs_against_a_smooth_neighbour(mean, rho):
    """softplus(k z)/k is within log 2/k of relu; two sharpnesses extrapolate the kink away (error ~ k^-4)."""
    found = shifted_rectified_pairs(
        (0.0, 1.0), np.full(2, mean), np.array([1.0, 1.0]), np.array([1 - rho]), FIRST, SECOND
    )

    def smooth(k):
        soft = lambda z: np.logaddexp(0, k * z) / k  # noqa: E731
        return nested(lambda u, v: 0.5 * (soft(u) - soft(v)) ** 2, 1.0, 1.0, rho, mean, n=2401)

    expected = (4 * smooth(24.0) - smooth(12.0)) / 3
    assert found[0][0] == pytest.approx(expected, rel=5e-3, abs=2e-6)


def test_a_uniform_bias_is_shared_by_both_inputs():
    phi = vp.activation("tanh")
    unit = law([0.5, 0.5], biases="uniform(low=-2, high=2)")
    found = pair_averages(phi, unit, np.array([0.3]), FIRST, SECOND).distance[0]
    b, w = np.polynomial.legendre.leggauss(40)
    expected = sum(
        0.5 * wi * nested(lambda u, v: 0.5 * (phi(u) - phi(v)) ** 2, 0.5, 0.5, 0.7, 2 * bi)
        for bi, wi in zip(b, w, strict=True)
    )
    assert found == pytest.approx(expected, rel=1e-8)


def equicorrelated(count, rho):
    return np.full((count, count), rho) + np.eye(count) * (1 - rho)


@pytest.mark.parametrize(("count", "rho"), [(2, 0.3), (3, -0.2), (3, 0.9)])
def test_orthants_in_closed_form(count, rho):
    angle = np.arcsin(rho)
    expected = 0.25 + angle / (2 * np.pi) if count == 2 else 0.125 + 3 * angle / (4 * np.pi)
    assert silent_share(OFF, np.zeros(count), equicorrelated(count, rho)) == (pytest.approx(expected), 0.0)


@pytest.mark.parametrize(("count", "rho"), [(5, 0.5), (64, 0.5), (64, 0.99)])
def test_equicorrelated_orthants(count, rho):
    root = np.sqrt(rho / (1 - rho))
    expected = quad(
        lambda w: np.exp(-w * w / 2) / np.sqrt(2 * np.pi) * ndtr(-root * w) ** count, -10, 10, limit=200
    )[0]
    found, error = silent_share(OFF, np.zeros(count), equicorrelated(count, rho))
    assert abs(found - expected) < 5 * error
    assert error < 2e-3


def test_unions_of_intervals_shifted_and_singular():
    """Half a million draws: standard error 7e-4 at most; within five of both errors together."""
    rng = np.random.default_rng(2)
    root = rng.standard_normal((4, 7))
    mean = np.linspace(-0.5, 0.5, 7)
    z = mean + rng.standard_normal((500_000, 4)) @ root
    intervals = [(-np.inf, -1.0), (0.5, np.inf)]
    inside = np.all((z <= -1.0) | (z >= 0.5), axis=1)
    found, error = silent_share(intervals, mean, root.T @ root)
    assert abs(found - inside.mean()) < 5 * np.hypot(error, inside.std() / 500_000**0.5)


def test_repeated_and_constant_inputs_do_not_count_twice():
    covariance = np.zeros((4, 4))
    covariance[:2, :2] = 1.0
    covariance[2, 2] = 2.0
    assert silent_share(OFF, np.zeros(4), covariance) == (pytest.approx(0.25), 0.0)
    assert silent_share([(-np.inf, -1e-9)], np.zeros(4), covariance) == (0.0, 0.0)


def rows(network, **options):
    return predict_network(network, **options).set_index(["layer", "quantity"])


def test_repeated_inputs_stay_together_exactly():
    x = np.array([[1.0, 2.0, -1.0], [1.0, 2.0, -1.0], [0.5, 0.0, 1.0], [0.0, 0.0, 0.0]])
    for activation in ("relu", "tanh", "gelu"):
        table = rows(
            vp.mlp([20, 20, 5], activation=activation, weights="he_normal", input=vp.data(x[:2], name="x"))
        )
        for layer in (1, 2, 3):
            assert table.loc[(layer, "data_variance"), "value"] == 0.0
            assert table.loc[(layer, "correlation"), "value"] == pytest.approx(1.0, abs=1e-15)
        whole = rows(
            vp.mlp([20, 20, 5], activation=activation, weights="he_normal", input=vp.data(x, name="x"))
        )
        assert whole["value"].notna().all()


def test_relu_correlations_follow_the_arc_cosine_kernel():
    x = np.array([[1.0, 0.0], [0.0, 1.0]])
    table = rows(vp.mlp("64x30", activation="relu", weights="he_normal", input=vp.data(x, name="x")))
    c = 0.0
    for layer in range(1, 31):
        assert table.loc[(layer, "correlation"), "value"] == pytest.approx(c, rel=1e-10, abs=1e-14)
        c = (np.sqrt(1 - c * c) + (np.pi - np.arccos(c)) * c) / np.pi


def test_the_distance_of_two_inputs_in_an_ordered_net_does_not_drown():
    """Sigmoid contracts differences by chi_1 < 0.1 a layer: after 20 layers they are far below rounding of q."""
    table = rows(vp.mlp("100x20", activation="sigmoid", weights="lecun_normal", input=vp.gaussian(50, 3)))
    values = [table.loc[(layer, "data_variance"), "value"] for layer in range(1, 21)]
    factors = np.array(values[1:]) / np.array(values[:-1])
    slope = [table.loc[(layer, "derivative_second_moment"), "value"] for layer in range(1, 20)]
    assert values[-1] < 1e-20
    assert factors[10:] == pytest.approx(slope[10:], rel=0.01)


def test_unit_head_gradients_of_different_inputs_add_in_squares():
    table = rows(vp.mlp([20, 20, 5], activation="relu", weights="he_normal", input=vp.gaussian(10, 4)))
    for layer in (1, 2, 3):
        row, single = table.loc[(layer, "gradient_weight_batch")], table.loc[(layer, "gradient_weight")]
        assert row["value"] == pytest.approx(single["value"] / 4)
        assert row["order"] == "exact"


@pytest.mark.agreement
@pytest.mark.parametrize(("head", "targets"), [("mse", 2.0), ("bce", 1), ("softmax_ce", [2, 2, 2])])
def test_batch_gradients_agree_with_explicit_draws_of_wide_nets(head, targets):
    """tanh, width 400, 300 draws: within 4 standard errors and 3 %, the size of 1/n effects and of sampled softmax.

    False alarm 2e-4 for each head. Forgetting how gradients of two inputs go together (squares only) is refuted.
    """
    rng = np.random.default_rng(3)
    x = rng.standard_normal((3, 20)) + 1.0
    outputs = 3
    layers = (
        *[Layer(400, "tanh", "lecun_normal", "normal(std=0.2)")] * 2,
        Layer(outputs, "linear", "lecun_normal"),
    )
    network = Network(vp.data(x, name="x"), layers, head=Head(head, targets))
    table = rows(network)
    goal = network.targets
    squares = {1: [], 2: [], 3: []}
    for _ in range(300):
        w = [rng.standard_normal((n, m)) / np.sqrt(m) for n, m in ((400, 20), (400, 400), (outputs, 400))]
        b = [0.2 * rng.standard_normal((400, 1)) for _ in range(2)]
        h1 = np.tanh(w[0] @ x.T + b[0])
        h2 = np.tanh(w[1] @ h1 + b[1])
        z = w[2] @ h2
        if head == "mse":
            delta = z - goal
        elif head == "bce":
            delta = 1 / (1 + np.exp(-z)) - goal
        else:
            delta = np.exp(z) / np.exp(z).sum(axis=0)
            delta[goal, np.arange(3)] -= 1.0
        squares[3].append(np.mean((delta @ h2.T / 3) ** 2))
        delta = (1 - h2**2) * (w[2].T @ delta)
        squares[2].append(np.mean((delta @ h1.T / 3) ** 2))
        delta = (1 - h1**2) * (w[1].T @ delta)
        squares[1].append(np.mean((delta @ x / 3) ** 2))
    for layer, values in squares.items():
        predicted = table.loc[(layer, "gradient_weight_batch"), "value"]
        tolerance = 4 * np.std(values) / 300**0.5 + 0.03 * predicted
        assert abs(np.mean(values) - predicted) < tolerance, layer
        alone = table.loc[(layer, "gradient_weight"), "value"] / 3
        assert abs(np.mean(values) - alone) > 2 * tolerance, layer


def test_too_large_a_batch_is_said_not_computed():
    table = rows(vp.mlp([3, 2], activation="relu", input=vp.gaussian(4, 2100)))
    assert "more than 2048" in table.loc[(1, "correlation"), "reason"]
    table = rows(vp.mlp([3, 2], activation="relu", input=vp.gaussian(4, 600)))
    assert "more than 512" in table.loc[(1, "dead_fraction"), "reason"]
    assert table.loc[(1, "correlation"), "order"] == "exact"
