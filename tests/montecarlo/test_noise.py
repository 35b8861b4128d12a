"""Noise: the laws it claims, tails included, and the same numbers in both precisions."""

import math

import numpy as np
import pytest

from varprop.montecarlo.normals import Noise


def noise(seed, dtype=np.float32):
    return Noise(np.random.Generator(np.random.SFC64(seed)), dtype)


@pytest.mark.agreement
def test_normal_moments_and_tails():
    """Six z-tests at 5 sigma (false alarms 3e-6 with another seed); 4e6 numbers see 0.4 % of a tail at 4 sigma."""
    size = 4_000_000
    g = noise(1).normal((size,)).astype(np.float64)
    for power, mean, fourth in ((1, 0, 1), (2, 1, 3), (3, 0, 15), (4, 3, 105), (6, 15, 10395)):
        spread = math.sqrt((fourth - mean**2) / size)
        assert abs((g**power).mean() - mean) < 5 * spread
    for bound in (0.01, 1.0, 2.0, 3.0, 4.0, 4.5):
        p = math.erfc(bound / math.sqrt(2))
        count = np.count_nonzero(np.abs(g) > bound)
        assert abs(count - size * p) < 5 * math.sqrt(size * p * (1 - p))


@pytest.mark.agreement
def test_normal_distribution_function():
    """Kolmogorov distance of 1e6 numbers; 2 exp(-2 n d²) = 1e-6 at d = 0.0027."""
    from scipy.special import ndtr

    g = np.sort(noise(2).normal((1_000_000,)).astype(np.float64))
    assert np.abs(ndtr(g) - (np.arange(len(g)) + 0.5) / len(g)).max() < 0.0027


@pytest.mark.agreement
def test_pairs_are_independent():
    """Cosine and sine halves share a radius; products of both must not show it. 5 sigma each."""
    g = noise(3).normal((32, 1 << 15)).astype(np.float64)
    a, b = g[:, : 1 << 14], g[:, 1 << 14 :]
    for f in (lambda x: x, lambda x: x**2 - 1, lambda x: x**3 - 3 * x):
        scale = (f(a) ** 2).mean() / math.sqrt(a.size)
        assert abs((f(a) * f(b)).mean()) < 5 * scale


@pytest.mark.parametrize("size", [0, 1, 2, 7, 16384, 32768, 32769, 100_001])
def test_shapes_and_precisions(size):
    single, double = noise(4).normal((size,)), noise(4, np.float64).normal((size,))
    assert single.dtype == np.float32
    assert double.dtype == np.float64
    np.testing.assert_array_equal(single, double)
    assert np.isfinite(single).all()


@pytest.mark.agreement
def test_uniform():
    """Mean, variance and range of 1e6 numbers, at 5 sigma."""
    u = noise(5).uniform((1_000_001,), -0.5, 1.5).astype(np.float64)
    assert u.min() >= -0.5
    assert u.max() <= 1.5
    assert abs(u.mean() - 0.5) < 5 * math.sqrt(1 / 3 / len(u))
    assert abs(u.var() - 1 / 3) < 5 * math.sqrt((1 / 5 - 1 / 9) / len(u))
    assert len(np.unique(noise(6).uniform((10_000,), 0, 1))) > 9_900


@pytest.mark.agreement
def test_truncated_and_signs():
    """Variance of N(0,1) cut at ±2 is 0.7737413 (mpmath); signs are fair. 5 sigma."""
    t = noise(7).truncated((400_000,), -2.0, 2.0).astype(np.float64)
    assert np.abs(t).max() <= 2.0
    assert abs(t.var() - 0.7737413) < 5 * math.sqrt(2.4 / len(t) / 4)
    s = noise(8).signs((100_003,), 0.25)
    assert set(np.unique(s)) == {-0.25, 0.25}
    assert abs(s.mean()) < 5 * 0.25 / math.sqrt(len(s))


def test_scale_of_any_size():
    small = noise(9).normal((1000,), 1e-30)
    assert 0.9e-30 < small.astype(np.float64).std() < 1.1e-30
