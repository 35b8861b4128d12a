"""Fixed points and depth scales against mpmath (reference/criticality_mpmath.py) and published values."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from varprop._validation import InputError
from varprop.activations import activation
from varprop.analytic.mean_field.criticality import attracting_point, fixed_points
from varprop.analytic.mean_field.edge import edge_of_chaos
from varprop.analytic.mean_field.length_map import LengthMap, depth_scale

REFERENCE = pd.read_csv(Path(__file__).parents[1] / "reference" / "criticality.csv")
DIGITS = 1e-10


def cases(kind):
    rows = REFERENCE[REFERENCE["kind"] == kind]
    return [pytest.param(row, id=f"{row.activation}-{row.weight_variance:.4g}") for row in rows.itertuples()]


@pytest.mark.parametrize("row", cases("fixed_point"))
def test_fixed_points_to_ten_digits(row):
    frame = fixed_points(row.activation, row.weight_variance, row.bias_variance)
    found = frame.iloc[(frame["q_star"] - row.q_star).abs().argmin()]
    assert found["q_star"] == pytest.approx(row.q_star, rel=DIGITS)
    assert found["length_slope"] == pytest.approx(row.length_slope, rel=DIGITS)
    assert found["chi_1"] == pytest.approx(row.chi_1, rel=DIGITS)
    assert found["xi_q"] == pytest.approx(-1 / math.log(row.length_slope), rel=1e-9)
    if not math.isnan(row.c_star):
        assert found["c_star"] == pytest.approx(row.c_star, rel=DIGITS, abs=1e-14)
        assert found["xi_c"] == pytest.approx(-1 / math.log(row.correlation_slope), rel=DIGITS)


@pytest.mark.parametrize("row", cases("edge"))
def test_edge_of_chaos_to_ten_digits(row):
    frame = edge_of_chaos(row.activation, bias_variance=row.bias_variance)
    found = frame.iloc[(frame["q_star"] - row.q_star).abs().argmin()]
    assert found["q_star"] == pytest.approx(row.q_star, rel=DIGITS)
    assert found["weight_variance"] == pytest.approx(row.weight_variance, rel=DIGITS)
    assert found["length_slope"] == pytest.approx(row.length_slope, rel=DIGITS)


@pytest.mark.parametrize("row", cases("half_stable"))
def test_half_stable_points(row):
    frame = fixed_points(row.activation, row.weight_variance, row.bias_variance)
    found = frame[frame["stability"] == "half-stable"]
    assert len(found) == 1
    # A double root is determined to the square root of the parameters' rounding.
    assert found["q_star"].iloc[0] == pytest.approx(row.q_star, rel=1e-6)
    assert found["phase"].iloc[0] == "critical"


def test_published_edge_of_chaos_points():
    """Published pairs (sigma_b, sigma_w) that hold, and two that do not solve their own equation.

    Roberts, Yaida, Hanin (2022), section 5.3: GELU C_W = 1.98305826, C_b = 0.17292239, K* = (3 + sqrt 17)/2.
    Hayou et al. (2019) print (0.2, 1.302) for tanh and (0.2, 1.227) for ELU: chi_1 there is not 1.
    """
    gelu = edge_of_chaos("gelu", q=(3 + math.sqrt(17)) / 2).iloc[0]
    assert gelu["weight_variance"] == pytest.approx(1.98305826, rel=1e-8)
    assert gelu["bias_variance"] == pytest.approx(0.17292239, rel=1e-7)
    for name, printed, exact in (("tanh", 1.302, 1.304146), ("elu", 1.227, 1.229251)):
        row = edge_of_chaos(name, bias_variance=0.2**2).iloc[0]
        assert math.sqrt(row["weight_variance"]) == pytest.approx(exact, abs=5e-7)
        at_print = fixed_points(name, printed**2, 0.2**2)
        residual = at_print["chi_1"].iloc[-1] - 1
        assert abs(residual) > 1e-3, "the printed pair solves chi_1 = 1 after all"


def test_sigmoid_has_an_edge_of_chaos():
    """Hayou et al. (2019) state that it has none; at sigma_b = 0 it is at sigma_w = 10.1493."""
    row = edge_of_chaos("sigmoid", bias_variance=0.0).iloc[0]
    assert math.sqrt(row["weight_variance"]) == pytest.approx(10.1493, abs=5e-5)
    assert row["q_star"] == pytest.approx(45.624, abs=5e-4)
    assert row["stability"] == "stable"


@pytest.mark.parametrize("name", ["gelu", "silu", "mish"])
def test_smooth_gated_units_are_unstable_on_their_edge(name):
    """Below the half-stable point the edge of chaos is left by the forward pass: F' > 1."""
    row = edge_of_chaos(name, bias_variance=0.04).iloc[0]
    assert row["stability"] == "unstable"
    assert row["length_slope"] > 1.02


def test_softplus_has_no_edge_of_chaos():
    row = edge_of_chaos("softplus", bias_variance=[0.0, 1.0])
    assert row["weight_variance"].isna().all()
    assert (row["reason"] == "no edge of chaos at this bias variance").all()


def test_relu_is_neutral_at_two():
    row = fixed_points("relu", 2.0).iloc[0]
    assert (row["stability"], row["phase"], row["reason"]) == (
        "neutral",
        "critical",
        "every q is a fixed point",
    )
    assert edge_of_chaos("relu").iloc[0]["weight_variance"] == pytest.approx(2.0, rel=1e-14)


def test_maps_without_a_fixed_point_say_so():
    row = fixed_points("relu", 2.5, 0.1).iloc[0]
    assert math.isnan(row["q_star"])
    assert row["reason"] == "q grows without bound"


def test_a_callable_serves_where_a_name_does():
    def squash(z):
        return np.tanh(z)

    by_name = fixed_points("tanh", 2.5, 0.05).iloc[0]
    by_function = fixed_points(squash, 2.5, 0.05).iloc[0]
    assert by_function["q_star"] == pytest.approx(by_name["q_star"], rel=1e-10)
    assert by_function["chi_1"] == pytest.approx(by_name["chi_1"], rel=1e-6)


def test_attracting_point_is_where_iteration_ends():
    for name, w, b in (("tanh", 2.5, 0.05), ("gelu", 1.5, 0.2), ("selu", 1.0, 0.0), ("sigmoid", 4.0, 0.2)):
        length = LengthMap(activation(name), w, b)
        q = 1.0
        for _ in range(2000):
            q = float(length.value(q))
        assert attracting_point(length) == pytest.approx(q, rel=1e-9)
    assert attracting_point(LengthMap(activation("relu"), 1.0)) == 0.0
    assert attracting_point(LengthMap(activation("relu"), 3.0)) == math.inf


@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf])
def test_bad_variances_are_refused(bad):
    with pytest.raises(InputError, match="weight_variance"):
        fixed_points("tanh", bad)


def test_depth_scale_limits():
    assert depth_scale(1.0) == math.inf
    assert math.isnan(depth_scale(math.nan))
    assert depth_scale(math.exp(-0.25)) == pytest.approx(4.0)
