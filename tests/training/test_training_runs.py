"""Runs: what they depend on, what is recorded, interruption, and optima known in closed form."""

from __future__ import annotations

import numpy as np
import pytest

import varprop as vp
from varprop.training import circles, moons, train


def small(activation="tanh", weights="he_normal", n=40, widths=(6, 4, 1)):
    return vp.mlp(list(widths), activation, weights, input=moons(n), head="bce")


def last(result, split="train"):
    rows = result.history
    return rows[(rows["step"] == result.steps) & (rows["split"] == split)]


@pytest.mark.parametrize("batch_size", [None, 7])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_run_does_not_depend_on_the_others_or_on_threads(batch_size, dtype):
    options = {"steps": 30, "learning_rate": 0.3, "batch_size": batch_size, "dtype": dtype, "record": 10}
    net = small(n=400, widths=(40, 30, 1))
    together = train(net, seeds=20, threads=2, **options)
    assert train(net, seeds=20, threads=1, **options).history.equals(together.history)
    alone = train(net, seeds=[13], **options)
    for ours, theirs in zip(alone.parameters, together.parameters, strict=True):
        np.testing.assert_array_equal(ours[0], theirs[13])
    rows = together.history.query("seed == 13").reset_index(drop=True)
    assert alone.history.equals(rows)


def test_groups_are_several_in_the_test_above():
    from varprop.training.arguments import layout
    from varprop.training.descent import Rule, grouped, prepare

    net = small(n=400, widths=(40, 30, 1))
    groups = grouped(net, layout(20, None), prepare(net, np.float64), Rule(0.3, None, 0.0), np.float64)
    assert len(groups) > 1
    assert [run for group in groups for run in group.runs] == [(seed, seed) for seed in range(20)]


def test_start_and_order_are_separate_seeds():
    options = {"epochs": 2, "learning_rate": 0.5, "batch_size": 8}
    crossed = train(small(), seeds=[1, 2], order_seeds=[1, 2, 3], **options)
    assert crossed.runs == ((1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3))
    own = train(small(), seeds=[1, 2], **options)
    for ours, theirs in zip(own.parameters, crossed.parameters, strict=True):
        np.testing.assert_array_equal(ours, theirs[[0, 4]])
    start = crossed.history.query("step == 0").groupby("seed")["loss"].nunique()
    assert start.tolist() == [1, 1]
    assert last(crossed)["loss"].nunique() == 6


def test_one_batch_of_all_examples_is_the_full_batch():
    options = {"steps": 20, "learning_rate": 0.5}
    full = train(small(), **options)
    shuffled = train(small(), batch_size=40, **options)
    assert last(shuffled)["loss"].item() == pytest.approx(last(full)["loss"].item(), rel=1e-12)


def test_an_epoch_sees_every_example_once():
    """At a learning rate that leaves p at 1/2 the weights are a sum over examples; compare with a loop."""
    net = vp.mlp(1, weights="zeros", input=moons(10), head="bce")
    result = train(net, epochs=1, batch_size=4, learning_rate=1e-9)
    x, y = net.input.array(), net.input.labels
    order = vp._random.generator(0, 1).permutation(10)
    weight = np.zeros(3)
    for start in (0, 4, 8):
        chosen = order[start : start + 4]
        share = np.concatenate([x[:, chosen] @ (y[chosen] - 0.5), [(y[chosen] - 0.5).sum()]])
        weight += 1e-9 * share / len(chosen)
    np.testing.assert_allclose(result.parameters[0][0, 0], weight, rtol=1e-6)
    assert result.steps == 3


def test_records():
    result = train(
        small(), steps=10, learning_rate=0.1, seeds=2, record=4, statistics=[3], test=moons(20, seed=1)
    )
    rows = result.history
    assert list(rows) == [
        "seed", "order_seed", "step", "epoch", "split", "loss", "accuracy", "naive_loss_infinite",
    ]  # fmt: skip
    assert sorted(rows["step"].unique()) == [0, 3, 4, 8, 10]
    assert rows.groupby(["seed", "step"])["split"].apply(list).map(sorted).map(tuple).unique().tolist() == [
        ("test", "train")
    ]
    assert sorted(result.layers["step"].unique()) == [0, 3, 10]
    assert result.layers.query("seed == 1 and step == 3")["layer"].tolist() == [1, 2, 3]
    assert result.layers.query("layer == 1")["width"].unique().tolist() == [6]
    assert not rows.isna().any(axis=None)
    assert not result.layers.isna().any(axis=None)
    assert result.complete


def test_layer_statistics_are_those_of_the_network():
    net = small("relu", n=30)
    result = train(net, steps=1, learning_rate=0.1)
    row = result.layers.query("step == 1 and layer == 1").iloc[0]
    theta = result.parameters[0][0]
    z = theta[:, :-1] @ net.input.array() + theta[:, -1:]
    assert row["preactivation_variance"] == pytest.approx(z.var(), rel=1e-12)
    assert row["inactive_fraction"] == (z <= 0).mean()
    assert row["dead_fraction"] == (z <= 0).all(axis=1).mean()
    assert row["weight_norm"] == pytest.approx(np.linalg.norm(theta[:, :-1]), rel=1e-12)
    assert row["rank"] == 2
    assert row["distinct_units"] == 6


