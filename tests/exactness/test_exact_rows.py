"""Every row labelled exact holds against networks drawn with explicit weights: random networks, one error rate.

In small: `NETWORKS` networks of one stream, about 900 rows, screened with `DRAWS` draws. The family-wise false-alarm
rate is 1 % (and the seeds are fixed). A wrong row is caught with probability 0.95 if it is off by 4.9 standard errors
of the screen: by 10 % for more than eight in ten moments, by 3 % for one in three. ``make battery`` is it at large.
"""

import numpy as np
import pytest

from tests.exactness import functions, laws
from tests.exactness.battery import exact_rows, examine, failures, predictions
from tests.exactness.choices import INPUTS
from tests.exactness.laws import parse
from tests.exactness.networks import HEADS, describe, random_case
from varprop.activations.base import registry
from varprop.initializers.base import examples

pytestmark = pytest.mark.agreement
SEED, NETWORKS, DRAWS, FRESH = 2026, 40, 4000, 60_000


@pytest.fixture(scope="module")
def networks():
    """The networks and theory's exact rows for them."""
    cases = [random_case(SEED, number).case for number in range(NETWORKS)]
    return [(case, exact_rows(predictions(case))) for case in cases]


@pytest.fixture(scope="module")
def found(networks):
    """What became of every row."""
    return [f for case, rows in networks for f in examine(case, rows, DRAWS, FRESH, SEED)]


def test_exact_rows_hold(found):
    bad = [
        f"{describe(f.case)} {f.row}: {f.predicted:g}, drawn {f.judgement.measured:g} ± {f.judgement.error:.2g}"
        for f in failures(found)
    ]
    assert not bad, "\n".join(bad)


def test_nearly_every_row_is_judged(found):
    assert sum(f.judgement.how == "unjudged" for f in found) <= 0.02 * len(found)


def test_the_judge_is_calibrated(found):
    """Where theory is right p-values are uniform. Rows of a network depend on each other: 5 % within a factor of 2."""
    p = np.array([f.judgement.p for f in found if f.judgement.how == "mean" and f.judgement.p < 1.0])
    assert p.size > 300
    assert 0.025 <= np.mean(p <= 0.05) <= 0.1


def test_rows_that_are_wrong_are_refuted(networks):
    """Every prediction of a third of the networks is wrong by 10 %: with twice the draws nine in ten are refuted."""
    caught = []
    for case, rows in networks[::3]:
        wrong = {row: 1.1 * value for row, value in rows.items() if value and not row[1].endswith("_mean")}
        found = examine(case, wrong, 2 * DRAWS, 20_000, SEED)
        refuted = {f.row for f in failures(found)}
        caught += [f.row in refuted for f in found if f.judgement.how == "mean"]
    assert len(caught) > 80
    assert np.mean(caught) >= 0.9


def test_the_battery_visits_everything():
    """Every registered law and activation, every input and head, is drawn in the first 400 networks."""
    drawn = [random_case(1, number) for number in range(400)]
    layers = [layer for d in drawn for layer in d.case.layers]
    seen = {parse(spelling)[0] for d in layers for spelling in (d.weights, d.biases)}
    assert set(examples) <= set(laws.NAMES)
    assert (
        {parse(d.activation)[0] for d in layers}
        == set(functions.NAMES)
        >= {registry.make(name).name for name in registry}
    )
    assert {d.input for d in drawn} == set(INPUTS)
    assert {d.case.head for d in drawn} == set(HEADS)
    # The rest are aliases of laws that are drawn, under other names.
    twins = {
        *("keras.zeros", "keras.ones", "keras.constant", "keras.he_uniform", "keras.glorot_uniform"),
        *("torch.zeros_", "torch.ones_", "torch.constant_", "keras.lecun_normal"),
    }
    assert set(laws.NAMES) - seen <= twins
