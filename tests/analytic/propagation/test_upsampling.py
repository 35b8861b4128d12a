"""Repeated positions: moments before a convolution, and gradients after it, by algebra."""

from __future__ import annotations

import numpy as np
import pytest

import varprop as vp
from varprop import ops


def test_positions_are_repeated_and_their_gradients_added() -> None:
    """A layer of variance s per weight on C channels, then every pixel f² times, then a 1 x 1 map to k channels.

    E z² = C s mean x² before and after; the unit head's gradient at the first layer is the sum over f² independent
    positions, each k s': f² k s'. A repetition that was forgotten on either way would be off by a factor f².
    """
    x = np.arange(2 * 3 * 4 * 4, dtype=float).reshape(2, 3, 4, 4) / 50 - 1
    body = [
        ops.conv(5, 1, weights="normal(std=0.5)"),
        ops.upsample(3),
        ops.conv(7, 1, weights="normal(std=0.2)"),
    ]
    columns = x.transpose(1, 0, 2, 3).reshape(3, -1)
    network = vp.Network(vp.Input(columns, positions=(4, 4)), body)
    table = vp.predict(network)
    found = table.set_index(["layer", "quantity"])["value"]
    square = 3 * 0.25 * np.mean(x**2)
    assert found[1, "preactivation_second_moment"] == pytest.approx(square, rel=1e-12)
    assert found[2, "preactivation_second_moment"] == pytest.approx(square, rel=1e-12)
    assert found[1, "gradient_preactivation"] == pytest.approx(9 * 7 * 0.04, rel=1e-12)
    compared = vp.compare(table, vp.simulate(network, draws=50), alpha=0.001)
    assert not (compared.verdict == "differs").any()
