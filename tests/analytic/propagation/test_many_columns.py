"""More columns than one covariance is carried of: known inputs are read by patches, batches in parts, or refused."""

from __future__ import annotations

import numpy as np

import varprop as vp
from varprop import ops
from varprop.analytic.propagation import propagate


def test_patches_of_a_large_image_are_read_from_its_values() -> None:
    """2500 columns: catches a patch shifted by a pixel, and the wrong site's gradient at the input."""
    size, patch = 50, 10
    x = np.random.default_rng(0).standard_normal((3, size, size)) * np.linspace(0.5, 2.0, size)
    data = vp.Input(x.reshape(3, -1), positions=(size, size))
    network = vp.Network(data, [ops.conv(40, patch, stride=patch, padding=0, weights="standard_normal")])
    cells = x.reshape(3, 5, patch, 5, patch).transpose(1, 3, 0, 2, 4).reshape(25, -1)
    found = propagate(network)
    np.testing.assert_allclose(found.walk.signals[-1].second, cells @ cells.T, rtol=1e-12)
    assert found.walk.signals[-1].law
    rows = vp.predict(network).set_index("quantity")
    # Every pixel is read once, by 40 channels: E (dL/dx)² = 40.
    assert rows.loc["gradient_input", "value"] == 40.0
    np.testing.assert_allclose(
        rows.loc["gradient_weight", "value"], np.mean(np.sum(cells**2, axis=0)), rtol=1e-12
    )


def test_a_large_image_can_be_flattened() -> None:
    x = np.random.default_rng(1).standard_normal((2, 2 * 2500))
    body = [ops.flatten(), ops.dense(8, "standard_normal")]
    rows = vp.predict(vp.Network(vp.Input(x, positions=(50, 50)), body)).set_index("quantity")
    np.testing.assert_allclose(rows.loc["preactivation_second_moment", "value"], np.sum(x**2) / 2, rtol=1e-12)


def test_batches_in_parts_have_the_mean_of_the_parts() -> None:
    """A transformer on 80 × 32 tokens: rows about single examples are means over smaller batches."""
    ids = np.random.default_rng(2).integers(50, size=(80, 32))

    def rows(chosen: np.ndarray) -> object:
        data = vp.tokens(32, 50, batch=len(chosen), ids=chosen)
        network = vp.transformer(1, 32, 4, vocabulary=50, input=data, tied=False, biases="normal(std=0.1)")
        return vp.predict(network).set_index(["node", "quantity"])

    whole, parts = rows(ids), [rows(ids[i : i + 16]) for i in range(0, 80, 16)]
    for key in (("block.mlp.dense2", "gradient_weight"), ("dense", "preactivation_second_moment")):
        mean = np.mean([part.loc[key, "value"] for part in parts])  # type: ignore[attr-defined]
        np.testing.assert_allclose(whole.loc[key, "value"], mean, rtol=1e-4)  # type: ignore[attr-defined]
    assert whole.loc[("dense", "correlation"), "order"] == ""  # type: ignore[attr-defined]


def test_what_needs_all_examples_at_once_is_refused_in_words() -> None:
    rows = vp.predict(vp.resnet(20, batch=8))
    assert (rows.order == "").all()
    assert rows.reason.str.contains("more than 2048 columns").all()
