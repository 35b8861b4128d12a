"""Networks whose numbers leave the range of a double, or of single precision: right logarithms, and no warning.

NumPy's warnings are errors in this suite, so every simulation here also says that none is raised.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from varprop._validation import InputError
from varprop.initializers import initializer
from varprop.montecarlo import simulate_network
from varprop.montecarlo.planning import make_plan
from varprop.spec import Input, Layer, Network, gaussian, half_on, mlp

FACTORS = (2.0**-1000, 2.0**-600, 2.0**-60, 2.0**60, 2.0**515, 2.0**1000)


def rows(network, sampler="conditional", draws=40, **options):
    frame = simulate_network(network, draws=draws, sampler=sampler, **options)
    return frame.set_index(["quantity", "layer"])


@pytest.mark.parametrize("sampler", ["conditional", "dense"])
@pytest.mark.parametrize("name", ["tanh", "softsign", "gelu", "elu", "relu6"])
def test_vanishing_networks_keep_their_means_and_sets(name, sampler):
    """Far below the range of squares an activation is its tangent on either side of 0.

    phi(z) = c z for tanh, softsign, elu (c = 1) and gelu (c = 1/2), so E phi is 0 in every layer: |mean| stays below
    six standard errors in 30 layers (false alarms below 1e-6). A mean like relu's, sqrt(q/2π), would be 6 to 9 of
    them away even from 40 draws of width 30. relu6 is a relu there: its inactive units are one half, of which 40
    draws of 30 units show between 0.4 and 0.6 (false alarms below 1e-9; a layer dies with probability 1e-9).
    """
    frame = rows(mlp("30x150,4", name, "normal(std=0.02)", input=half_on(6)), sampler)
    layers = range(115, 145)
    if name == "relu6":
        below = [frame.loc["inactive_fraction", n] for n in (20, *layers)]
        assert all(0.4 < r.value < 0.6 for r in below)
        return
    mean = np.array([frame.loc["activation_mean", n].value for n in layers])
    root = np.array([math.exp(frame.loc["activation_second_moment", n].log_value / 2) for n in layers])
    error = np.array([frame.loc["activation_mean", n].std_error for n in layers])
    assert (root > 0).all()
    assert (np.abs(mean) < 6 * error).all()


@pytest.mark.parametrize("sampler", ["chain", "conditional", "dense"])
@pytest.mark.parametrize("batch", [1, 3])
def test_relu_networks_scale_with_their_input(sampler, batch):
    """phi(c z) = c phi(z) and the same draws: E z² and the weights' gradients scale by c², nothing else changes."""
    if sampler == "chain" and batch > 1:
        return
    base = gaussian(6, batch)
    reference = rows(mlp("5,5,4", "relu", "he_normal", input=base), sampler)
    for factor in FACTORS:
        power = math.log(factor)
        frame = rows(mlp("5,5,4", "relu", "he_normal", input=Input(base.array() * factor)), sampler)
        for name, times in (
            ("preactivation_second_moment", 2),
            ("gradient_weight", 2),
            ("gradient_input", 0),
        ):
            found = frame.loc[name].log_value - reference.loc[name].log_value
            np.testing.assert_allclose(found, times * power, rtol=0, atol=1e-9, err_msg=f"{name} {factor}")
        fractions = frame.loc["inactive_fraction"].value, reference.loc["inactive_fraction"].value
        np.testing.assert_allclose(*fractions, atol=1e-12)


