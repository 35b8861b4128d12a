"""Probabilities of the tails and the search for them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from mpmath import mp, mpf

import varprop as vp
from varprop._validation import InputError
from varprop.activations import Tails, interval_probability
from varprop.activations.saturation import find_tails


@pytest.mark.parametrize(
    ("low", "high"), [(-math.inf, -3.0), (1.0, math.inf), (-1.0, 2.0), (30.0, 31.0), (-9.0, -8.0)]
)
@pytest.mark.parametrize(("m", "v"), [(0.0, 1.0), (-2.5, 0.3), (4.0, 20.0)])
def test_interval_probability_to_relative_precision(low: float, high: float, m: float, v: float) -> None:
    with mp.workdps(60):
        a, b = ((mpf(x) - m) / mp.sqrt(mpf(v)) for x in (low, high))
        exact = float(mp.ncdf(b) - mp.ncdf(a)) if a < 0 else float(mp.ncdf(-a) - mp.ncdf(-b))
    # a difference of two numbers computed from t with relative error eps: eps t² of the larger
    np.testing.assert_allclose(interval_probability(low, high, m, v), exact, rtol=2e-12, atol=1e-300)


def test_points_and_empty_sides() -> None:
    np.testing.assert_array_equal(interval_probability(0.0, 1.0, [0.0, 1.0, 1.1], 0.0), [1.0, 1.0, 0.0])
    assert Tails(-math.inf, math.inf).probability(0.0, 1.0) == 0.0
    assert Tails(0.0, 0.0).probability(0.3, 1.0) == 1.0
    assert Tails(-1.0, 1.0).probability(0.0, 0.0) == 0.0
    assert Tails(-1.0, 1.0).contains([-1.0, 0.0, 2.0]).tolist() == [True, False, True]
    with pytest.raises(InputError):
        interval_probability(0.0, 1.0, 0.0, -1.0)


def test_saturated_share_of_a_sigmoid() -> None:
    """P(sigma(z) < 0.01 or > 0.99) = erfc(log 99/sqrt(2 q)) for z ~ N(0, q)."""
    for q in (1.5, 501.0):
        found = vp.activation("sigmoid").saturation().probability(0.0, q)
        assert math.isclose(found, math.erfc(math.log(99) / math.sqrt(2 * q)), rel_tol=1e-12)


def test_growing_oscillating_and_constant_derivatives() -> None:
    empty = Tails(-math.inf, math.inf)
    assert find_tails(lambda z: 2 * z, (), 0.1) == empty
    assert find_tails(np.cos, (), 0.0396) == empty
    assert find_tails(np.ones_like, (), 0.5) == empty
    assert find_tails(np.zeros_like, (), 0.5) == Tails(0.0, 0.0)
    assert find_tails(np.zeros_like, (-1.0, 2.0), 0.5) == Tails(-1.0, 2.0)
    assert find_tails(lambda z: np.maximum(z, 0.0), (0.0,), 0.0396) == Tails(0.0, math.inf)
