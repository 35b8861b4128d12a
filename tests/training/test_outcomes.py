"""Tables of many runs in few words, against counts and layouts made by hand."""

import itertools

import numpy as np
import pandas as pd
import pytest

import varprop as vp
from varprop.training.ladders import gradient_ladder
from varprop.training.outcomes import failure_rates, variance_sources


def test_failures_are_counted_by_group_with_exact_intervals():
    final = pd.DataFrame(
        {"start": ["a"] * 200 + ["b"] * 10, "accuracy": [0.96] * 180 + [0.5] * 20 + [0.95] * 10}
    )
    table = failure_rates(final, ["start"]).set_index("start")
    assert table["runs"].tolist() == [200, 10]
    assert table["failure_rate"].tolist() == pytest.approx([0.1, 0.0])
    # Clopper and Pearson: the interval of k failures among n has ends where the binomial tails are 2.5 %.
    from scipy.stats import binom

    assert binom.sf(19, 200, table["ci_low"]["a"]) == pytest.approx(0.025)
    assert binom.cdf(20, 200, table["ci_high"]["a"]) == pytest.approx(0.025)
    assert table["restarts"].tolist() == [2, 1]


def test_without_a_success_no_number_of_restarts_is_enough():
    table = failure_rates(pd.DataFrame({"start": ["zeros"] * 5, "accuracy": [0.5] * 5}), ["start"])
    assert np.isinf(table["restarts"].item())
    assert np.isinf(table["restarts_high"].item())
    assert np.isfinite(table["restarts_low"].item())


@pytest.mark.parametrize(
    ("start", "order", "said"), [(1, 0, "start"), (0, 1, "order"), (1, 1, "not settled")]
)
def test_what_matters_more_is_said_where_it_is_certain(start, order, said):
    """Layouts of 20 by 20 with a normal effect of each source; equal effects must not be told apart."""
    rng = np.random.default_rng(4)
    a, b = rng.standard_normal((2, 20))
    rows = [(i, j, np.exp(start * a[i] + order * b[j])) for i, j in itertools.product(range(20), range(20))]
    frame = pd.DataFrame(rows, columns=["seed", "order_seed", "loss"]).assign(model="m")
    table = variance_sources(frame, "model")
    assert table["source"].tolist() == ["start", "order", "interaction", "start minus order"]
    assert set(table["matters_more"]) == {said}


@pytest.mark.parametrize(
    ("phi", "words"), [("sigmoid", ["W2", "W1 W2", "W1 W2"]), ("tanh", ["b2", "b2", "b2"])]
)
def test_the_ladder_of_all_zeros(phi, words):
    network = vp.mlp([3, 1], phi, "zeros", input=vp.gaussian(2, 9), head="bce", targets=[1] * 6 + [0] * 3)
    row = gradient_ladder(vp.symmetry(network, steps=3).assign(case="c", other="d"), ["case", "other"]).iloc[
        0
    ]
    assert [row[f"step {k}"] for k in (1, 2, 3)] == words
    assert row["distinct_units"] == "1 1"
    assert row["rank"] == ("1 1" if phi == "sigmoid" else "0 0")
    assert row["verdict"] == "agrees"


def test_balanced_classes_leave_nothing_to_move():
    network = vp.mlp([3, 1], "tanh", "zeros", input=vp.gaussian(2, 8), head="bce", targets=[1, 0] * 4)
    ladder = gradient_ladder(vp.symmetry(network, steps=2).assign(case="c"), ["case"])
    assert ladder[["step 1", "step 2"]].to_numpy().tolist() == [["none", "none"]]
