"""Averages over iid logits: quadrature for two of them, expansions, known values, and the table that is read."""

import numpy as np
import pytest
from scipy.integrate import quad, simpson

from varprop.analytic.attention.iid_logits import iid_weights, ratios
from varprop.analytic.cross_entropy import softmax_averages


@pytest.mark.parametrize("std", [0.03, 0.4, 0.6, 1.0, 3.0, 20.0])
def test_two_logits_by_one_quadrature(std):
    """A = (p, 1 - p) with p = sigmoid(D), D ~ N(0, 2 s²); J = p (1 - p) [[1, -1], [-1, 1]]: no softmax integral."""

    def average(f):
        def integrand(g):
            gap = np.sqrt(2.0) * std * g
            p = 1.0 / (1.0 + np.exp(-gap))
            return f(p * (1.0 - p), gap) * np.exp(-0.5 * g * g) / np.sqrt(2.0 * np.pi)

        return quad(integrand, -12.0, 12.0, epsabs=1e-14, epsrel=1e-12, limit=400, points=[0.0])[0]

    found = iid_weights(np.array([2.0]), std)
    assert found.squares[0] == pytest.approx(average(lambda v, gap: 1.0 - 2.0 * v), rel=1e-10)
    assert found.jacobian[0] == pytest.approx(average(lambda v, gap: 4.0 * v * v), rel=1e-9)
    assert found.logits[0] == pytest.approx(
        average(lambda v, gap: 2.0 * (v * gap) ** 2) / std**2, rel=1e-8, abs=1e-13
    )


@pytest.mark.parametrize("count", [3, 8, 64])
@pytest.mark.parametrize("std", [0.05, 0.2])
def test_small_logits(count, std):
    """T E sum A² and E tr J² to fourth order in s; what is left is below s^6/5 (and 1e-12 of rounding)."""
    t, s2 = float(count), std**2
    found = iid_weights(np.array([t]), std)
    squares = 1.0 + s2 * (1.0 - 1.0 / t) + s2**2 * (1.0 - 1.0 / t) * (0.5 - 3.0 / t)
    trace = 1.0 + s2 * (1.0 - 4.0 / t)
    trace += s2**2 * ((1.0 + 1.0 / t) * (0.5 - 7.0 / t) - 6.0 / t * (7.0 / 12.0 - 16.0 / (3.0 * t)))
    assert abs(t * found.squares[0] - squares) < s2**3 / 5.0 + 1e-12
    assert abs(t**2 / (t - 1.0) * found.jacobian[0] - trace) < s2**3 + 1e-12


def test_condensation():
    """E sum A² at s = sqrt(2 ln T), where single keys take over: values of another program, given to two digits."""
    expected = {16: 0.38, 64: 0.31, 256: 0.265, 1024: 0.235, 4096: 0.214}
    for count, value in expected.items():
        std = np.sqrt(2.0 * np.log(count))
        assert iid_weights(np.array([float(count)]), std).squares[0] == pytest.approx(value, abs=0.006)


@pytest.mark.parametrize(("count", "std"), [(10, 0.7), (50257, 1.3), (7, 12.0)])
def test_the_same_squares_as_the_loss(count, std):
    """Two routes to E sum p²: the one of the softmax head takes its own integral."""
    found = iid_weights(np.array([float(count)]), std).squares[0]
    assert found == pytest.approx(softmax_averages(count, std).squares, rel=1e-11)


@pytest.mark.parametrize(("count", "std", "seed"), [(5, 1.5, 1), (24, 0.9, 2), (24, 3.0, 3)])
def test_explicit_logits(count, std, seed):
    """Three means over 200,000 draws within 4.5 standard errors (false alarm 2e-5 a case); catches 1 to 2 %."""
    logits = std * np.random.default_rng(seed).standard_normal((200_000, count))
    a = np.exp(logits - logits.max(axis=1, keepdims=True))
    a /= a.sum(axis=1, keepdims=True)
    p2, p3 = (a**2).sum(axis=1), (a**3).sum(axis=1)
    bent = a * (logits - (a * logits).sum(axis=1, keepdims=True))
    drawn = (p2, p2 - 2.0 * p3 + p2**2, (bent**2).sum(axis=1) / std**2)
    for values, exact in zip(drawn, iid_weights(np.array([float(count)]), std), strict=True):
        assert abs(values.mean() - exact[0]) < 4.5 * values.std() / np.sqrt(values.size)


def test_table_between_its_nodes():
    """Interpolated ratios at a huge head size, where |q|² is fixed, are the exact integrals to 3e-4."""
    rng = np.random.default_rng(5)
    count = np.exp(rng.uniform(np.log(2.0), np.log(2000.0), 25))
    square = np.exp(rng.uniform(np.log(1e-3), np.log(60.0), 25))
    found = ratios(count, square, 10**9)
    for i in range(25):
        exact = iid_weights(count[i : i + 1], np.sqrt(square[i]))
        n, s2 = count[i], square[i]
        forward = (n * exact.squares[0] - 1.0) / (s2 * (1.0 - 1.0 / n))
        assert found.forward[i] == pytest.approx(forward, rel=3e-4)
        assert found.key[i] == pytest.approx(n**2 / (n - 1.0) * exact.jacobian[0], rel=3e-4)


def test_query_of_few_features():
    """E X tr J²(s² X) and the stretched Gram matrix at d = 4, n = 2, from quadrature over X ~ chi²_4 / 4 (Gamma)."""
    n, d, s2 = 2.0, 4, 0.8
    x = np.linspace(0.0, 12.0, 241)
    density = 4.0 * x * np.exp(-2.0 * x)
    # The density is 0 at the first node, where logits without spread would have no table of their own.
    exact = [iid_weights(np.array([n]), np.sqrt(s2 * max(value, 1e-6))) for value in x]
    jacobian, logits = (n**2 / (n - 1.0) * np.array([e[k][0] for e in exact]) for k in (1, 2))
    found = ratios(np.array([n]), np.array([s2]), d)
    assert found.key[0] == pytest.approx(simpson(density * x * jacobian, x=x), rel=3e-4)
    assert found.query[0] == pytest.approx(
        simpson(density * (0.75 * jacobian + 0.25 * logits), x=x), rel=3e-4
    )


def test_ends_of_the_table():
    """Nothing to choose, no logits, enormous logits: finite, positive, 1 without logits."""
    found = ratios(np.array([1.0, 64.0, 64.0]), np.array([0.0, 0.0, 1e9]), 64)
    for ratio in found:
        assert ratio[:2].tolist() == pytest.approx([1.0, 1.0], abs=1e-15)
        assert 0.0 <= ratio[2] < 1.0
