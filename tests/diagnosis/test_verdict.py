from __future__ import annotations

import math

import pytest

import varprop as vp
from varprop.diagnosis import diagnose_one


@pytest.mark.parametrize(
    ("weights", "forward", "backward"),
    [
        ("he_normal", "healthy", "healthy"),
        ("lecun_normal", "vanishing", "vanishing"),
        ("normal(std=0.3)", "exploding", "exploding"),
    ],
)
def test_spec_networks_are_judged_too(weights, forward, backward):
    network = vp.mlp([64] * 40, activation="relu", weights=weights, input=vp.half_on(64))

    found = diagnose_one(vp.predict(network))
    assert (found.forward.health, found.backward.health) == (forward, backward)
    assert found.forward.steps == 39
    rate = {"he_normal": 1.0, "lecun_normal": 0.5, "normal(std=0.3)": 0.3**2 * 64 / 2}[weights]
    assert found.forward.typical == pytest.approx(rate, rel=1e-6)
    if forward != "healthy":
        assert found.forward.where == "layer 2"
        assert found.backward.where == "layer 39"


def test_one_bad_layer_is_the_place():
    layers = [vp.Layer(64, "relu", "he_normal" if i != 10 else "normal(std=0.001)") for i in range(20)]
    from varprop.analytic import predict_network

    found = diagnose_one(predict_network(vp.Network(vp.half_on(64), tuple(layers))))
    assert found.forward.health == "vanishing"
    assert (found.forward.where, found.forward.layer) == ("layer 11", 11)
    assert found.backward.where == "layer 10"
    assert math.isclose(found.forward.typical, 1.0, rel_tol=1e-6)


def test_a_network_that_is_no_chain_is_not_judged_as_one():
    """A sound pre-LN transformer: its stream grows out of small embeddings, in a chain an explosion."""
    network = vp.transformer(depth=2, width=64, heads=4, tokens=8, vocabulary=50)
    found = diagnose_one(vp.predict(network))
    assert (found.health, found.forward.health, found.backward.health) == ("unknown",) * 3
