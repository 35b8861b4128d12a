"""The Jacobian's spectrum against known laws, published edges and drawn matrices."""

import math

import numpy as np
import pytest
from scipy.integrate import trapezoid

from varprop._validation import InputError
from varprop.activations import activation
from varprop.analytic.mean_field.jacobian import exact_moments, jacobian_spectrum
from varprop.analytic.mean_field.spectrum import Jacobian


def singular_values_squared(slopes, weight_variance, depth, width, ensemble, rng):
    """Squared singular values of one drawn product of D W, with masks from a real forward pass."""
    h = rng.standard_normal(width)
    product = np.eye(width)
    for _ in range(depth):
        w = rng.standard_normal((width, width))
        if ensemble == "gaussian":
            w *= math.sqrt(weight_variance / width)
        else:
            orthogonal, r = np.linalg.qr(w)
            w = orthogonal * np.sign(np.diag(r)) * math.sqrt(weight_variance)
        z = w @ h
        d = np.where(z > 0, slopes[1], slopes[0])
        h, product = d * z, d[:, None] * (w @ product)
    return np.linalg.svd(product, compute_uv=False) ** 2


@pytest.mark.parametrize("depth", [1, 3, 8])
def test_edge_of_gaussian_linear_products(depth):
    """(L + 1)^(L + 1) / L^L: Fuss-Catalan, the moments' growth rate."""
    edge = Jacobian(activation("linear"), 1.0, depth).upper_edge()
    assert edge == pytest.approx((depth + 1) ** (depth + 1) / depth**depth, rel=1e-8)


@pytest.mark.parametrize(("ensemble", "depth"), [("gaussian", 4), ("gaussian", 8), ("orthogonal", 4)])
def test_relu_edge_solves_the_stationary_equation(ensemble, depth):
    """For relu the S-transform is rational: minimise (1 + m)/(m S(m)) on a fine grid instead."""
    m = np.geomspace(1e-4, 1e3, 2_000_001)
    s = ((1 + m) / (m + 0.5) / 2 / ((1 + m) if ensemble == "gaussian" else 1)) ** depth
    expected = ((1 + m) / (m * s)).min()
    assert Jacobian(activation("relu"), 2.0, depth, 1.0, ensemble).upper_edge() == pytest.approx(
        expected, rel=1e-6
    )


def test_one_gaussian_layer_is_marchenko_pastur():
    x = np.linspace(0.05, 3.9, 40)
    density = Jacobian(activation("linear"), 1.0, 1).density(x)
    assert density == pytest.approx(np.sqrt((4 - x) / x) / (2 * math.pi), rel=1e-5)


@pytest.mark.parametrize(
    ("name", "weight_variance", "ensemble"),
    [
        ("relu", 2.0, "gaussian"),
        ("relu", 2.0, "orthogonal"),
        ("tanh", 1.3, "gaussian"),
        ("tanh", 1.1, "orthogonal"),
    ],
)
def test_density_has_the_right_mass_mean_and_variance(name, weight_variance, ensemble):
    law = Jacobian(activation(name), weight_variance, 3, 0.4, ensemble)
    # Dense near 0, where the density of a product diverges, and near the edge, where it ends in a root.
    t = np.linspace(0, 1, 601)[1:-1]
    s = np.sqrt(law.upper_edge()) * np.sin(t * np.pi / 2) ** 4
    rho = 2 * s * law.density(s**2)
    mean, variance = law.moments()

    def integral(power):
        return trapezoid(rho * s ** (2 * power), s)

    assert integral(0) + law.atom_at_zero() == pytest.approx(1.0, abs=3e-3)
    assert integral(1) == pytest.approx(mean, rel=2e-3)
    assert integral(2) - mean**2 == pytest.approx(variance, rel=5e-3)


@pytest.mark.agreement
@pytest.mark.parametrize("ensemble", ["gaussian", "orthogonal"])
@pytest.mark.parametrize("name", ["linear", "relu", "leaky_relu(slope=0.3)"])
def test_exact_moments_at_width_eight(name, ensemble):
    """Three z-tests on 4000 drawn networks of width 8; each |z| < 4.5 fails a correct formula at 7e-6.

    A formula wrong by 5 % in the mean or 25 % in a variance is beyond 4.5 standard errors.
    """
    slopes, depth, width, draws = activation(name).slopes, 3, 8, 4000
    rng = np.random.default_rng(8)
    values = np.array(
        [singular_values_squared(slopes, 1.2, depth, width, ensemble, rng) for _ in range(draws)]
    )
    mean, within, between = exact_moments(name, 1.2, depth, width, ensemble)
    means = values.mean(1)
    samples = {
        "mean": (means, mean),
        "within": (values.var(1), within),
        "between": ((means - mean) ** 2, between),
    }
    for name_, (sample, expected) in samples.items():
        spread = sample.std(ddof=1) / math.sqrt(draws)
        assert abs(sample.mean() - expected) <= 4.5 * spread + 1e-10, name_


def test_exact_moments_tend_to_the_asymptotic_ones():
    law = Jacobian(activation("relu"), 2.0, 5)
    mean, variance = law.moments()
    exact_mean, within, between = exact_moments("relu", 2.0, 5, 1_000_000)
    assert exact_mean == pytest.approx(mean)
    assert within == pytest.approx(variance, rel=1e-4)
    assert between < 1e-4


def test_isometry_is_said_in_words():
    assert jacobian_spectrum("linear", 1.0, 10, weights="orthogonal").attrs["verdict"].startswith("dynamical")
    assert jacobian_spectrum("relu", 2.0, 10).attrs["verdict"].startswith("mean-square isometry only")
    assert jacobian_spectrum("tanh", 3.58, 100, q=1.7912).attrs["verdict"].startswith("no isometry")
    frame = jacobian_spectrum("relu", 2.0, 4, width=64)
    assert set(frame.loc[frame["order"] == "exact", "statistic"]) == {"mean", "variance", "variance_between"}


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("tanh", 1.0, 0), "depth"),
        (("tanh", -1.0, 3), "weight_variance"),
        (("tanh", 1.0, 3, 8, "cauchy"), "ensemble"),
    ],
)
def test_bad_arguments(arguments, field):
    with pytest.raises(InputError, match=field):
        Jacobian(activation(arguments[0]), arguments[1], arguments[2], 1.0, *(arguments[4:]))


def test_only_homogeneous_activations_have_an_exact_law():
    with pytest.raises(InputError, match="relu"):
        exact_moments("tanh", 1.0, 3, 8)