def test_decision_gives_the_logits_of_every_run():
    net = small()
    result = train(net, steps=5, learning_rate=0.1, seeds=3)
    z = result.decision(net.input.array())
    assert z.shape == (3, 1, 40)
    right = (z[:, 0] > 0) == net.input.labels
    np.testing.assert_allclose(right.mean(axis=1), last(result)["accuracy"])
    with pytest.raises(vp.InputError, match="points"):
        result.decision(np.zeros((3, 4)))


def test_progress_and_interruption():
    seen = []

    def stop_at_40(step, total):
        seen.append((step, total))
        if step == 40:
            raise KeyboardInterrupt

    result = train(small(), steps=100, learning_rate=0.1, seeds=4, record=20, progress=stop_at_40)
    assert seen == [(0, 100), (20, 100), (40, 100)]
    assert not result.complete
    assert (result.steps, result.planned) == (40, 100)
    whole = train(small(), steps=40, learning_rate=0.1, seeds=4, record=20)
    assert whole.history.equals(result.history)
    for ours, theirs in zip(result.parameters, whole.parameters, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_an_interruption_stops_running_threads():
    """A timer interrupts the main thread while threads are busy with a stretch that would take minutes."""
    import _thread
    import threading
    import time

    timer = threading.Timer(0.5, _thread.interrupt_main)
    begun = time.monotonic()
    timer.start()
    result = train(small(), steps=10**7, learning_rate=0.1, seeds=4, record=[0])
    assert time.monotonic() - begun < 20
    assert (result.steps, result.complete) == (0, False)


def test_an_error_of_the_progress_callback_is_not_swallowed():
    def refuse(step, total):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train(small(), steps=3, learning_rate=0.1, progress=refuse)


def test_divergence_is_recorded_not_raised():
    net = vp.mlp([20, 20, 2], "linear", "normal(std=10)", input=moons(40), head="mse", targets=1.0)
    result = train(net, steps=30, learning_rate=10.0)
    assert not np.isfinite(last(result)["loss"]).any()
    assert (result.layers.query("step == 30")["rank"] == -1).all()


def test_logistic_regression_has_one_optimum():
    """Convex: zero and random starts reach the same loss, within 1e-6, and the gradient has vanished."""
    losses = []
    for weights in ("zeros", "standard_normal", "constant(value=3)"):
        net = vp.mlp(1, weights=weights, input=circles(100, noise=0.5, seed=2), head="bce")
        result = train(net, steps=5000, learning_rate=1.0, seeds=3)
        losses.extend(last(result)["loss"])
        assert result.layers.query("step == 5000")["gradient_weight_norm"].max() < 1e-8
    assert np.ptp(losses) < 1e-6


def test_linear_regression_reaches_least_squares():
    rng = np.random.default_rng(0)
    rows, targets = rng.standard_normal((50, 3)), rng.standard_normal(50)
    net = vp.mlp(1, weights="standard_normal", input=vp.data(rows), head="mse", targets=targets)
    result = train(net, steps=2000, learning_rate=0.3, seeds=4)
    best = np.linalg.lstsq(np.c_[rows, np.ones(50)], targets, rcond=None)[0]
    np.testing.assert_allclose(result.parameters[0][:, 0], np.tile(best, (4, 1)), rtol=1e-9)


def test_zeros_stay_at_log_2_on_balanced_circles():
    net = vp.mlp([10, 5, 1], "relu", "zeros", input=circles(300), head="bce")
    result = train(net, steps=200, learning_rate=0.01)
    np.testing.assert_allclose(result.history["loss"], np.log(2), rtol=1e-15)
    assert (result.history["accuracy"] == 0.5).all()
    assert all(not theta.any() for theta in result.parameters)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"learning_rate": np.nan}, "learning_rate"),
        ({"steps": None}, "steps"),
        ({"epochs": 3}, "steps"),
        ({"steps": 0}, "steps"),
        ({"steps": 2.5}, "steps"),
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": 41}, "batch_size"),
        ({"l2": -1.0}, "l2"),
        ({"seeds": 0}, "seeds"),
        ({"seeds": []}, "seeds"),
        ({"seeds": [1, 1]}, "seeds"),
        ({"seeds": [-1]}, "seeds[0]"),
        ({"order_seeds": [1.5]}, "order_seeds[0]"),
        ({"record": 0}, "record"),
        ({"record": [11]}, "record[0]"),
        ({"statistics": [-1]}, "statistics[0]"),
        ({"dtype": np.float16}, "dtype"),
        ({"share": 2.0}, "share"),
        ({"threads": 0}, "threads"),
        ({"data": np.zeros((2, 3))}, "data"),
        ({"data": vp.half_on(2)}, "data.head.targets"),
        ({"test": vp.gaussian(3, 4)}, "test.head.targets"),
    ],
)
def test_bad_arguments(change, field):
    with pytest.raises(vp.InputError) as caught:
        train(small(), **({"steps": 10, "learning_rate": 0.1} | change))
    assert caught.value.field == field


def test_networks_without_a_loss_are_refused():
    with pytest.raises(vp.InputError, match=r"network\.head"):
        train(vp.mlp(1), steps=1, learning_rate=0.1)
    with pytest.raises(vp.InputError, match=r"network\.layers\[0\]\.activation"):
        train(vp.mlp(1, input=moons(10), head="bce", output_activation="tanh"), steps=1, learning_rate=0.1)
    net = vp.mlp(1, input=vp.gaussian(2, 3), head="mse", targets=[1.0, 2.0, 3.0])
    with pytest.raises(vp.InputError, match="labels"):
        train(net, steps=1, learning_rate=0.1, test=moons(3))
