"""Numbers too small or too large to be written down are no zeros and no infinities: signs and angles stay.

Expected values are those of the same network on a size that can be written: (leaky) ReLU does not see sizes, and
other activations are straight lines near 0.
"""

import numpy as np
import pytest

import varprop as vp
from varprop.analytic import predict_network
from varprop.spec import Head, Input, Layer, Network

FRACTIONS = ("inactive_fraction", "saturated_fraction", "dead_fraction", "derivative_second_moment")


def rows(network):
    table = predict_network(network)
    return {(r.layer, r.quantity): r for r in table.itertuples()}


def net(x, *layers):
    return Network(Input(np.asarray(x, dtype=float)), tuple(Layer(*layer) for layer in layers), Head())


@pytest.mark.parametrize(("std", "batch"), [(0.003, 1), (0.003, 2), (1000.0, 2)])
def test_signs_do_not_depend_on_size(std, batch):
    """Squares leave the range of a double after some 80 layers; P(a layer is silent) = 1 - (1 - 2^-30)^(l-1)."""
    found = rows(vp.mlp("30x200,2", "relu", f"normal(std={std})", input=vp.gaussian(30, batch)))
    for layer in (100, 200):
        inactive = found[layer, "inactive_fraction"]
        assert inactive.value == pytest.approx(0.5 + 0.5 * (layer - 1) * 2.0**-30, abs=1e-11)
        assert inactive.order == "exact"
    tame = rows(vp.mlp("30x200,2", "relu", "he_normal", input=vp.gaussian(30, batch)))
    for quantity in FRACTIONS:
        for layer in (100, 200):
            wild = found[layer, quantity].value
            assert wild == pytest.approx(tame[layer, quantity].value, rel=1e-6), (layer, quantity)
    assert found[201, "activation_mean"].value == 0.0


def test_constant_weights_keep_the_signs_of_what_vanishes():
    """z = 4e-3 (8e-3)^(l-1) for weights of 1e-3 and four inputs of 1; tanh z = z (1 - z²/3) near 0."""
    for activation in ("relu", "tanh", "elu"):
        found = rows(vp.mlp("8x400,4", activation, "constant(value=1e-3)", input=vp.half_on(8)))
        assert found[400, "inactive_fraction"].value == 0.0
        assert found[400, "dead_fraction"].value == 0.0
        assert found[400, "derivative_second_moment"].value == 1.0
        assert found[400, "activation_second_moment"].log_value == pytest.approx(
            798 * np.log(8e-3) + 2 * np.log(4e-3), rel=1e-5
        )
        assert found[400, "activation_second_moment"].reason == "vanished"


def test_a_mean_of_zero_among_others():
    """Inputs (t, -t) and (1, 1) under weights N(1, 1e-278): signs are fair for the first, positive for the second."""
    found = rows(
        net(
            [[1e-100, 1.0], [-1e-100, 1.0]],
            (4, "relu", "normal(std=1e-139,mean=1)"),
            (2, "relu", "he_normal"),
        )
    )
    assert found[1, "inactive_fraction"].value == pytest.approx(0.25)
    assert found[1, "derivative_second_moment"].value == pytest.approx(0.75)
    assert found[1, "gradient_preactivation"].value == pytest.approx(0.75 * 2 * 0.5)


@pytest.mark.parametrize("size", [1.0, 1e-12, 1e-200, 1e200])
def test_angles_do_not_depend_on_lengths(size):
    """cos of the angle of (1, 2) and (1, 1) is 3/sqrt(10), and P(both off) = 1/4 + asin(cos)/2 pi (Sheppard 1899)."""
    found = rows(
        net([[1.0, size], [2.0, size]], (4, "relu", "standard_normal"), (2, "linear", "standard_normal"))
    )
    cosine = 3.0 / np.sqrt(10.0)
    assert found[1, "correlation"].value == pytest.approx(cosine, rel=1e-14)
    assert found[1, "correlation"].order == "exact"
    assert found[1, "dead_fraction"].value == pytest.approx(0.25 + np.arcsin(cosine) / (2 * np.pi), rel=1e-14)


def test_lost_digits_are_no_exact_correlation():
    """Through linear layers distances are carried: 1e-12 in length leaves four digits of the angle."""
    x = [[1.0, 1e-12], [2.0, 1e-12]]
    found = rows(net(x, (4, "linear", "standard_normal"), (2, "linear", "standard_normal")))
    assert found[2, "correlation"].order != "exact"
    assert found[2, "correlation"].value == pytest.approx(3.0 / np.sqrt(10.0), abs=0.01)


def test_pairs_of_a_vanishing_tanh_follow_the_straight_line():
    """tanh z = z below 1e-87: distances shrink as in a linear network, whose first layers make 1e-5 of difference."""
    curved, straight = (
        rows(vp.mlp("20x120,2", name, "normal(std=1e-3)", input=vp.gaussian(20, 2)))
        for name in ("tanh", "linear")
    )
    for layer in (20, 60, 120):
        found, expected = curved[layer, "data_variance"], straight[layer, "data_variance"]
        assert found.log_value == pytest.approx(expected.log_value, abs=1e-3)
        assert curved[layer, "correlation"].value == pytest.approx(
            straight[layer, "correlation"].value, abs=1e-3
        )
