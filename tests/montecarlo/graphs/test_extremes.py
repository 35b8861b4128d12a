"""Where precision, rank or range give out: known parts, equal and zero columns, huge and tiny numbers."""

from __future__ import annotations

import numpy as np
import pytest

import varprop as vp
from varprop.spec import Head, Input, Network
from varprop.spec.ops import Activate, Convolution, Dense, Embedding, LayerNorm, RMSNorm
from varprop.spec.parts import attention, residual, sequence

from .networks import numbers


def rows(network: Network, draws: int = 8, **options: object) -> dict[tuple[str, str], float]:
    table = vp.simulate(network, draws=draws, **options)
    return dict(zip(zip(table["node"], table["quantity"], strict=True), table["value"], strict=True))


def test_what_is_the_same_in_every_draw_is_exact() -> None:
    """Layer norm of the input, worked out here by NumPy; a branch of zero weights adds nothing."""
    data = numbers(7, 3, batch=2)
    found = rows(
        Network(data, (LayerNorm(0.0), residual(Dense(7, "zeros"), name="r"), Dense(4, "he_normal")))
    )
    x = data.values
    y = (x - x.mean(axis=0)) / x.std(axis=0)
    for node in ("layer_norm", "r.stream"):
        assert found[node, "preactivation_second_moment"] == pytest.approx(1.0, rel=1e-13)
        assert found[node, "data_variance"] == pytest.approx(y.var(axis=1, ddof=1).mean(), rel=1e-13)
        u = y / np.linalg.norm(y, axis=0)
        cosines = (u.T @ u).reshape(2, 3, 2, 3)
        inside = np.mean(
            [cosines[b, t, b, s] for b in range(2) for t in range(3) for s in range(3) if s != t]
        )
        across = cosines[0, :, 1, :].mean()
        assert found[node, "token_correlation"] == pytest.approx(inside, abs=1e-13)
        assert found[node, "correlation"] == pytest.approx(across, abs=1e-13)
    assert found["r.dense", "preactivation_second_moment"] == 0.0
    assert found["r.dense", "gradient_input"] == 0.0
    assert found["r.dense", "gradient_weight"] > 0.0


def test_equal_tokens_stay_equal() -> None:
    data = Input(np.full((1, 6), 3), positions=(6,), vocabulary=5)
    block = residual([LayerNorm(), attention(2, causal=True, weights="normal(std=0.3)")], name="block")
    found = rows(Network(data, (Embedding(12), block, block, Dense(3, "he_normal"))))
    assert np.isfinite(list(found.values())).all()
    assert found["block2.stream", "token_correlation"] == pytest.approx(1.0, abs=1e-6)
    assert found["block2.attention.attend", "logit_variance"] < 1e-9
    # All logits of a row are equal, so the weights are 1 over the visible keys.
    visible = np.mean([1.0 / t for t in range(1, 7)])
    assert found["block1.attention.attend", "attention_concentration"] == pytest.approx(visible, rel=1e-6)


def test_a_zero_example_stays_exactly_zero() -> None:
    values = np.random.default_rng(0).standard_normal((9, 3))
    values[:, 1] = 0.0
    network = Network(Input(values), (residual(Dense(9, "he_normal")), RMSNorm(1e-6), Activate("relu")))
    found = rows(network, draws=40)
    # One of three columns is 0 throughout and hence inactive; of the others' units, symmetric in law, half are.
    assert found["rms_norm", "inactive_fraction"] == pytest.approx(2 / 3, abs=0.03)
    assert found["rms_norm", "correlation"] == pytest.approx(
        found["residual.stream", "correlation"], abs=1e-6
    )
    assert found["rms_norm", "preactivation_second_moment"] == pytest.approx(2 / 3, rel=1e-5)


def test_weights_with_a_mean_have_the_variance_of_their_law() -> None:
    """Var z = s Σ h² at a fixed input, mean or no mean; groups read different features, so their means differ.

    Over 400 draws of 24 channels at 9 places the error is below 5 % (5 standard errors); with the groups' means taken
    as one the estimate would be off by the spread of (mean Σ h)² between groups, several times the variance here.
    """
    values = np.abs(np.random.default_rng(1).standard_normal((4, 9))) + np.array([0, 0, 3, 3])[:, None]
    conv = Convolution(24, 1, padding=0, groups=2, weights="normal(std=0.2, mean=0.5)")
    found = rows(Network(Input(values, positions=(3, 3)), (conv, Dense(2, "he_normal"))), draws=400)
    expected = 0.04 * np.mean([np.sum(values[:2] ** 2, axis=0), np.sum(values[2:] ** 2, axis=0)])
    assert found["conv", "preactivation_variance"] == pytest.approx(expected, rel=0.1)


def _chain(gain: float, depth: int) -> Network:
    layers = [sequence(Dense(40, "he_normal", gain=gain), "relu") for _ in range(depth)]
    return Network(numbers(8, 2, batch=2), (*layers, Dense(4, "he_normal", gain=gain)), Head("unit"))


@pytest.mark.parametrize("gain", [2.0**-40, 2.0**-12, 2.0**12, 2.0**19])
def test_powers_of_two_leave_the_digits_alone(gain: float) -> None:
    """With relu and no biases a gain multiplies z of layer l by gain^l: the same draws in double precision.

    The plain network is walked in single precision, so digits agree to its rounding, 1e-6 at a layer. Layers are wide
    enough for four independent columns; of dependent ones rounding would choose the directions that are made up.
    """
    plain, scaled = (vp.simulate(_chain(g, 6), draws=8, seed=4) for g in (1.0, gain))
    moment = plain["quantity"] == "preactivation_second_moment"
    layers = plain.loc[moment, "layer"].to_numpy()
    ratio = (scaled.loc[moment, "log_value"] - plain.loc[moment, "log_value"]).to_numpy()
    np.testing.assert_allclose(ratio, 2 * layers * np.log(gain), atol=1e-5)
    norm = plain["quantity"] == "gradient_squared_norm"
    ratio = (scaled.loc[norm, "log_value"] - plain.loc[norm, "log_value"]).to_numpy()
    np.testing.assert_allclose(ratio, 2 * (7 - layers) * np.log(gain), atol=1e-5)
    weight = plain["quantity"] == "gradient_weight"
    ratio = (scaled.loc[weight, "log_value"] - plain.loc[weight, "log_value"]).to_numpy()
    np.testing.assert_allclose(ratio, 2 * 6 * np.log(gain), atol=1e-5)


def test_what_leaves_double_precision_says_overflow() -> None:
    table = vp.simulate(_chain(2.0**19, 40), draws=4)
    last = table[(table["layer"] == 41) & (table["quantity"] == "preactivation_second_moment")]
    assert last["value"].iloc[0] == np.inf
    assert last["reason"].iloc[0] == "overflow"
    first = table[(table["layer"] == 1) & (table["quantity"] == "preactivation_second_moment")]
    assert np.isfinite(first["value"].iloc[0])
