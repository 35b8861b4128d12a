"""The simulated table: which rows there are, what is exact, what is said where a number cannot be trusted."""

import math

import numpy as np
import pytest

import varprop as vp
from varprop._validation import InputError
from varprop.montecarlo.simulation import simulate_network
from varprop.results.schema import CHAIN_QUANTITIES, SIMULATED_COLUMNS
from varprop.spec import Head, Input, gaussian, half_on, mlp


def table(network, **options):
    frame = simulate_network(network, **({"draws": 20} | options))
    return frame, frame.set_index(["quantity", "layer"])


def test_rows_and_columns():
    frame, _ = table(mlp("8,5", "relu", input=gaussian(6, 3)))
    assert tuple(frame.columns) == SIMULATED_COLUMNS
    assert len(frame) == 2 * (len(CHAIN_QUANTITIES) - 1)
    single, _ = table(mlp("8,5", "relu", input=half_on(6), head="mse", targets=0.0))
    assert set(CHAIN_QUANTITIES) - set(single["quantity"]) == {"data_variance", "correlation"}
    assert (single["quantity"] == "initial_loss").sum() == 1
    assert (frame["n_draws"] == 20).all()


@pytest.mark.parametrize("sampler", ["dense", "conditional"])
@pytest.mark.parametrize("weights", ["zeros", "constant(value=0.3)"])
def test_deterministic_networks_have_no_variance(weights, sampler):
    _, rows = table(mlp("8,5", "sigmoid", weights, "ones", gaussian(6, 3)), sampler=sampler)
    assert (rows.loc["preactivation_variance", "value"] == 0.0).all()
    assert (rows.loc["preactivation_variance", "std_error"] == 0.0).all()
    q = rows.loc["preactivation_second_moment"]
    assert (q["value"] > 0).all()
    assert (q["std_error"] < 1e-12 * q["value"]).all()
    # Gradients are random under the unit head: one squared normal number, if all weights are equal.
    forward = ~rows.index.get_level_values("quantity").str.startswith("gradient")
    assert (rows["reason"][forward] == "").all()


def test_constant_bias_adds_no_variance():
    _, rows = table(mlp("8,5", "tanh", "normal(std=0.5)", "ones", Input(np.zeros((6, 2)))))
    first = rows.xs(1, level="layer")
    assert first.loc["preactivation_variance", "value"] == 0.0
    assert first.loc["preactivation_mean", "value"] == 1.0
    assert first.loc["preactivation_second_moment", "value"] == 1.0
    assert first.loc["data_variance", "value"] == 0.0


@pytest.mark.agreement
@pytest.mark.parametrize(
    ("weights", "biases", "variance"),
    [
        ("identity", "normal(std=0.5)", 0.25),
        ("constant(value=0.2)", "normal(std=0.5)", 0.25),
        ("normal(std=0.5, mean=2.0)", "uniform(low=-1, high=1)", 0.25 * 7.5 + 1 / 3),
        ("uniform(low=0, high=1)", "zeros", 7.5 / 12),
    ],
)
def test_variance_at_a_fixed_input_and_unit(weights, biases, variance):
    """Layer 1, sum x² = 7.5 for both inputs: means that differ by unit and input are no variance. 4.5 sigma."""
    x = np.array([[2.0, 0.5], [1.5, 0.5], [1.0, 2.0], [0.5, 1.0], [0.0, math.sqrt(2.0)]])
    assert np.allclose((x**2).sum(0), 7.5)
    _, rows = table(mlp("5,4", "tanh", weights, biases, Input(x)), draws=4000, sampler="dense")
    row = rows.loc[("preactivation_variance", 1)]
    assert abs(row["value"] - variance) < 4.5 * row["std_error"]
    assert row["std_error"] < 0.05 * variance


def test_vanishing_and_overflowing_numbers_are_said():
    deep = mlp("16x400", "linear", "standard_normal", input=half_on(16))
    _, rows = table(deep, histogram=False)
    last = rows.loc[("preactivation_second_moment", 400)]
    assert last["value"] == math.inf
    assert last["reason"] == "overflow"
    assert 400 * math.log(16) * 0.7 < last["log_value"] < 400 * math.log(16) * 1.1
    _, rows = table(mlp("16x400", "relu", "normal(std=0.01)", input=half_on(16)), histogram=False)
    last = rows.loc[("gradient_input", 1)]
    assert last["value"] == 0.0
    assert last["reason"] == "vanished"
    assert -math.inf < last["log_value"] < -1000


