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
    """Distances are carried where phi bends: 1e-12 in length leaves four digits of the angle, 1e-20 none.

    By Stein's lemma E tanh(u) v = Cov(u, v) E tanh'(u), and tanh v = v for small v: the correlation is
    3/sqrt(10) · sqrt(5) E tanh'(u) / sqrt(E tanh²(u)) with Var u = 5, the integrals done by a sum here.
    """
    g = np.linspace(-9.0, 9.0, 20_001)
    bell = np.exp(-0.5 * g * g) / np.sqrt(2.0 * np.pi) * (g[1] - g[0])
    u = np.tanh(np.sqrt(5.0) * g)
    expected = 3.0 / np.sqrt(2.0) * (bell @ (1.0 - u * u)) / np.sqrt(bell @ (u * u))
    found = {}
    for size in (1e-3, 1e-12, 1e-20):
        x = [[1.0, size], [2.0, size]]
        table = rows(
            net(x, (4, "tanh", "standard_normal"), (4, "tanh", "standard_normal"), (2, "linear", "normal"))
        )
        found[size] = table[2, "correlation"]
        assert table[2, "data_variance"].order == "exact"
    assert (found[1e-3].order, found[1e-3].value) == ("exact", pytest.approx(expected, rel=1e-5))
    assert (found[1e-12].order, found[1e-12].value) == ("infinite", pytest.approx(expected, abs=0.01))
    assert np.isnan(found[1e-20].value)
    assert "differences of lengths" in found[1e-20].reason


EXACT_KERNELS = {  # what E phi(u) phi(v)/E phi(u)² is at an angle t: Cho and Saul 2009, eq. (6)
    "linear": np.cos,
    "relu": lambda t: (np.sin(t) + (np.pi - t) * np.cos(t)) / np.pi,
    "squared_relu": lambda t: (
        (3 * np.sin(t) * np.cos(t) + (np.pi - t) * (1 + 2 * np.cos(t) ** 2)) / (3 * np.pi)
    ),
    "sign": lambda t: 1 - 2 * t / np.pi,
}


@pytest.mark.parametrize("name", EXACT_KERNELS)
@pytest.mark.parametrize(
    ("std", "lengths"), [(1.0, (1.0, 2.0)), (1e-3, (1.0, 1.1)), (1e3, (1.0, 1.1)), (1.0, (1.0, 1e-20))]
)
def test_directions_do_not_depend_on_lengths(name, std, lengths):
    """cos of the angle of two inputs, mapped layer by layer by the kernel at any size, is the correlation.

    Squares of squared ReLU leave the range of a double after eight layers, upwards and downwards; lengths of a ratio
    of 1e20 have no difference that says anything of the angle.
    """
    x = np.array([[np.cos(t), np.sin(t)] for t in (0.3, 1.4)]).T * lengths
    layers = [(9, name, f"normal(std={std})")] * 14 + [(2, "linear", f"normal(std={std})")]
    found, cosine = rows(net(x, *layers)), np.cos(1.1)
    for layer in range(1, 16):
        row = found[layer, "correlation"]
        assert row.value == pytest.approx(cosine, rel=1e-9), layer
        assert row.order == ("exact" if layer < 3 or name == "linear" else "infinite")
        cosine = EXACT_KERNELS[name](np.arccos(cosine))
    dead = {"relu": 0.25 + np.arcsin(found[9, "correlation"].value) / (2 * np.pi)}
    dead["squared_relu"] = dead["relu"]
    if name in dead:
        assert found[9, "dead_fraction"].value == pytest.approx(dead[name], rel=1e-9)


@pytest.mark.parametrize("size", [1e-30, 1e-60, 1e-100])
@pytest.mark.parametrize("name", ["elu(alpha=0.5)", "selu", "hardtanh", "relu6"])
def test_two_straight_lines_about_zero(name, size):
    """Near 0 they are leaky ReLUs of slopes a, b: E phi(u) phi(v) = ab rho + (b - a)² J(rho), J that of ReLU."""
    a, b = {
        "elu(alpha=0.5)": (0.5, 1.0),
        "selu": (1.7580993408473766, 1.0507009873554805),
        "hardtanh": (1.0, 1.0),
    }.get(name, (0.0, 1.0))
    t, half = 1.1, 0.5 * (a * a + b * b)
    kernel = (a * b * np.cos(t) + 0.5 * (b - a) ** 2 * EXACT_KERNELS["relu"](t)) / half
    x = size * np.array([[1.0, np.cos(t)], [0.0, np.sin(t)]])
    found = rows(net(x, (8, name, "standard_normal"), (2, "linear", "standard_normal")))
    assert found[2, "correlation"].value == pytest.approx(kernel, rel=1e-12)
    distance = np.log(8 * half * (1.0 - kernel)) + 2.0 * np.log(size)
    assert found[2, "data_variance"].log_value == pytest.approx(distance, abs=1e-9)
    assert found[2, "data_variance"].order == "exact"


@pytest.mark.parametrize("size", [1e-4, 1e-8, 1e-30, 1e-60, 1e-100])
@pytest.mark.parametrize("name", ["tanh", "relu", "silu", "gaussian", "hardtanh", "sin", "softplus"])
def test_inputs_that_are_nothing_beside_a_bias(name, size):
    """About a bias of 0.5 phi is a straight line: E (phi(z_a) - phi(z_b))²/2 = phi'(0.5)² E (z_a - z_b)²/2.

    Taken from a quadrature of phi the difference is rounding from 1e-8 on: 1e-31 for 1e-20 of tanh.
    """
    t, phi = 1.1, vp.activation(name)
    slope = float((phi(0.5 + 1e-6) - phi(0.5 - 1e-6)) / 2e-6)
    x = size * np.array([[1.0, 1.2 * np.cos(t)], [0.0, 1.2 * np.sin(t)]])
    distance = 0.5 * np.square(x[:, 0] - x[:, 1]).sum()
    found = rows(
        net(x, (8, name, "standard_normal", "constant(value=0.5)"), (2, "linear", "standard_normal"))
    )
    row = found[2, "data_variance"]
    assert row.order == "exact"
    assert row.log_value == pytest.approx(
        np.log(8 * slope**2 * distance / size**2) + 2 * np.log(size), abs=1e-7
    )


@pytest.mark.parametrize("size", [1e-2, 1e-4, 1e-6, 1e-9, 1e-30, 1e-45, 1e-60, 1e-100])
def test_what_is_flat_at_zero_is_right_or_not_known(size):
    """exp(-z²/2) = 1 - z²/2: E (phi_a - phi_b)²/2 = E (u² - v²)²/8 = (3 q_a² + 3 q_b² - 2 q_a q_b (1 + 2 rho²))/8."""
    t = 1.1
    x = size * np.array([[1.0, 1.2 * np.cos(t)], [0.0, 1.2 * np.sin(t)]])
    table = rows(net(x, (8, "gaussian", "standard_normal"), (2, "linear", "standard_normal")))
    row, b = table[2, "data_variance"], 1.44
    expected = np.log(8 * (3 + 3 * b * b - 2 * b * (1 + 2 * np.cos(t) ** 2)) / 8) + 4 * np.log(size)
    if row.order == "exact":
        assert row.log_value == pytest.approx(expected, abs=1e-8 + 10 * size**2)
    elif row.order:
        assert row.log_value == pytest.approx(expected, abs=0.3)
        assert "known to" in row.reason
    else:
        assert np.isnan(row.value)
        assert "not known" in row.reason


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
