"""Every sampler against explicit NumPy networks where units die or nothing arrives, as laws.

The reference draws weight matrices, and goes forward and back in ten lines of NumPy that share nothing with the
engine. Every quantity of every layer is compared draw by draw: the share of exact zeros by a two-sample test of
proportions, the logarithms of what is not zero by a two-sample Kolmogorov–Smirnov test. About 1,100 statistics with
two tests each, at a Bonferroni level of 1e-3 over the file: a correct sampler fails with another seed once in a
thousand. With 4000 draws a side a difference of 0.06 between shares of zeros, or of 0.06 between distribution
functions, is found with 97 %.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from varprop.montecarlo.normals import Noise
from varprop.montecarlo.samplers.chain import run_chain, why_not_chain
from varprop.montecarlo.samplers.conditional import ConditionalMaps
from varprop.montecarlo.samplers.dense import DenseMaps
from varprop.montecarlo.samplers.program import compile_network
from varprop.montecarlo.samplers.walk import walk
from varprop.montecarlo.statistics import PLACE
from varprop.spec import Head, Input, Layer, Network, gaussian, half_on, mlp

pytestmark = pytest.mark.agreement

DRAWS = 4000
LEVEL = 1e-3
TESTS = 3000  # a bound on the number of tests of the file

# phi and phi' with the flatter side's slope at a kink.
FUNCTIONS = {
    "relu": (lambda z: np.maximum(z, 0), lambda z: (z > 0) * 1.0),
    "leaky_relu(slope=0.3)": (lambda z: np.where(z > 0, z, 0.3 * z), lambda z: np.where(z > 0, 1.0, 0.3)),
    "linear": (lambda z: z, np.ones_like),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
}
QUANTITIES = (
    "preactivation_second_moment",
    "activation_second_moment",
    "derivative_second_moment",
    "gradient_preactivation",
    "gradient_bias",
    "gradient_weight",
    "gradient_weight_batch",
    "gradient_input",
)


def layers(*activations, width=2, biases="zeros"):
    return [Layer(width, a, "he_normal", biases) for a in activations]


ZERO = Input(np.zeros((3, 1)))
SOME_ZERO = Input(np.array([[0.0, 1.0, 0.5], [0.0, -1.0, 2.0]]))
LEAKY = "leaky_relu(slope=0.3)"
NETWORKS = {
    "width 1": mlp("1,1,1,1", "relu", "he_normal", input=half_on(1)),
    "width 2": mlp("2,2,2,2,2", "relu", "he_normal", input=half_on(3)),
    "width 4": mlp("4,3,4,1", "relu", "he_normal", input=half_on(2)),
    "leaky above relu": Network(
        half_on(3), [*layers("relu", "relu", LEAKY, LEAKY), Layer(3, "linear", "he_normal")]
    ),
    "linear above relu": Network(
        half_on(3), [*layers("relu", "linear", LEAKY), Layer(2, "relu", "he_normal")]
    ),
    "relu among leaky": Network(
        half_on(3), [*layers(LEAKY, "relu", "linear", "relu", width=1), Layer(2, "linear", "he_normal")]
    ),
    "zero input, linear": mlp("3,2,4", "linear", "he_normal", input=ZERO),
    "zero input, leaky": mlp("3,2,4", LEAKY, "he_normal", input=ZERO),
    "zero input, relu": mlp("3,2,4", "relu", "he_normal", input=ZERO),
    "zero input, tanh": mlp("3,2,4", "tanh", "he_normal", input=ZERO),
    "zero input, biases": mlp("2,2,2", "relu", "he_normal", "normal(std=0.5)", input=ZERO),
    "negative biases": mlp("2,2,2", "relu", "he_normal", "constant(value=-0.5)", input=half_on(3)),
    "zeros among inputs": mlp("2,2,2,2", "relu", "he_normal", input=SOME_ZERO),
    "several inputs": Network(
        gaussian(3, 3), [*layers("relu", LEAKY, "relu"), Layer(2, "linear", "he_normal")]
    ),
    "cross-entropy": mlp("2,2,3", "relu", "he_normal", input=half_on(2), head=Head("softmax_ce", [1])),
}


def explicit(network, seed):
    """Return the quantities of explicitly drawn networks, {(name, layer): array of shape (draws,)}."""
    rng = np.random.default_rng(seed)
    x = np.broadcast_to(network.input.array(), (DRAWS, *network.input.array().shape))
    h, kept, found, batch = x, [], {}, x.shape[2]
    for number, layer in enumerate(network.layers, start=1):
        phi, slope = FUNCTIONS[layer.activation.name]
        w = rng.normal(size=(DRAWS, layer.width, h.shape[1])) * math.sqrt(2 / h.shape[1])
        b = network.bias_law(number)
        z = w @ h + b.mean + b.std * rng.normal(size=(DRAWS, layer.width, 1))
        kept.append((h, w, z))
        h = phi(z)
        sizes = (z, h, slope(z))
        for name, value in zip(QUANTITIES, sizes, strict=False):
            found[name, number] = (value**2).mean((1, 2))
    if network.head.kind == "unit":
        delta = rng.normal(size=h.shape)
    else:
        exp = np.exp(h)
        delta = exp / exp.sum(1, keepdims=True) - np.eye(h.shape[1])[:, [1]]
    for number in range(network.depth, 0, -1):
        h, w, z = kept[number - 1]
        per_example = delta[:, :, None, :] * h[:, None, :, :]
        back = w.swapaxes(1, 2) @ delta
        found["gradient_preactivation", number] = found["gradient_bias", number] = (delta**2).mean((1, 2))
        found["gradient_weight", number] = (per_example**2).mean((1, 2, 3))
        found["gradient_weight_batch", number] = (per_example.sum(3) ** 2 / batch**2).mean((1, 2))
        found["gradient_input", number] = (back**2).mean((1, 2))
        if number > 1:
            below = FUNCTIONS[network.layers[number - 2].activation.name]
            delta = back * below[1](kept[number - 2][2])
    return found


def sampled(network, sampler, seed):
    """Return the same quantities as a sampler gives them."""
    program = compile_network(network, 0.05, False)
    rng = np.random.Generator(np.random.SFC64(seed))
    if sampler == "chain":
        records = run_chain(program, rng, DRAWS)
    else:
        noise = Noise(rng, np.float64)
        maps = ConditionalMaps(noise) if sampler == "conditional" else DenseMaps(DRAWS, noise, True)
        records, _ = walk(program, maps, noise, DRAWS)
    value = np.ldexp(records.value, records.exponent)
    numbers = range(1, network.depth + 1)
    return {(name, n): value[:, n - 1, PLACE[name]] for name in QUANTITIES for n in numbers}


def p_values(one, two):
    """Return the p-values of both tests for one quantity."""
    zeros = np.array([(a == 0).sum() for a in (one, two)])
    pooled = zeros.sum() / (2 * DRAWS)
    gap = abs(zeros[0] - zeros[1]) / DRAWS
    error = math.sqrt(2 * pooled * (1 - pooled) / DRAWS)
    # All or none on both sides leaves no doubt; a few on one side only is judged by the pooled error.
    shares = 1.0 if gap == 0 else math.erfc(gap / error / math.sqrt(2))
    a, b = (np.sort(np.log(v[v > 0])) for v in (one, two))
    if not (a.size and b.size):
        return shares, 1.0
    grid = np.concatenate([a, b]) + 1e-9  # equal up to rounding is equal
    distance = np.abs(np.searchsorted(a, grid) / a.size - np.searchsorted(b, grid) / b.size).max()
    n = 2 * a.size * b.size / (a.size + b.size)
    return shares, min(1.0, 2 * math.exp(-n * distance**2))


def least(one, two):
    found = {key: min(p_values(one[key], two[key])) for key in one}
    return min(found.items(), key=lambda pair: pair[1])


@pytest.mark.parametrize("sampler", ["chain", "conditional", "dense"])
@pytest.mark.parametrize("name", NETWORKS)
def test_samplers_have_the_law_of_explicit_networks(name, sampler):
    """Family-wise false alarms 1e-3 over the file; see the module for what is detected."""
    network = NETWORKS[name]
    if sampler == "chain" and (why_not_chain(network) or network.head.kind != "unit"):
        return
    key, p = least(explicit(network, 1), sampled(network, sampler, 2))
    assert p > LEVEL / TESTS, f"{key}: p = {p:.2g}"


@pytest.mark.parametrize("name", ["leaky above relu", "zero input, linear", "zero input, leaky"])
def test_a_chain_that_passes_nothing_above_dead_layers_is_rejected(name):
    """Negative control: gradients zeroed wherever a layer is dead or the input is 0."""
    network = NETWORKS[name]
    right = sampled(network, "chain", 3)
    dead = right["preactivation_second_moment", network.depth] == 0
    assert dead.mean() > 0.3
    wrong = dict(right)
    for number in range(1, network.depth):
        key = "gradient_preactivation", number
        wrong[key] = np.where(dead, 0.0, right[key])
    assert least(explicit(network, 4), wrong)[1] < LEVEL / TESTS / 1e6


def test_a_wrong_factor_of_one_tenth_is_rejected():
    """Negative control of the sizes: gradients 10 % too large in amplitude of a narrow dying network."""
    network = NETWORKS["width 4"]
    wrong = {key: value * 1.21 for key, value in sampled(network, "conditional", 5).items()}
    assert least(explicit(network, 6), wrong)[1] < LEVEL / TESTS
