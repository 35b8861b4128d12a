"""Rules of the graph say `approximate`, and why, where they assume what is no limit; and only there."""

import numpy as np
import pytest

from varprop.analytic.rules.pointwise import activate, activate_back, probabilities
from varprop.analytic.rules.signal import Facts, ParameterFact, Signal
from varprop.analytic.rules.weighted import linear
from varprop.spec.traced import Node

ZERO = ParameterFact(0.0, 0.0)
GAUSSIAN, SIGNS = ParameterFact(0.0, 9.0), ParameterFact(0.0, 9.0, gaussian=False)
WEIGHT = ParameterFact(0.0, 0.04)


def dense(bias, examples=3, weight=WEIGHT, second=None):
    shape = (examples, 8)
    node = Node(1, "dense", "Linear", "linear", 1, (0,), shape, {"width": 8}, ("weight", "bias"))
    facts = Facts({"dense.weight": weight, "dense.bias": bias}, {}, examples)
    data = None if examples == 1 else 0.7
    source = Signal(
        np.ones(examples) if second is None else second, np.zeros(examples), (examples, 8), data=data
    )
    return linear(node, [source], facts), facts


def after(name, before, facts):
    node = Node(2, "act", name, "activation", 1, (1,), before.shape, {"activation": name})
    return node, activate(node, [before], facts)


def test_one_correlation_for_all_pairs_is_an_approximation():
    """E (phi_a - phi_b)²/2 is not linear in the pairs' correlations: their mean does not give the mean of it.

    Three inputs, two alike and one orthogonal, tanh with q = 25: the true mean over pairs is two thirds of that of the
    orthogonal pair (about E tanh² = 0.85), the rule's, at correlation 1/3, is another number.
    """
    before, facts = dense(ZERO)
    _, found = after("tanh", before, facts)
    assert before.spread_order == "exact"
    assert (found.order, found.spread_order) == ("infinite", "approximate")
    assert "one correlation" in found.spread_why
    assert "one correlation" not in found.why
    _, straight = after("linear", before, facts)
    assert (straight.spread_order, straight.spread_why) == ("exact", "")


def test_one_input_has_no_pairs():
    before, facts = dense(ZERO, examples=1)
    _, found = after("tanh", before, facts)
    assert (found.data, found.spread_why) == (None, "")


@pytest.mark.parametrize(
    ("bias", "order"), [(ZERO, "infinite"), (GAUSSIAN, "infinite"), (SIGNS, "approximate")]
)
def test_the_law_of_the_biases_matters_unless_it_is_gaussian(bias, order):
    """Signs ±3 under tanh: E tanh'² is near tanh'(3)² = 1e-4, that of a Gaussian of the same variance is 0.2."""
    before, facts = dense(bias)
    assert before.order == "exact"  # second moments add whatever the law
    node, found = after("tanh", before, facts)
    assert found.order == order
    assert ("law of the biases" in found.why) == (order == "approximate")
    for quantity in ("saturated_fraction", "derivative_second_moment"):
        assert probabilities(node, before, 0.04)[quantity][1] == order
    node, rectified = after("relu", before, facts)
    assert rectified.order == "exact"  # any symmetric law
    assert activate_back(node, np.ones(3), [before], facts) == pytest.approx(0.5 * np.ones(3))


def test_a_small_mean_of_the_weights_is_said():
    before, _ = dense(ZERO, weight=ParameterFact(0.004, 0.04))
    assert (before.order, before.mean_order) == ("approximate", "approximate")
    assert "mean of the weights" in before.why
