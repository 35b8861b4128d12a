"""Every row says what it is worth: exact, 1/n, infinite, approximate, or unpredicted with a reason."""

import numpy as np
import pytest
from scipy.integrate import trapezoid
from scipy.special import erfc

import varprop as vp
from varprop._validation import InputError
from varprop.analytic import predict_network
from varprop.analytic.prediction import ORDER_CHOICES
from varprop.results.schema import CHAIN_QUANTITIES, PREDICTED_COLUMNS
from varprop.spec import Head, Layer, Network

ALWAYS = set(CHAIN_QUANTITIES) - {"initial_loss", "data_variance", "correlation"}


def orders(network, **options):
    table = predict_network(network, **options)
    return {(row.layer, row.quantity): row.order for row in table.itertuples()}


def net(activation="tanh", weights="lecun_normal", biases="zeros", batch=1, head="unit", targets=None, n=12):
    return vp.mlp(
        [n, n, n, 3], activation=activation, weights=weights, biases=biases,
        input=vp.gaussian(15, batch), head=head, targets=targets,
    )  # fmt: skip


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("order", ORDER_CHOICES)
def test_all_rows_are_there(batch, order):
    table = predict_network(net(batch=batch), order=order)
    assert tuple(table.columns) == (*PREDICTED_COLUMNS, "allowance")
    wanted = ALWAYS | ({"data_variance", "correlation"} if batch > 1 else set())
    for _, part in table.groupby("layer"):
        assert set(part["quantity"]) == wanted
        assert not part["quantity"].duplicated().any()
    unpredicted = table["value"].isna()
    assert (table[unpredicted]["reason"] != "").all()
    assert (table[unpredicted]["order"] == "").all()
    assert table[~unpredicted]["order"].isin(["exact", "1/n", "infinite", "approximate"]).all()
    assert (table[table["order"] == "exact"]["allowance"] == 0).all()


def test_initial_loss_stands_at_the_last_layer_of_a_loss():
    table = predict_network(net(head="mse", targets=0.0))
    assert table[table["quantity"] == "initial_loss"]["layer"].tolist() == [4]


def test_exact_rows_of_a_tanh_net():
    found = orders(net())
    for quantity in (
        "preactivation_mean",
        "preactivation_variance",
        "saturated_fraction",
        "activation_second_moment",
    ):
        assert found[1, quantity] == "exact"
    assert found[2, "preactivation_variance"] == "exact"
    assert found[3, "preactivation_variance"] == "1/n"
    assert found[2, "saturated_fraction"] == "1/n"
    # The head's gradient does not depend on the weights it comes through.
    assert found[4, "gradient_preactivation"] == found[4, "gradient_input"] == "exact"
    assert found[3, "gradient_preactivation"] == found[1, "gradient_weight"] == "1/n"


@pytest.mark.parametrize("activation", ["relu", "linear", "leaky_relu(slope=0.3)"])
@pytest.mark.parametrize("weights", ["he_normal", "he_uniform", "orthogonal"])
def test_second_moments_of_homogeneous_nets_are_exact(activation, weights):
    found = orders(net(activation, weights))
    for layer in range(1, 5):
        for quantity in (
            "preactivation_variance", "activation_second_moment", "derivative_second_moment",
            "gradient_preactivation", "gradient_weight", "gradient_bias", "gradient_input",
        ):  # fmt: skip
            assert found[layer, quantity] == "exact", (layer, quantity)


def test_weights_with_atoms_keep_forward_moments_exact_only():
    found = orders(net("relu", "rademacher(std=0.4)"))
    assert found[4, "preactivation_variance"] == "exact"
    assert found[3, "inactive_fraction"] != "exact"
    assert found[1, "gradient_preactivation"] != "exact"


def test_non_gaussian_first_layers_are_approximate_with_the_reason():
    table = predict_network(net("tanh", "lecun_uniform")).set_index(["layer", "quantity"])
    assert table.loc[(1, "preactivation_variance"), "order"] == "exact"
    row = table.loc[(1, "saturated_fraction")]
    assert row["order"] == "approximate"
    assert "uniform, not Gaussian" in row["reason"]


def test_edgeworth_moves_the_tails_the_right_way():
    # Ten equal terms U(-1, 1): kurtosis -0.12. Exact tail beyond 2.5 standard deviations from the convolution.
    grid = np.linspace(-1, 1, 2001)
    density = np.ones_like(grid) / 2
    total = density.copy()
    for _ in range(9):
        total = np.convolve(total, density) * (grid[1] - grid[0])
    z = np.linspace(-10, 10, total.size)
    cut = 2.5
    std = np.sqrt(10 / 3)
    exact = trapezoid(np.where(np.abs(z) >= cut * std, total, 0.0), z)
    scale = float(np.arctanh(np.sqrt(1 - 0.0396)) / (cut * std))
    network = vp.mlp(
        [1],
        output_activation="tanh",
        weights=f"uniform(low={-scale!r}, high={scale!r})",
        input=vp.constant(10, 1.0),
    )
    table = predict_network(network).set_index("quantity")
    assert abs(table.loc["saturated_fraction", "value"] - exact) < 0.1 * abs(erfc(cut / 2**0.5) - exact)


