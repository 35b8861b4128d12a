"""`symmetry` against the classic cases, worked by hand, and its rules against what happens in all of them."""

from __future__ import annotations

import numpy as np
import pytest

import varprop as vp
from varprop.activations import registry
from varprop.training import circles, symmetry
from varprop.training.statistics import distinct_rows, ranks

STEPS, DEPTH = 4, 3
UNBALANCED = np.r_[np.ones(12), np.zeros(8)]
X = vp.gaussian(2, 20, seed=1)
PHI_0_IS_0 = ["tanh", "relu", "leaky_relu", "gelu", "silu", "elu", "sin", "linear"]
PHI_0_IS_NOT_0 = ["sigmoid", "softplus", "hard_sigmoid"]
STARTS = [
    ("zeros", "zeros"),
    ("zeros", "normal(std=1)"),
    ("zeros", "constant(value=-0.5)"),
    ("constant(value=0.5)", "zeros"),
    ("constant(value=0.5)", "normal(std=1)"),
    ("ones", "ones"),
    ("he_normal", "zeros"),
    ("identity", "zeros"),
]


def follow(activation, weights, biases, **options):
    net = vp.mlp([4, 3, 1], activation, weights, biases, X, head="bce", targets=UNBALANCED)
    return symmetry(net, steps=STEPS, **options)


def table(frame, column):
    """Steps by layers."""
    return frame.pivot(index="step", columns="layer", values=column).to_numpy().tolist()


@pytest.mark.parametrize("activation", PHI_0_IS_0)
def test_all_zeros_with_phi_0_equal_0_moves_the_output_bias_only(activation):
    frame = follow(activation, "zeros", "zeros")
    assert frame["weight_gradient_zero"].all()
    assert table(frame, "bias_gradient_zero") == [[True, True, False]] * STEPS
    assert table(frame, "biases_moved") == [[False, False, True]] * STEPS
    assert (frame["rank"] == 0).all()
    assert (frame["distinct_units"] == 1).all()


@pytest.mark.parametrize("activation", PHI_0_IS_NOT_0)
def test_all_zeros_with_phi_0_not_0_moves_one_layer_more_each_step(activation):
    frame = follow(activation, "zeros", "zeros")
    ladder = [[True, True, False], [True, False, False], [False, False, False], [False, False, False]]
    assert table(frame, "weight_gradient_zero") == ladder
    assert table(frame, "weights_moved") == [[not zero for zero in row] for row in ladder]
    assert frame["rank"].max() == 1
    assert (frame["distinct_units"] == 1).all()


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "gelu"])
def test_zero_weights_and_random_biases_break_the_symmetry_from_the_top(activation):
    frame = follow(activation, "zeros", "normal(std=1)")
    ladder = [[True, True, False], [True, False, False], [False, False, False], [False, False, False]]
    assert table(frame, "weight_gradient_zero") == ladder
    assert table(frame, "distinct_units")[-1] == [4, 3, 1]
    # The first updates are proportional to each other; rank comes with the differences they make.
    net = vp.mlp([4, 3, 1], activation, "zeros", "normal(std=1)", X, head="bce", targets=UNBALANCED)
    later = symmetry(net, steps=60, learning_rate=1.0).query("step == 60")
    assert min(later["rank"].tolist()[:2]) == 2


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu"])
def test_constant_weights_keep_units_alike_for_ever(activation):
    frame = follow(activation, "constant(value=0.5)", "zeros")
    assert not frame["weight_gradient_zero"].any()
    assert (frame["rank"] == 1).all()
    assert (frame["distinct_units"] == 1).all()


def test_random_biases_separate_constant_weights():
    frame = follow("tanh", "constant(value=0.5)", "normal(std=1)")
    assert table(frame, "distinct_units")[0] == [4, 3, 1]
    assert table(frame, "rank")[1] == [2, 3, 1]


