"""Biases far wider than the activation's own scale: resolved, or not called exact."""

from __future__ import annotations

import numpy as np
import pytest

import varprop as vp

HALF = 1000.0


def _row(activation: str, quantity: str) -> tuple[float, str]:
    network = vp.mlp(
        [2, 1], activation, "standard_normal", f"uniform(low={-HALF}, high={HALF})", vp.Input(np.ones((1, 1)))
    )
    table = vp.predict(network)
    row = table[(table["layer"] == 1) & (table["quantity"] == quantity)].iloc[0]
    return float(row["value"]), str(row["order"])


def test_tanh_is_resolved_about_the_centre() -> None:
    """E tanh² = 1 - E tanh', and the integral of tanh' over all biases is 2 whatever Gaussian smooths it.

    So E tanh² = 1 - 2/(2 · 1000), up to exp(-1000). Slopes: the integral of sech⁴ is 4/3.
    """
    value, order = _row("tanh", "activation_second_moment")
    assert value == pytest.approx(1.0 - 1.0 / HALF, rel=1e-9)
    assert order == "exact"
    value, order = _row("tanh", "derivative_second_moment")
    assert value == pytest.approx(4.0 / 3.0 / (2.0 * HALF), rel=1e-8)
    assert order == "exact"


@pytest.mark.parametrize("wave", ["sin", "cos"])
def test_waves_that_are_not_resolved_are_not_exact(wave: str) -> None:
    assert _row(wave, "activation_second_moment")[1] == "approximate"
