"""The table of gains, the solver and the phase diagram."""

import math

import numpy as np
import pytest

from varprop._validation import InputError
from varprop.activations import activation, registry
from varprop.analytic.mean_field.criticality import fixed_points
from varprop.analytic.mean_field.curves import correlation_curve, length_curve
from varprop.analytic.mean_field.gains import gain
from varprop.analytic.mean_field.length_map import LengthMap, growth
from varprop.analytic.mean_field.phase import phase_diagram
from varprop.analytic.mean_field.solver import solve
from varprop.spec import gaussian, half_on, mlp

NFNET_GAMMA = {
    # Brock et al. (2021), the constants of the paper's published code, to the digits printed there.
    "relu": 1.7139588594436646,
    "gelu": 1.7015043497085571,
    "silu": 1.7881293296813965,
    "elu": 1.2716004848480225,
    "selu": 1.0008515119552612,
    "tanh": 1.5939117670059204,
    "sigmoid": 4.803835391998291,
}


@pytest.mark.parametrize("name", NFNET_GAMMA)
def test_variance_preserving_gain_is_the_nfnet_gamma(name):
    """Their constants are estimates from random samples: they hold to about one part in a thousand."""
    table = gain(name).set_index("criterion")
    assert table.gain["variance"] == pytest.approx(NFNET_GAMMA[name], rel=2e-3)


def test_relu_gains():
    table = gain("relu").set_index("criterion")
    for criterion in ("framework", "second_moment", "edge_of_chaos"):
        assert table.gain[criterion] == pytest.approx(math.sqrt(2))
        assert table.verdict[criterion] == "healthy both ways over 100 layers"
    assert table.gain["variance"] == pytest.approx(math.sqrt(2 / (1 - 1 / math.pi)))


def test_tanh_framework_gain_is_forward_stable_and_backward_exploding():
    row = gain("tanh").set_index("criterion").loc["framework"]
    assert row["verdict"].startswith("forward healthy, backward exploding")
    assert row["chi_1"] > 1.1


def test_selu_gains():
    """Gain 1 keeps q = 1 with chi_1 = 1.0716 (slightly chaotic); PyTorch's 3/4 is another network."""
    table = gain("selu").set_index("criterion")
    assert table.gain["second_moment"] == pytest.approx(1.0, rel=1e-6)
    assert table.chi_1["second_moment"] == pytest.approx(1.0715749925, rel=1e-6)
    assert table.q_star["framework"] < 0.5


def test_gelu_needs_a_bias_to_be_critical():
    row = gain("gelu").set_index("criterion").loc["edge_of_chaos"]
    assert row["weight_variance"] == pytest.approx(1.983058257437548, rel=1e-6)
    assert row["bias_variance"] == pytest.approx(0.1729223907560674, rel=1e-6)


@pytest.mark.parametrize("name", sorted(registry))
def test_every_activation_has_a_defined_table(name):
    table = gain(name)
    assert set(table["criterion"]) >= {"second_moment", "variance", "edge_of_chaos"}
    assert (table["verdict"] != "").all()
    undefined = table["gain"].isna()
    assert (table.loc[undefined, "reason"] != "").all()


def test_a_callable_has_gains_too():
    by_function = gain(lambda z: np.tanh(z)).set_index("criterion")
    by_name = gain("tanh").set_index("criterion")
    assert by_function.gain["second_moment"] == pytest.approx(by_name.gain["second_moment"], rel=1e-10)


def test_tanh_headline_case():
    """tanh with sigma_w² = 3.58: q is constant while the gradient grows 1.31 a layer, e^26.9 over 99."""
    point = fixed_points("tanh", 3.58)
    point = point[point["q_star"] > 0].iloc[0]
    forward, backward = growth(LengthMap(activation("tanh"), 3.58), 99, start=float(point["q_star"]))
    assert abs(forward[-1]) < 1e-9
    assert backward[-1] == pytest.approx(26.9, abs=0.05)


def test_solver_holds_both_directions_where_a_bias_can():
    net = mlp([64, 64, 64, 64], activation="tanh", input=gaussian(64, 8))
    table = solve(net, target=1.0)
    assert table["q"].to_numpy() == pytest.approx(1.0)
    assert table["backward_factor"].dropna().to_numpy() == pytest.approx(1.0)


def test_solver_finds_glorots_compromise_for_linear_layers():
    net = mlp([300, 100], activation="linear", input=half_on(50))
    rows = solve(net).set_index("layer")
    assert rows.weight_variance[2] == pytest.approx(1 / math.sqrt(300 * 100))
    assert rows.forward_factor[2] == pytest.approx(1 / rows.backward_factor[2])
    assert "conflict" in rows.reason[2]
    assert solve(net, priority="forward").forward_factor.to_numpy() == pytest.approx(1.0)
    assert solve(net, priority="backward").backward_factor.iloc[1] == pytest.approx(1.0)


def test_solver_on_selu_says_what_it_costs():
    """At q = 1 SELU wants sigma_w² = 1 forward and 1/1.0716 backward: no bias variance reconciles them."""
    table = solve(mlp([100] * 20, activation="selu", input=half_on(100)))
    assert table.attrs["verdict"].startswith("a compromise") or (table["bias_variance"] > 0).any()


def test_phase_diagram_agrees_with_point_by_point_solutions():
    weights, biases = [0.7, 1.8, 2.5, 4.0], [0.0, 0.05, 0.4]
    frame = phase_diagram("tanh", weights, biases)
    for row in frame.itertuples():
        points = fixed_points("tanh", row.weight_variance, row.bias_variance)
        point = points.iloc[-1]
        assert row.q_star == pytest.approx(point["q_star"], rel=1e-9, abs=1e-12)
        assert row.phase == point["phase"]
        assert row.c_star == pytest.approx(point["c_star"], abs=1e-6)
        assert row.correlation_slope == pytest.approx(point["correlation_slope"], abs=1e-5)


def test_phase_diagram_of_relu_has_an_unbounded_region():
    frame = phase_diagram("relu", [1.0, 2.0, 3.0], [0.0, 0.5])
    assert frame.set_index(["weight_variance", "bias_variance"])["phase"].to_dict() == {
        (1.0, 0.0): "ordered",
        (1.0, 0.5): "ordered",
        (2.0, 0.0): "critical",
        (2.0, 0.5): "unbounded",
        (3.0, 0.0): "unbounded",
        (3.0, 0.5): "unbounded",
    }


@pytest.mark.parametrize("bad", [[], [-1.0], [math.nan], [[1.0, 2.0]]])
def test_phase_diagram_refuses_bad_grids(bad):
    with pytest.raises(InputError, match="weight_variance"):
        phase_diagram("tanh", bad, [0.1])


def test_curves_are_tables():
    curve = length_curve("tanh", 2.5, 0.05, steps=30)
    assert curve["next_q"].iloc[-1] == pytest.approx(1.06395837741681, rel=1e-8)
    correlation = correlation_curve("tanh", 2.5, 0.05)
    assert correlation["next_correlation"].iloc[-1] == pytest.approx(1.0)
    with pytest.raises(InputError, match="q"):
        correlation_curve("tanh", 0.5)
