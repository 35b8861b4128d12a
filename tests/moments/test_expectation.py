"""Quadrature on both scales: known integrals, kinks, refusal."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import varprop as vp
from varprop._validation import InputError
from varprop.moments import expectation
from varprop.moments.closed import upper_moments
from varprop.moments.rule import NODES, RUNNING
from varprop.moments.table import Table


@settings(max_examples=60, deadline=None)
@given(log_q=st.floats(-12, 12), m=st.floats(-50, 50), k=st.integers(0, 6))
def test_powers_are_exact(log_q: float, m: float, k: int) -> None:
    """E z^k by its three-term recurrence."""
    q = 10.0**log_q
    known = [1.0, m]
    for j in range(2, k + 1):
        known.append(m * known[j - 1] + (j - 1) * q * known[j - 2])
    size = (m * m + q) ** (k / 2)
    assert abs(expectation(lambda z: z**k, q, m) - known[k]) < 1e-12 * size * 15


@settings(max_examples=40, deadline=None)
@given(log_q=st.floats(-6, 6), m=st.floats(-5, 5), kink=st.floats(-8, 8), declare=st.booleans())
def test_kinks_and_jumps(log_q: float, m: float, kink: float, declare: bool) -> None:
    """P(z > kink) and E|z - kink| are known; a declared kink is hit, an undeclared one bisected."""
    q = 10.0**log_q
    s, t = math.sqrt(q), (m - kink) / math.sqrt(q)
    kinks = (kink,) if declare else ()
    share = expectation(lambda z: 1 + (z > kink), q, m, kinks) - 1
    assert abs(share - 0.5 * math.erfc(-t / math.sqrt(2))) < 1e-12
    distance = expectation(lambda z: np.abs(z - kink), q, m, kinks)
    density = math.exp(-0.5 * t * t) / math.sqrt(2 * math.pi)
    known = s * (2 * density + t * math.erf(t / math.sqrt(2)))
    assert abs(distance - known) < 1e-12 * known + 1e-15


@pytest.mark.parametrize("m", [-2e-15, -8e-16, -2e-16, 3e-16, 8.881784197001252e-16, 1e-15, 3e-15])
@pytest.mark.parametrize("edge", [-2.0, -0.5, 0.0, 0.5, 1.5, 3.0])
def test_jumps_beside_edges_that_nearly_meet(m: float, edge: float) -> None:
    """The grids of both scales differ by roundoff here; a jump between their edge and the nearest node is seen."""
    for jump in (edge - 2.0**-9, edge + 2.0**-9):
        found = expectation(lambda z, jump=jump: 1.0 + (z > jump), 1.0, m) - 1
        assert abs(found - 0.5 * math.erfc((jump - m) / math.sqrt(2))) < 1e-12


@pytest.mark.parametrize("name", ["tanh", "softsign", "arctan", "hardtanh"])
@pytest.mark.parametrize("scale", [1e-15, 1.0, 1e20, 1e40, 9e49])
@pytest.mark.parametrize("ratio", [0.0, 1e-16, 1.0, 3.7, 1e10, 1e50])
def test_mirror_images(name: str, scale: float, ratio: float) -> None:
    """E phi of an odd function changes its sign with the mean, to the rounding of sums: panels are mirror images."""
    phi, mean = vp.activation(name), min(scale * ratio, 1e100)
    found = [expectation(phi, scale**2, m, phi.kinks) for m in (mean, -mean)]
    size = expectation(lambda z: np.abs(phi(z)), scale**2, mean, (*phi.kinks, 0.0))
    assert abs(found[0] + found[1]) <= 1e-15 * size


def test_broadcasting_and_points() -> None:
    found = expectation(np.cos, [[0.0], [1.0]], [0.0, 1.0, 2.0])
    assert found.shape == (2, 3)
    np.testing.assert_allclose(found[0], np.cos([0.0, 1.0, 2.0]), rtol=1e-15)
    np.testing.assert_allclose(found[1], np.exp(-0.5) * np.cos([0.0, 1.0, 2.0]), rtol=1e-12)
    assert np.shape(expectation(np.cos, 1.0)) == ()
    assert expectation(np.cos, []).shape == (0,)


def test_heavy_growth_widens_the_range() -> None:
    np.testing.assert_allclose(expectation(np.exp, 100.0), math.exp(50.0), rtol=1e-12)
    np.testing.assert_allclose(expectation(lambda z: np.exp(z * z), 0.2), 0.6**-0.5, rtol=1e-12)


@pytest.mark.parametrize(
    ("f", "q"),
    [
        (lambda z: np.exp(np.minimum(z * z, 700)), 0.6),
        (lambda z: 1 + np.sin(1e6 * z), 1.0),
        (lambda z: np.where(z > 3, np.nan, z), 1.0),
        (lambda z: 1 / np.maximum(np.abs(z), 1e-300), 1.0),
    ],
)
def test_what_cannot_be_reached_is_refused(f, q: float) -> None:
    with pytest.raises(InputError, match="expectation"):
        expectation(f, q)


@pytest.mark.parametrize("bad", [{"variance": -1.0}, {"variance": np.nan}, {"variance": 1.0, "mean": np.inf}])
def test_bad_arguments(bad: dict) -> None:
    with pytest.raises(InputError):
        expectation(np.cos, **bad)


def test_running_integrals_are_exact_for_polynomials() -> None:
    for k in range(15):
        np.testing.assert_allclose(
            NODES**k @ RUNNING, (NODES ** (k + 1) - (-1) ** (k + 1)) / (k + 1), atol=1e-14
        )


@pytest.mark.parametrize("m", [-30.0, -8.0, -2.0, -1.001, -0.999, 0.0, 0.5, 20.0])
def test_upper_moments_in_the_tail(m: float) -> None:
    """Against adaptive quadrature of the half line itself, whose integrand is positive: no cancellation."""
    s = 1.3
    for k, found in enumerate(upper_moments(8, m, s)):
        shifted = expectation(
            lambda g: np.where(g > 0, np.abs(g) ** k * np.exp(m * np.maximum(g, 0) / s**2), 0.0),  # noqa: B023
            s * s,
            kinks=(0.0,),
        )
        # E[z^k; z > 0] under N(m, s²) is the integral under N(0, s²) tilted by exp(m z/s² - m²/2s²)
        assert np.isclose(found, shifted * math.exp(-m * m / (2 * s * s)), rtol=1e-12, atol=0)


def test_the_table_knows_its_range() -> None:
    tanh = vp.activation("tanh")
    table = Table(tanh.value, tanh.slope, tanh.kinks)
    assert table.lowest < 1e-18
    assert table.highest > 1e12
    wave = Table(np.sin, np.cos, ())
    assert 1e3 < wave.highest < 1e10
    grow = Table(np.exp, np.exp, ())
    assert not grow.serves(1.0)


@pytest.mark.parametrize("name", ["tanh", "softsign", "mish", "hardtanh", "gelu_tanh"])
def test_the_table_agrees_with_adaptive_panels(name: str) -> None:
    activation = vp.activation(name)
    q = 10.0 ** np.linspace(-15, 9, 25)
    table = Table(activation.value, activation.slope, activation.kinks)
    names = ("second_moment", "derivative_second_moment")
    found = table.evaluate(names, q)
    one = expectation(lambda z: activation(z) ** 2, q, kinks=activation.kinks)
    two = expectation(lambda z: activation.derivative(z) ** 2, q, kinks=activation.kinks)
    np.testing.assert_allclose(found, np.stack([one, two], axis=1), rtol=1e-13)
    for variance, row in zip(q, found, strict=True):
        np.testing.assert_allclose(table.evaluate_one(names, variance), row, rtol=1e-14)
