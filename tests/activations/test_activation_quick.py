"""Value and slope at once, in single precision, against the double-precision functions."""

from __future__ import annotations

import numpy as np
import pytest

import varprop as vp

from .conftest import NAMES

QUICK = [name for name in NAMES if vp.activation(name).quick]


def test_some_activations_have_it() -> None:
    assert {"gelu", "gelu_tanh", "silu"} <= set(QUICK)


@pytest.mark.parametrize("name", QUICK)
def test_quick_is_right_to_rounding_of_the_greatest_slope(name: str) -> None:
    """5e-7 of |z| is eight roundings; a slope has an exponent of up to 20 beside it, and 20 times the rounding."""
    phi = vp.activation(name)
    assert phi.quick is not None
    size = np.concatenate([np.logspace(-20, 15, 4001), np.linspace(0, 12, 6001)])
    z = np.concatenate([-size, size]).astype(np.float32)
    value, slope = phi.quick(z)
    assert value.dtype == slope.dtype == np.float32
    wide = z.astype(np.float64)
    assert np.all(np.abs(value - phi(wide)) <= 5e-7 * np.abs(wide))
    np.testing.assert_allclose(slope, phi.derivative(wide), rtol=0, atol=3e-6)