def test_weights_with_a_mean_are_exact_in_layer_two_and_approximate_below():
    table = predict_network(net("tanh", "normal(std=0.3, mean=0.05)")).set_index(["layer", "quantity"])
    assert table.loc[(1, "preactivation_mean"), "order"] == "exact"
    assert table.loc[(2, "preactivation_variance"), "order"] == "exact"
    row = table.loc[(3, "preactivation_variance")]
    assert row["order"] == "approximate"
    assert "layer 2 have a mean" in row["reason"]


def test_constant_biases_shift_the_mean_and_leave_the_variance():
    plain = predict_network(net("tanh")).set_index(["layer", "quantity"])["value"]
    moved = predict_network(net("tanh", biases="constant(value=0.7)")).set_index(["layer", "quantity"])[
        "value"
    ]
    assert moved[1, "preactivation_mean"] == 0.7
    assert moved[1, "preactivation_variance"] == plain[1, "preactivation_variance"]
    assert moved[1, "preactivation_second_moment"] == pytest.approx(plain[1, "preactivation_variance"] + 0.49)


def test_fan_out_weights_use_the_true_fans():
    widths = [40, 10, 30]
    network = vp.mlp(widths, activation="relu", weights="he_normal(mode=fan_out)", input=vp.constant(20, 1.0))
    table = predict_network(network).set_index(["layer", "quantity"])["value"]
    # n_{l-1} s_l = 2 n_{l-1}/n_l, halved by relu below the first layer
    q = [2 * 20 / 40]
    q += [q[-1] * 40 / 10]
    q += [q[-1] * 10 / 30]
    for layer, second in enumerate(q, start=1):
        assert table[layer, "preactivation_second_moment"] == pytest.approx(second)
    for layer in (1, 2, 3):  # fan-out keeps the gradient
        assert table[layer, "gradient_preactivation"] == pytest.approx(1.0, rel=0.01)


def test_order_exact_leaves_the_rest_out():
    table = predict_network(net(), order="exact")
    assert set(table["order"]) == {"exact", ""}
    assert "no exact law" in table[table["order"] == ""]["reason"].iloc[0]


def test_order_infinite_allows_for_its_own_correction():
    plain = predict_network(net(n=100), order="infinite").set_index(["layer", "quantity"])
    best = predict_network(net(n=100)).set_index(["layer", "quantity"])
    for key in ((3, "preactivation_variance"), (2, "saturated_fraction"), (1, "gradient_weight")):
        assert plain.loc[key, "order"] == "infinite"
        change = abs(best.loc[key, "value"] - plain.loc[key, "value"])
        assert plain.loc[key, "allowance"] == pytest.approx(change)
        assert 0 < best.loc[key, "allowance"] < change


def test_a_correction_too_large_to_trust_is_not_applied_but_allowed_for():
    network = vp.mlp("10x40,5", activation="gelu", weights="he_normal", input=vp.gaussian(10))
    table = predict_network(network).set_index(["layer", "quantity"])
    row = table.loc[(40, "preactivation_second_moment")]
    assert row["order"] == "infinite"
    assert "too large to trust" in row["reason"]
    assert row["allowance"] > 0


def test_odd_activations_have_an_exact_mean():
    for activation, centre in (("tanh", 0.0), ("sigmoid", 0.5), ("sin", 0.0)):
        table = predict_network(net(activation)).set_index(["layer", "quantity"])
        row = table.loc[(3, "activation_mean")]
        assert (row["value"], row["order"]) == (pytest.approx(centre, abs=1e-300), "exact")


def test_the_heads_that_depend_on_the_net_are_not_exact():
    for head, targets in (("mse", 0.2), ("bce", 1), ("softmax_ce", 2)):
        found = orders(net("linear", head=head, targets=targets, n=100))
        assert found[1, "gradient_preactivation"] == "1/n"


def test_any_callable_works():
    network = Network(
        vp.gaussian(10, 2),
        (Layer(8, lambda z: z / (1 + z * z), "lecun_normal"), Layer(2)),
        head=Head("mse", 0.0),
    )
    table = predict_network(network)
    assert table["value"].notna().all()


@pytest.mark.parametrize(
    "options", [{"order": "first"}, {"order": 1}, {"share": 2.0}, {"share": float("nan")}]
)
def test_bad_options_are_refused(options):
    with pytest.raises(InputError):
        predict_network(net(), **options)