def test_zero_output_layer_only_wakes_the_rest_in_step_two():
    hidden = [vp.Layer(n, "tanh", "he_normal") for n in (4, 3)]
    head = vp.mlp(1, input=X, head="bce", targets=UNBALANCED).head
    frame = symmetry(vp.Network(X, (*hidden, vp.Layer(1, "linear", "zeros")), head), steps=2)
    assert table(frame, "weight_gradient_zero") == [[True, True, False], [False, False, False]]
    assert table(frame, "rank")[0] == [2, 3, 1]


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu"])
def test_balanced_classes_and_all_zeros_move_nothing_at_all(activation):
    net = vp.mlp([4, 3, 1], activation, "zeros", input=circles(60), head="bce")
    frame = symmetry(net, steps=3)
    assert frame["weight_gradient_zero"].all()
    assert frame["bias_gradient_zero"].all()
    assert not frame["biases_moved"].any()
    assert (frame["verdict"] == "agrees").all()


def test_softmax_gradients_cancel_under_equal_rows():
    """Outputs with the same weights send down the sum of p − y over classes, which is 0."""
    net = vp.mlp([6, 5, 10], "sigmoid", "constant(value=0.5)", input=vp.digits(100), head="softmax_ce")
    frame = symmetry(net, steps=2)
    assert table(frame, "weight_gradient_zero") == [[True, True, False], [False, False, False]]
    assert 0 < frame.query("step == 1 and layer == 1")["weight_gradient"].item() < 1e-15


@pytest.mark.parametrize("start", STARTS, ids=" ".join)
@pytest.mark.parametrize("activation", sorted({vp.activation(name).name for name in registry}))
@pytest.mark.parametrize("head", ["bce", "softmax_ce", "mse"])
def test_the_rules_are_never_broken(activation, start, head):
    width, targets = {
        "bce": (1, UNBALANCED),
        "softmax_ce": (3, np.arange(20) % 3),
        "mse": (2, np.c_[X.array()[0], 1 + UNBALANCED]),
    }[head]
    net = vp.mlp([4, 3, width], activation, *start, X, head=head, targets=targets)
    frame = symmetry(net, steps=STEPS, learning_rate=0.05)
    assert "differs" not in set(frame["verdict"])
    if start[0] == "he_normal" and activation in ("tanh", "sigmoid", "gelu", "sin"):
        assert (frame["verdict"] == "agrees").all()


@pytest.mark.parametrize("activation", PHI_0_IS_0 + PHI_0_IS_NOT_0)
@pytest.mark.parametrize("start", STARTS[:2] + STARTS[3:7], ids=" ".join)
def test_the_rules_are_complete_in_the_classic_cases(activation, start):
    assert (follow(activation, *start)["verdict"] == "agrees").all()


def test_regression_may_start_at_zero():
    net = vp.mlp(1, weights="zeros", input=X, head="bce", targets=UNBALANCED)
    frame = symmetry(net, steps=2)
    assert not frame["weight_gradient_zero"].any()
    assert (frame["verdict"] == "agrees").all()


def test_tiny_gradients_are_not_zero():
    """Twenty layers of weights 1e-3 shrink gradients to 1e-50; nothing cancels, so nothing counts as zero."""
    net = vp.mlp([5] * 20 + [1], "tanh", "normal(std=0.001)", input=X, head="bce", targets=UNBALANCED)
    frame = symmetry(net, steps=1)
    assert frame["weight_gradient"].min() < 1e-45
    assert not frame["weight_gradient_zero"].any()


def test_ranks_and_distinct_rows():
    matrices = np.stack([np.zeros((3, 4)), np.ones((3, 4)), np.eye(3, 4), np.full((3, 4), np.nan)])
    assert ranks(matrices).tolist() == [0, 1, 3, -1]
    noisy = np.ones((3, 4)) + 1e-12 * np.random.default_rng(0).standard_normal((3, 4))
    assert ranks(noisy[None]).tolist() == [1]
    assert distinct_rows(noisy) == 1
    assert distinct_rows(np.array([[1.0], [2.0], [1.0], [3.0]])) == 3
    assert distinct_rows(np.array([[1.0], [1.1]]), floor=0.2) == 1


BAD = [
    ({"steps": 0}, "steps"),
    ({"learning_rate": 0}, "learning_rate"),
    ({"seed": -1}, "seed"),
    ({"tolerance": -1}, "tolerance"),
]


@pytest.mark.parametrize(("change", "field"), BAD)
def test_bad_arguments(change, field):
    net = vp.mlp(1, input=X, head="bce", targets=UNBALANCED)
    with pytest.raises(vp.InputError) as caught:
        symmetry(net, **change)
    assert caught.value.field == field
