"""Pair moments: independent references, closed form against quadrature, degenerate pairs, digits near ±1."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from mpmath import mp, mpf

import varprop as vp
from varprop._validation import InputError

from .conftest import NAMES

REFERENCE = Path(__file__).parents[1] / "reference" / "activations_pairs.csv"
with REFERENCE.open(newline="") as stream:
    ROWS = list(csv.DictReader(stream))
CLOSED = [name for name in NAMES if vp.activation(name).forms.pair]


@pytest.mark.parametrize("method", ["auto", "quadrature"])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['activation']}-{row['covariance']}")
def test_against_mpmath(row: dict[str, str], method: str) -> None:
    arguments = [float(row[key]) for key in ("q1", "q2", "covariance")]
    found = vp.activation(row["activation"]).pair_moments(*arguments, method=method)
    for field in ("product", "derivative_product"):
        assert np.isclose(getattr(found, field), float(row[field]), rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", CLOSED)
@pytest.mark.parametrize("variances", [(1.0, 1.0), (0.3, 2.0), (1e-3, 1e-3), (30.0, 20.0)])
def test_closed_form_and_quadrature_agree(name: str, variances: tuple[float, float]) -> None:
    activation = vp.activation(name)
    eps = np.array([0.0, 1e-12, 1e-6, 1e-3, 0.1, 0.5, 1.0, 1.5, 1.99, 2 - 1e-9, 2.0])
    fields = ("product", "derivative_product", "squared_difference")
    if name in ("step", "sign"):
        fields = fields[:2]
    known = activation.pair_moments(*variances, one_minus_correlation=eps, fields=fields)
    summed = activation.pair_moments(
        *variances, one_minus_correlation=eps, fields=fields, method="quadrature"
    )
    plain = activation.moments(np.array(variances))
    norms = {
        "product": np.sqrt(plain.second_moment.prod()),
        "derivative_product": np.sqrt(plain.derivative_second_moment.prod()),
        "squared_difference": 0.0,
    }
    for field in fields:
        exact = getattr(known, field)
        atol = 1e-13 * norms[field]
        if field == "squared_difference":
            # an even function makes the difference vanish at correlation -1: there it is a rounding error
            atol = 1e-15 * plain.second_moment.max()
        np.testing.assert_allclose(getattr(summed, field), exact, rtol=2e-12, atol=atol)


@pytest.mark.parametrize("name", NAMES)
def test_correlation_one_is_the_second_moment(name: str) -> None:
    activation = vp.activation(name)
    q = np.array([1e-6, 0.02, 1.0, 7.0, 300.0])
    plain = activation.moments(q, fields=("second_moment", "derivative_second_moment"))
    pair = activation.pair_moments(q, q, q, fields=("product", "derivative_product", "squared_difference"))
    np.testing.assert_allclose(pair.product, plain.second_moment, rtol=1e-12)
    np.testing.assert_allclose(pair.derivative_product, plain.derivative_second_moment, rtol=1e-12)
    np.testing.assert_array_equal(pair.squared_difference, 0.0)


@pytest.mark.parametrize("name", NAMES)
def test_correlation_zero_is_the_product_of_means(name: str) -> None:
    activation = vp.activation(name)
    q1, q2 = np.array([0.3, 1.0, 9.0]), np.array([2.0, 1.0, 1e-4])
    first, second = activation.moments(q1), activation.moments(q2)
    pair = activation.pair_moments(q1, q2, 0.0)
    scale = np.sqrt(first.second_moment * second.second_moment)
    np.testing.assert_allclose(pair.product, first.mean * second.mean, rtol=1e-11, atol=1e-15 * scale.max())
    expected = first.derivative_mean * second.derivative_mean
    np.testing.assert_allclose(pair.derivative_product, expected, rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize("name", NAMES)
def test_variance_zero_is_a_constant(name: str) -> None:
    activation = vp.activation(name)
    fields = ("product", "derivative_product", "squared_difference")
    one = activation.moments(1.5)
    start, slope = float(activation(0.0)), float(activation.derivative(0.0))
    for pair in (
        activation.pair_moments(0.0, 1.5, 0.0, fields),
        activation.pair_moments(1.5, 0.0, 0.0, fields),
    ):
        assert np.isclose(pair.product, start * one.mean, rtol=1e-12)
        assert np.isclose(pair.derivative_product, slope * one.derivative_mean, rtol=1e-12)
        assert np.isclose(pair.squared_difference, one.variance + (one.mean - start) ** 2, rtol=1e-12)
    both = activation.pair_moments(0.0, 0.0, 0.0, fields)
    assert (both.product, both.derivative_product, both.squared_difference) == (start**2, slope**2, 0.0)


@pytest.mark.parametrize("name", ["tanh", "relu6", "mish", "softsign", "selu"])
def test_price_theorem(name: str) -> None:
    """d/dc E phi(u) phi(v) = E phi'(u) phi'(v) (Price 1958), by fourth-order differences in c."""
    activation, h = vp.activation(name), 1e-2
    for c in (-0.5, 0.1, 0.6):
        f = activation.pair_moments(1.2, 0.9, c + h * np.array([-2, -1, 1, 2])).product
        slope = (f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * h)
        assert np.isclose(slope, activation.pair_moments(1.2, 0.9, c).derivative_product, rtol=3e-7)


def test_squared_difference_keeps_its_digits() -> None:
    """relu: 2 q (eps/2 - (sin t - t cos t)/(2 pi)), t = 2 asin(sqrt(eps/2)) (Cho & Saul 2009), at 60 digits."""
    for eps in (1e-15, 1e-12, 1e-8, 1e-4, 0.3, 0.9):
        with mp.workdps(60):
            t = 2 * mp.asin(mp.sqrt(mpf(eps) / 2))
            exact = 2 * (mpf(eps) / 2 - (mp.sin(t) - t * mp.cos(t)) / (2 * mp.pi))
        found = vp.activation("relu").pair_moments(
            1.0, 1.0, one_minus_correlation=eps, fields=("squared_difference",)
        )
        assert np.isclose(found.squared_difference, float(exact), rtol=1e-13)


@pytest.mark.parametrize("name", ["tanh", "gelu_tanh", "hardtanh", "elu", "softsign", "sin"])
def test_small_differences_are_the_slope(name: str) -> None:
    """E (phi(u) - phi(v))² -> 2 q eps E phi'², with a relative correction of order sqrt(eps) at kinks."""
    activation = vp.activation(name)
    slope = activation.moments(2.0, fields=("derivative_second_moment",)).derivative_second_moment
    for eps in (1e-16, 1e-13, 1e-10):
        found = activation.pair_moments(2.0, 2.0, one_minus_correlation=eps, fields=("squared_difference",))
        assert np.isclose(found.squared_difference, 4 * eps * slope, rtol=1e-11 + 5 * eps**0.5)


