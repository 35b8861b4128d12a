"""The whole judgement on small networks: right theory is not accused, theory wrong by 3 % is.

One sigmoid network of width 150 whose rows used here are exact: variances of both layers, saturation and slopes of the
first, gradients at both. 1500 draws leave standard errors of about 0.3 % (variance), 0.4 % (saturation), 0.5 %
(gradient at the layer below the head); 3 % is then five and more of them, well beyond the Holm bound for nine rows
(2.8).
"""

import numpy as np
import pytest
from scipy.stats import binom

import varprop as vp
from varprop.analytic import predict_network
from varprop.comparison.agreement import compare_frames
from varprop.montecarlo import simulate_network

pytestmark = pytest.mark.agreement

ALPHA = 0.05
SEEDS = 200
DRAWS = 1500
ROWS = (
    "preactivation_variance",
    "saturated_fraction",
    "derivative_second_moment",
    "gradient_preactivation",
    "gradient_weight",
)
WRONG = {
    "preactivation_variance": (1, 2),
    "saturated_fraction": (1,),
    "gradient_preactivation": (1,),
}


def network():
    return vp.mlp(
        [150, 150],
        activation="sigmoid",
        weights="normal(std=0.6)",
        biases="standard_normal",
        input=vp.gaussian(40, seed=3),
    )


@pytest.fixture(scope="module")
def theory():
    table = predict_network(network())
    table = table[(table["order"] == "exact") & table["quantity"].isin(ROWS) & (table["value"] > 0)]
    assert len(table) >= 8
    return table


@pytest.fixture(scope="module")
def runs():
    return [simulate_network(network(), draws=DRAWS, seed=seed, histogram=False) for seed in range(SEEDS)]


def test_right_theory_is_accused_no_more_often_than_alpha(theory, runs):
    """Under a family-wise rate of 0.05 more than 21 of 200 accusations have probability 1e-3."""
    accused = sum((compare_frames(theory, run, alpha=ALPHA)["verdict"] == "differs").any() for run in runs)
    assert accused <= binom.ppf(0.999, SEEDS, ALPHA)


@pytest.mark.parametrize("quantity", WRONG)
@pytest.mark.parametrize("factor", [0.97, 1.03])
def test_a_formula_wrong_by_three_percent_is_caught(theory, runs, quantity, factor):
    """Caught in at least 80 % of 100 runs of 1500 draws: power, not luck."""
    wrong = theory.copy()
    changed = (wrong["quantity"] == quantity) & wrong["layer"].isin(WRONG[quantity])
    assert changed.any()
    wrong.loc[changed, "value"] *= factor
    wrong.loc[changed, "log_value"] += np.log(factor)
    caught = 0
    for run in runs[:100]:
        table = compare_frames(wrong, run, alpha=ALPHA)
        hit = (table["quantity"] == quantity) & (table["verdict"] == "differs")
        caught += bool(hit.any())
    assert caught >= 80