def test_tanh_keeps_what_double_precision_can():
    _, rows = table(mlp("16x40", "tanh", "normal(std=1e-5)", input=half_on(16)), histogram=False)
    rows = rows.loc["preactivation_second_moment"]
    # log q falls by log(16 · 1e-10) in every layer; 1e-340 and less is no double, its logarithm is one.
    np.testing.assert_allclose(np.diff(rows["log_value"]), math.log(1.6e-9), atol=1.0)
    assert rows["value"].iloc[-1] == 0.0
    assert rows["reason"].iloc[-1] == "vanished"


def test_controlled_gradients_that_leave_the_range_vanish_and_are_no_zeros():
    """Sigmoid keeps its z: nothing but the gradient shrinks, by n Var w E phi'² = 16e-4/16 a layer, phi'(0) = 1/4.

    The logarithm of its mean square over 400 layers is -399 log 1e4, 2e-4 less a layer for the bend of phi; that of
    a mean over twenty draws is within 2 % of it, a tenth of what one factor of n would make (log 16 a layer is 30 %).
    """
    network = mlp("16x400", "sigmoid", "normal(std=0.01)", input=half_on(16))
    _, rows = table(network, draws=20, estimator="control", histogram=False)
    for quantity in ("gradient_preactivation", "gradient_input", "gradient_weight", "gradient_bias"):
        first = rows.loc[(quantity, 1)]
        assert first["estimator"] == "control", quantity
        assert first["value"] == 0.0
        assert first["reason"] == "vanished", quantity
        assert -np.inf < first["log_value"] < -745.0
    assert rows.loc[("gradient_preactivation", 1), "log_value"] == pytest.approx(
        -399 * math.log(1e4), rel=0.02
    )
    # Where it is a double it is not said.
    assert (rows.loc["gradient_preactivation"].loc[380:, "reason"] == "").all()
    assert (rows.loc["gradient_preactivation"].loc[380:, "value"] > 0.0).all()


def test_dead_networks_are_exact_zeros():
    _, rows = table(mlp("4,4", "relu", "zeros", "constant(value=-1.0)", half_on(4)), sampler="dense")
    assert rows.loc[("dead_fraction", 1), "value"] == 1.0
    assert rows.loc[("gradient_weight", 1), "value"] == 0.0
    assert rows.loc[("gradient_weight", 1), "reason"] == ""


@pytest.mark.parametrize("sampler", ["dense", "conditional"])
def test_zero_inputs_stay_exactly_zero(sampler):
    x = np.zeros((6, 3))
    x[:, 1] = np.arange(6)
    _, rows = table(mlp("8,8,5", "relu", "he_normal", input=Input(x)), sampler=sampler)
    assert (rows.loc["inactive_fraction", "value"].loc[[1, 2]] > 2 / 3 - 1e-12).all()


def test_heavy_tails_are_flagged_and_chi_squares_are_not():
    _, rows = table(mlp("4x40", "relu", "he_normal", input=half_on(4)), draws=500)
    assert "heavy_tail" in set(rows.loc["gradient_input", "reason"])
    assert (rows.loc["inactive_fraction", "reason"] == "").all()
    _, rows = table(mlp(1, "relu", "standard_normal", "standard_normal"), draws=500)
    assert (rows["reason"] == "").all()


def test_fractions_without_spread_have_an_error():
    _, rows = table(mlp("50,50", "tanh", "normal(std=0.01)", input=half_on(50)), estimator="plain")
    row = rows.loc[("saturated_fraction", 1)]
    assert row["value"] == 0.0
    # Draws are counted, not units: Clopper and Pearson's limit of 0 of 20 is 1 - 0.025^(1/20) = 0.168.
    assert row["std_error"] == pytest.approx(1 / 20)
    assert row["ci_high"] == pytest.approx(0.1684, abs=1e-4)
    assert rows.loc[("inactive_fraction", 1), "std_error"] == 0.0