@pytest.mark.parametrize("name", ["tanh", "hardtanh", "silu"])
def test_squared_difference_adds_up(name: str) -> None:
    activation = vp.activation(name)
    q1, q2 = 0.8, 1.9
    for eps in (0.2, 0.7, 1.3, 1.9):
        pair = activation.pair_moments(
            q1, q2, one_minus_correlation=eps, fields=("product", "squared_difference")
        )
        norms = activation.moments(np.array([q1, q2]), fields=("second_moment",)).second_moment.sum()
        assert np.isclose(pair.squared_difference, norms - 2 * pair.product, rtol=1e-11)


def test_a_covariance_matrix_of_products_is_positive_semidefinite() -> None:
    x = np.random.default_rng(1).standard_normal((20, 12))
    x[3] = x[4]
    x[5] = 0
    cov = x @ x.T / 12
    q = np.diag(cov)
    for name in ("tanh", "relu", "hard_swish", "elu"):
        pair = vp.activation(name).pair_moments(q[:, None], q, cov)
        for matrix in (pair.product, pair.derivative_product):
            assert matrix.shape == cov.shape
            np.testing.assert_allclose(matrix, matrix.T, rtol=1e-12, atol=1e-15)
            assert np.linalg.eigvalsh(matrix).min() > -1e-12 * np.trace(matrix)


@pytest.mark.parametrize(
    ("arguments", "keywords", "match"),
    [
        ((1.0, 1.0, 1.1), {}, "cov"),
        ((1.0, 0.0, 0.1), {}, "cov"),
        ((1.0, 1.0, np.nan), {}, "cov"),
        ((1.0, 1.0), {}, "cov"),
        ((1.0, 1.0, 0.5), {"one_minus_correlation": 0.5}, "cov"),
        ((1.0, 1.0), {"one_minus_correlation": -0.1}, "one_minus_correlation"),
        ((-1.0, 1.0, 0.0), {}, "variance"),
        ((1.0, 1.0, 0.5), {"fields": ("products",)}, "fields"),
        ((1.0, 1.0, 0.5), {"method": "formula"}, "closed form"),
        (([1.0, 2.0], [1.0, 2.0, 3.0], 0.0), {}, "cov"),
    ],
)
def test_bad_arguments(arguments: tuple, keywords: dict, match: str) -> None:
    with pytest.raises(InputError, match=match):
        vp.activation("tanh").pair_moments(*arguments, **keywords)


def test_what_quadrature_cannot_reach_is_refused() -> None:
    fast = vp.activation(lambda z: np.sin(300 * z), derivative=lambda z: 300 * np.cos(300 * z), kinks=())
    with pytest.raises(InputError, match="quadrature reaches"):
        fast.pair_moments(1.0, 1.0, 0.999999)
