"""Advice from tables of spec networks: what it says is He's and Glorot's arithmetic, and following it helps."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest

import varprop as vp


def changed(network: vp.Network, changes: pd.DataFrame) -> vp.Network:
    """Return the network with the suggested standard deviations."""
    wanted = changes.set_index(["module", "parameter"])["suggested"].to_dict()
    layers = []
    for number, layer in enumerate(network.layers, start=1):
        weights = wanted.get((f"layer {number}", "weight"))
        biases = wanted.get((f"layer {number}", "bias"))
        weights = layer.weights if weights is None else f"normal(std={weights!r})"
        biases = layer.biases if biases is None else (f"normal(std={biases!r})" if biases else "zeros")
        layers.append(vp.Layer(layer.width, layer.activation, weights, biases))
    return vp.Network(network.input, tuple(layers), name=network.name)


@pytest.mark.parametrize("table", [vp.predict, lambda n: vp.simulate(n, draws=5)])
def test_relu_weights_get_the_gain_of_he(table) -> None:  # type: ignore[no-untyped-def]
    """He et al. (2015), eq. 10: Var W = 2/fan_in, where LeCun's is 1/fan_in. Widths differ, which tells fans apart."""
    network = vp.mlp([50, 80, 20, 60] * 6, "relu", "lecun_normal", input=vp.half_on(30))
    found = vp.suggest(table(network))
    fans = np.array([30, *[50, 80, 20, 60] * 6][: network.depth - 1])
    # The last layer has gain 1 already, as it should: no activation comes after it.
    assert found["module"].tolist() == [f"layer {number}" for number in range(1, network.depth)]
    assert found["fan_in"].tolist() == fans.tolist()
    np.testing.assert_allclose(found["now"], np.sqrt(1 / fans), rtol=1e-9)
    np.testing.assert_allclose(found["suggested"], np.sqrt(2 / fans), rtol=1e-9)


@pytest.mark.parametrize(
    "network",
    [
        vp.mlp("64x40", "relu", "lecun_normal", input=vp.half_on(64)),
        vp.mlp("64x40", "relu", "normal(std=0.5)", "normal(std=0.2)", vp.half_on(64)),
        vp.mlp("100x40", "tanh", "normal(std=0.02)", input=vp.gaussian(100, 1)),
        vp.mlp("100x40", "tanh", "variance_scaling(scale=3.58)", input=vp.gaussian(100, 1)),
        vp.mlp("100x30", "gelu", "lecun_uniform", input=vp.gaussian(100, 1)),
    ],
    ids=["too small", "too large", "vanishing", "chaotic", "gelu"],
)
def test_following_the_advice_helps(network: vp.Network) -> None:
    """The prediction of the changed network is the witness: its worse direction comes nearer to a factor of 1."""
    before = vp.predict(network)
    assert vp.diagnose_one(before).health == "unhealthy"
    after = vp.diagnose_one(vp.predict(changed(network, vp.suggest(before))))
    worst = [
        max(abs(found.forward.log_factor), abs(found.backward.log_factor))
        for found in (vp.diagnose_one(before), after)
    ]
    assert worst[1] < 0.5 * worst[0]
    assert after.health == "healthy"


def test_every_case_gets_its_own_rows_and_a_healthy_one_none() -> None:
    laws = ("lecun_normal", "he_normal", "normal(std=1.0)")
    networks = [vp.mlp("64x30", "relu", law, input=vp.half_on(64)) for law in laws]
    table = vp.predict(networks)
    found = vp.suggest(table.sample(frac=1.0, random_state=2))
    assert set(found["case"]) == {networks[0].case, networks[2].case}
    for network in (networks[0], networks[2]):
        alone = vp.suggest(vp.predict(network))
        own = found[found["case"] == network.case].reset_index(drop=True)
        pd.testing.assert_frame_equal(own, alone)
    assert len(vp.suggest(vp.predict(networks[1]))) == 0
    again = vp.suggest(pd.read_csv(io.StringIO(table.to_csv(index=False))))
    pd.testing.assert_frame_equal(again, vp.suggest(table))


def test_an_unhealthy_case_is_never_answered_with_nothing() -> None:
    for network in (
        vp.mlp("40x20", "step", "he_normal", input=vp.half_on(40)),
        vp.mlp("40x30", np.arctan, "normal(std=0.02)", input=vp.half_on(40)),
        vp.mlp("40x60", "sigmoid", "lecun_normal", input=vp.half_on(40)),
    ):
        table = vp.simulate(network, draws=10)
        assert vp.diagnose_one(table).health == "unhealthy"
        assert len(vp.suggest(table)) > 0


def test_names_in_a_table_are_not_imported() -> None:
    table = vp.predict(vp.mlp("64x30", "relu", "lecun_normal", input=vp.half_on(64)))
    found = vp.suggest(table.assign(activation="antigravity:geohash"))
    assert found["suggested"].isna().all()
    assert found["rule"].str.contains("no gain is known for the activation").all()


def test_a_table_that_does_not_say_its_fans_is_refused() -> None:
    table = vp.predict(vp.mlp("64x30", "relu", "lecun_normal", input=vp.half_on(64)))
    assert vp.diagnose_one(table.drop(columns=["fan_in", "sigma_w"])).health == "unhealthy"
    with pytest.raises(vp.InputError, match="does not say fan_in"):
        vp.suggest(table.drop(columns=["fan_in", "sigma_w"]))