@pytest.mark.parametrize(
    ("sampler", "estimator", "network", "field", "word"),
    [
        ("conditional", "plain", mlp("5,4", "tanh", "glorot_uniform"), "sampler", "glorot_uniform"),
        ("chain", "plain", mlp("5,4", "tanh", "he_normal"), "sampler", "tanh"),
        ("chain", "plain", mlp("5,4", "relu", "he_normal", "ones"), "sampler", "ones"),
        ("chain", "plain", mlp("5,4", "relu", "he_normal", input=gaussian(5, 2)), "sampler", "2 examples"),
        ("auto", "control", mlp("5,4", "relu", "he_normal", input=gaussian(5, 2)), "estimator", "2 examples"),
        ("auto", "control", mlp("5,4", "relu", "orthogonal"), "estimator", "orthogonal"),
        ("auto", "control", mlp("5,4", "relu", "he_normal", "uniform_fan_in"), "estimator", "uniform_fan_in"),
        ("dense", "control", mlp("5,4", "relu", "he_normal"), "sampler", "conditional"),
        ("conditonal", "plain", mlp("5,4"), "sampler", "conditional"),
    ],
)
def test_what_is_not_exact_is_refused(sampler, estimator, network, field, word):
    with pytest.raises(InputError, match=word) as caught:
        simulate_network(network, draws=4, sampler=sampler, estimator=estimator)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("network", "chosen"),
    [
        (mlp("500,500", "tanh", "he_normal"), "conditional"),
        (mlp("500,500", "tanh", "he_uniform"), "dense"),
        (mlp("100,100", "tanh", "orthogonal", input=half_on(100)), "conditional"),
        (mlp("200,200", "tanh", "he_normal", input=gaussian(200, 150)), "dense"),
    ],
)
def test_auto_takes_the_cheapest_exact_sampler(network, chosen):
    frame = simulate_network(network, draws=4)
    assert set(frame["sampler"]) == {chosen}


def test_loss_and_gradient_at_zero_logits():
    """log K and |p - y|² = 1 - 1/K are exact for zero weights."""
    network = mlp("5,10", "tanh", "zeros", input=gaussian(6, 4), head=Head("softmax_ce", [0, 1, 2, 9]))
    _, rows = table(network)
    assert rows.loc[("initial_loss", 2), "value"] == pytest.approx(math.log(10), rel=1e-12)
    assert rows.loc[("gradient_preactivation", 2), "value"] == pytest.approx(0.09, rel=1e-12)


def test_auto_takes_control_where_it_holds_and_measures_single_layers_plainly():
    deep = mlp("20x3", "tanh", "he_normal", input=half_on(20))
    several = mlp("20x3", "tanh", "he_normal", input=gaussian(20, 3))
    single = mlp(20, weights="he_normal", input=half_on(20))
    found = [
        set(simulate_network(n, draws=20, estimator="auto")["estimator"]) for n in (deep, several, single)
    ]
    assert "control" in found[0]
    assert found[1:] == [{"plain"}, {"plain"}]


def test_the_gradient_of_a_unit_head_does_not_know_that_layers_may_die():
    """The last layer's gradients keep their own spread, however often layers below die.

    Given the forward pass, E|W^T delta|² = S/H + s (n - 1) P with delta ~ N(0, I), so P = n and S/H = s chi²_n: per
    input it spreads by s sqrt(2n)/n, here 0.125 with s = 2/8 and n = 8 (a layer has died below in 7 % of the draws,
    which then keep the mean: that takes 4 % off). 2000 draws know a spread of chi² to 2.5 %: within 15 %, a false
    alarm is below 1e-4, and a floor that knows the probability of dying (0.26 of the value) is four times as much.
    """
    _, rows = table(mlp("8x20", "relu", "he_normal", input=half_on(8)), draws=2000, estimator="control")
    spread = rows["std_error"].xs(20, level="layer") * math.sqrt(2000)
    assert spread["gradient_input"] == pytest.approx(0.125, rel=0.15)
    assert spread["gradient_preactivation"] < 1e-4  # what rounding may do
    assert spread["gradient_bias"] < 1e-4


@pytest.mark.parametrize("activation", ["hard_sigmoid", "hardtanh", "relu6"])
def test_a_rare_slope_that_no_draw_shows_refutes_nothing(activation: str) -> None:
    """Where hardly a unit ever saturates, draws without any have phi'² of no spread beside a right prediction.

    With hard_sigmoid about a third of seeds showed a p-value of 0; twelve seeds miss that with probability 0.5 %. At
    alpha = 0.001 a table, twelve right tables are called wrong with probability 1.2 %, at seeds that are fixed.
    """
    network = vp.mlp([200] * 3, activation, "lecun_normal", input=vp.half_on(200))
    predicted = vp.predict(network)
    for seed in range(12):
        compared = vp.compare(predicted, vp.simulate(network, draws=50, seed=seed), alpha=0.001)
        assert not (compared.verdict == "differs").any(), seed
