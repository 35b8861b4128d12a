"""One pass forward and backward, held beside finite differences."""

import numpy as np
import pytest

import varprop as vp
from varprop.training.passes import one_pass


def test_the_gradients_are_those_of_the_network_they_came_from() -> None:
    """With linear layers of the identity every gradient is the last one; under relu, where units are on."""
    network = vp.mlp([6, 6, 6], "linear", "identity", input=vp.gaussian(6, 4))
    activations, gradients = one_pass(network, seed=3)
    assert all(h == pytest.approx(network.input.array()) for h in activations)
    assert all(g == pytest.approx(gradients[-1]) for g in gradients)
    activations, gradients = one_pass(vp.mlp([6, 6, 6], "relu", "identity", input=vp.gaussian(6, 4)), seed=3)
    assert gradients[0] == pytest.approx(gradients[-1] * (network.input.array() > 0))
    assert activations[0] == pytest.approx(np.maximum(network.input.array(), 0))


def test_the_moments_agree_with_theory() -> None:
    """Relative error of a mean square of 500·64 dependent values: about 3 %, so 15 % is five deviations."""
    network = vp.mlp([500, 500, 500], "tanh", "glorot_normal", input=vp.gaussian(500, 64))
    _, gradients = one_pass(network, seed=1)
    table = vp.predict(network).query("quantity == 'gradient_preactivation'").set_index("layer")["value"]
    for layer, found in enumerate(gradients, start=1):
        assert np.mean(found**2) == pytest.approx(table[layer], rel=0.15)


def test_the_seed_decides() -> None:
    network = vp.mlp([5, 4], "tanh", "glorot_normal")
    assert one_pass(network, 1)[0][1] == pytest.approx(one_pass(network, 1)[0][1])
    assert not np.allclose(one_pass(network, 1)[0][1], one_pass(network, 2)[0][1])