WEIGHTS = (
    "he_normal",
    "normal(std=50)",
    "normal(std=1e-130)",
    "normal(std=1e130)",
    "zeros",
    "orthogonal(gain=1e30)",
    "uniform(low=-1e20, high=1e20)",
    "normal(std=1, mean=100)",
    "identity(gain=1e-30)",
)
WAYS = (("dense", "plain"), ("conditional", "plain"), ("conditional", "control"), ("chain", "plain"))
INPUTS = {
    "zero": Input(np.zeros((3, 1))),
    "huge": Input(np.full((3, 1), 1e155)),
    "tiny": Input(np.full((3, 1), 1e-200)),
    "several": Input(np.array([[0.0, 1e155, -2e155], [0.0, 1e155, 1e155], [0.0, 1e154, 0.0]])),
    "apart": Input(np.array([[1e-20, 1e40], [2e-20, 1e40]])),
}


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("name", INPUTS)
def test_no_sampler_warns(name, weights):
    """Samplers × activations × biases × laws × inputs: a table, no warning and no NaN among values."""
    for activation, biases in itertools.product(("tanh", "squared_relu"), ("zeros", "normal(std=0.5)")):
        network = mlp("3,3,2", activation, weights, biases, input=INPUTS[name])
        for sampler, estimator in WAYS:
            try:
                make_plan(network, sampler=sampler, estimator=estimator)
            except InputError:
                continue
            frame = simulate_network(network, draws=4, sampler=sampler, estimator=estimator)
            given = frame[~frame.reason.astype(str).str.startswith("not given")]
            undefined = given.quantity.isin(["correlation", "preactivation_variance"])
            assert not given.value[~undefined].isna().any()


def test_inputs_of_incomparable_sizes_are_refused():
    network = mlp("3,2", "relu", "he_normal", input=Input(np.array([[1e-200, 1e100], [0.0, 1.0]])))
    with pytest.raises(InputError, match="input"):
        simulate_network(network, draws=4)


@pytest.mark.parametrize(
    "spelling",
    [
        "normal(std=1e160)",
        "normal(std=1e-200)",
        "normal(mean=1e200)",
        "constant(value=1e200)",
        "constant(value=-1e-300)",
        "uniform(low=-1e200, high=1e200)",
        "uniform(low=0, high=1e-300)",
        "rademacher(std=1e200)",
        "sparse(sparsity=0.5, std=1e-170)",
        "orthogonal(gain=1e200)",
        "identity(gain=1e-200)",
        "truncated_normal(std=1e-200)",
        "variance_scaling(scale=1e300)",
        "keras.random_normal(stddev=1e200)",
        "torch.uniform_(a=-1e200)",
    ],
)
def test_laws_whose_squares_leave_the_range_are_refused(spelling):
    with pytest.raises(InputError) as refusal:
        initializer(spelling).law(4, 4)
    assert len(str(refusal.value).splitlines()) == 1


def test_a_gain_may_not_push_a_law_out_of_range():
    with pytest.raises(InputError):
        Network(half_on(2), [Layer(2, "relu", "normal(std=9e139)", gain=1e3)]).weight_law(1)


@pytest.mark.parametrize(
    "family",
    ["normal(std={})", "uniform(low=-{0}, high={0})", "rademacher(std={})", "truncated_normal(std={})"],
)
@pytest.mark.parametrize("power", [-430, -140, 140, 430])
def test_laws_of_any_size_give_the_same_network_scaled(power, family):
    """Weights of relu networks times c: E z² of layer l times c^2l, and the units that are off stay off, draw by draw.

    Powers of two and the same random numbers, so all but rounding is equal.
    """
    scale = 2.0**power
    assert not 1e-30 < scale < 1e30
    for sampler in ("conditional", "dense") if family.startswith("normal") else ("dense",):
        frames = [
            rows(mlp("6,5", "relu", family.format(repr(s)), input=gaussian(4, 2)), sampler, draws=10)
            for s in (1.0, scale)
        ]
        for layer in (1, 2):
            shift = [f.loc["preactivation_second_moment", layer].log_value for f in frames]
            assert shift[1] - shift[0] == pytest.approx(2 * layer * power * math.log(2), abs=1e-4)
        assert frames[0].loc["inactive_fraction", 1].value == frames[1].loc["inactive_fraction", 1].value
