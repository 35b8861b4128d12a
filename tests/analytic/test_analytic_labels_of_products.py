"""A row that is a product is worth what its weaker factor is worth."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

import varprop as vp
from varprop.analytic import covariance

INPUT = vp.gaussian(20, 3)
WEIGHTS_WITH_A_MEAN = "uniform(low=0.0,high=0.2)"


def _orders(network: vp.Network) -> dict[tuple[int, str], str]:
    table = vp.predict(network)
    return {
        (int(row.layer), str(row.quantity)): str(row.order) for row in table.itertuples() if row.order != ""
    }


@pytest.mark.parametrize("activation", ["tanh", "relu", "gelu"])
@pytest.mark.parametrize("head", ["unit", "mse"])
def test_a_weight_gradient_is_not_better_than_what_arrives(activation: str, head: str) -> None:
    """E (delta h)² = E delta² E h²: an approximate E h² makes it approximate, in a batch and for one input."""
    targets = {"targets": np.zeros(20)} if head == "mse" else {}
    network = vp.mlp([20] * 4, activation, WEIGHTS_WITH_A_MEAN, input=INPUT, head=head, **targets)
    orders = _orders(network)
    for layer in (3, 4):
        assert orders[layer - 1, "activation_second_moment"] == "approximate"
        for quantity in ("gradient_weight", "gradient_weight_batch"):
            assert orders.get((layer, quantity), "approximate") == "approximate", (layer, quantity)


def test_zero_weights_do_not_mend_what_arrives() -> None:
    """z = 0 above weights of zero is exact, but the gradient of these weights still has E h² in it."""
    layers = [vp.Layer(20, "tanh", WEIGHTS_WITH_A_MEAN)] * 3 + [vp.Layer(20, "linear", "zeros")]
    assert _orders(vp.Network(INPUT, layers))[4, "gradient_weight"] == "approximate"


PAIRS = ("correlation", "data_variance", "dead_fraction")


def test_pairs_are_not_better_than_the_law_of_a_unit() -> None:
    """A Laplace bias is taken as Gaussian: so is what two inputs share from its layer on.

    Second moments of its own layer add up whatever the law: moments of pairs there rest on layers below alone.
    """
    layers = [
        vp.Layer(20, "relu", "he_normal", scipy.stats.laplace(scale=0.5)),
        vp.Layer(20, "relu", "he_normal"),
        vp.Layer(20, "relu", "he_normal"),
    ]
    orders = _orders(vp.Network(INPUT, layers))
    assert {orders[1, quantity] for quantity in ("correlation", "data_variance")} == {"exact"}
    assert orders[1, "dead_fraction"] == "approximate"
    assert {orders[layer, quantity] for layer in (2, 3) for quantity in PAIRS} == {"approximate"}
    orders = _orders(vp.Network(INPUT, [layers[1], layers[2], layers[0]]))
    assert {orders[2, quantity] for quantity in ("correlation", "data_variance")} == {"exact"}
    assert orders[3, "data_variance"] == "infinite"
    assert {orders[3, quantity] for quantity in ("correlation", "dead_fraction")} == {"approximate"}


def test_pairs_are_not_better_than_the_distances_below(monkeypatch: pytest.MonkeyPatch) -> None:
    """Averages over pairs that are in doubt, here by decree, make all that rests on them approximate."""
    network = vp.mlp([20] * 4, "relu", "he_normal", input=INPUT)
    assert {_orders(network)[2, quantity] for quantity in ("correlation", "data_variance")} == {"exact"}
    for bound in ("_EXACT", "DOUBTFUL"):
        monkeypatch.setattr(covariance, bound, -1.0)
    orders = _orders(network)
    assert {orders[1, quantity] for quantity in PAIRS} == {"exact"}
    for layer in (2, 3):
        assert {orders[layer, quantity] for quantity in PAIRS} == {"approximate"}, layer
