"""The conditional sampler against explicit weight matrices, as laws.

Both samplers draw the same network independently; a statistic of one is compared with the same of the other by a
two-sample Kolmogorov–Smirnov test and by a test of the means. About 800 statistics over 14 set-ups with two tests
each, at a Bonferroni level of 1e-3 over everything: a correct sampler fails a run with another seed in one of a
thousand (the seeds are fixed). With 3000 draws a side, a distance of 0.075 between distribution functions, or of
0.14 standard deviations between means, is found with 97 %.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from varprop.montecarlo.normals import Noise
from varprop.montecarlo.samplers import heads
from varprop.montecarlo.samplers.conditional import ConditionalMaps
from varprop.montecarlo.samplers.dense import DenseMaps
from varprop.montecarlo.samplers.entries import draw_biases
from varprop.montecarlo.samplers.program import compile_network
from varprop.montecarlo.samplers.reductions import Columns
from varprop.spec import Head, Input, gaussian, half_on, mlp

pytestmark = pytest.mark.agreement

DRAWS = 3000
LEVEL = 1e-3
TESTS = 2000  # a bound on the number of tests of the whole file, for Bonferroni


class FreshMaps(DenseMaps):
    """The negative control: new weights on the way back, which keeps every mean square right."""

    def backward(self, step, columns):
        self.forward(step, Columns(np.zeros((self.draws, step.fan_in, 1), np.float32)))
        return super().backward(step, columns)


def awkward_input():
    """Return a zero vector, a duplicate and a combination among five inputs of size 6."""
    x = np.random.default_rng(3).normal(size=(6, 5))
    x[:, 1] = 0.0
    x[:, 3] = x[:, 0]
    x[:, 4] = x[:, 0] - 2 * x[:, 2]
    return Input(x)


def nearly_equal_input():
    """Return inputs whose differences Cholesky in single precision would lose."""
    x = np.random.default_rng(4).normal(size=(8, 1)) + 1e-4 * np.random.default_rng(5).normal(size=(8, 3))
    return Input(x)


NORMAL, HAAR = "he_normal", "orthogonal(gain=1.2)"
SETUPS = {
    "relu": mlp("9,8,7", "relu", NORMAL, input=gaussian(10, 3)),
    "tanh, random bias": mlp("9,8,7", "tanh", NORMAL, "normal(std=0.5)", gaussian(10, 3)),
    "one input": mlp("9,8,7", "tanh", NORMAL, "uniform(low=-1, high=1)", half_on(10)),
    "more inputs than units": mlp("3,4,3", "relu", NORMAL, "normal(std=0.3)", gaussian(4, 6)),
    "zero, equal and dependent inputs": mlp("7,6,7", "relu", NORMAL, input=awkward_input()),
    "dependent inputs, bias": mlp("7,6,7", "tanh", NORMAL, "ones", awkward_input()),
    "nearly equal inputs": mlp("7,6,7", "relu", NORMAL, input=nearly_equal_input()),
    "narrow nets that die": mlp("2,2,2", "relu", NORMAL, input=half_on(3)),
    "narrow nets, several inputs": mlp("3,2,5", "relu", NORMAL, input=gaussian(5, 4)),
    "unequal widths, mean": mlp("12,3,15", "tanh", "normal(std=0.5, mean=0.2)", input=gaussian(4, 2)),
    "cross-entropy": mlp("9,8,4", "relu", NORMAL, input=gaussian(6, 3), head=Head("softmax_ce", [0, 1, 3])),
    "Haar square": mlp("6,6,6", "relu", HAAR, input=gaussian(6, 2)),
    "Haar tall and wide": mlp("9,3,7", "tanh", HAAR, "normal(std=0.5)", gaussian(5, 2)),
    "Haar, one input": mlp("9,4,7", "tanh", HAAR, input=half_on(6)),
    "Haar, few free directions": mlp("5,5,4", "relu", HAAR, input=gaussian(5, 3)),
}


def statistics_of(network, kind, seed):
    """Return per-draw statistics, shape (draws, many): sizes, products, gradients, fourth powers, entries."""
    program = compile_network(network, 0.05, False)
    noise = Noise(np.random.Generator(np.random.SFC64(seed)))
    maps = ConditionalMaps(noise) if kind is ConditionalMaps else kind(DRAWS, noise, True)
    h = np.broadcast_to(program.x.astype(np.float32), (DRAWS, *program.x.shape))
    trace = []
    for step in program.steps:
        z = maps.forward(step, Columns(h)) + np.float32(step.bias.mean)
        if not step.bias.deterministic:
            z = z + draw_biases(step, DRAWS, noise)[:, :, None]
        trace.append((h, z, step.activation.derivative(z)))
        h = step.activation(z)
    nothing = np.zeros(DRAWS, np.int64)
    delta, _, loss = heads.start(program, h, nothing, trace[-1][2], noise)
    found = [] if loss is None else [loss[0]]
    for step in reversed(program.steps):
        h, z, _ = trace[step.number - 1]
        g = maps.backward(step, Columns(delta))
        found += layer_statistics(*(a.astype(np.float64) for a in (h, z, delta, g)))
        if step.number > 1:
            delta = g * trace[step.number - 2][2]
    return np.stack(found, axis=1)


def layer_statistics(h, z, delta, g):
    a, b = 0, z.shape[2] - 1
    inner, outer = h.swapaxes(1, 2) @ h, delta.swapaxes(1, 2) @ delta
    zd, hg = np.einsum("rib,rib->rb", z, delta), np.einsum("rjb,rjb->rb", h, g)
    found = [
        (z[:, :, a] ** 2).sum(1),
        (z[:, :, a] ** 4).sum(1),
        z[:, 0, a],
        z[:, 0, a] * z[:, 1, a],
        outer[:, a, a],
        (delta[:, :, a] ** 4).sum(1),
        delta[:, 0, a],
        (g[:, :, a] ** 2).sum(1),
        (g[:, :, a] ** 4).sum(1),
        g[:, 0, a],
        zd[:, a],
        hg[:, a],
        inner[:, a, a] * outer[:, a, a],
        (inner * outer).sum((1, 2)),
        z[:, 0, a] * delta[:, 0, a],
        z[:, 0, a] * g[:, 0, a],
        zd[:, a] ** 2,
        zd[:, a] * hg[:, a],
    ]
    if b:
        found += [inner[:, a, b], outer[:, a, b], (z[:, :, a] * z[:, :, b]).sum(1), zd[:, b]]
        found += [(z[:, :, a] * delta[:, :, b]).sum(1), (g[:, :, a] * g[:, :, b]).sum(1), outer.sum((1, 2))]
    return found


def p_values(one, two):
    """Return the p-values of both tests of every statistic."""
    n = len(one)
    scale = np.sqrt((one.var(0) + two.var(0)) / n)
    gap = np.abs(one.mean(0) - two.mean(0))
    same = scale <= 1e-6 * np.abs(one).max(0)  # no randomness but rounding
    z = np.where(same, 0.0, gap / np.where(same, 1.0, scale))
    means = np.array([math.erfc(v / math.sqrt(2)) for v in z])
    both = np.sort(np.concatenate([one, two]), axis=0)
    distances = []
    for i in range(one.shape[1]):
        # Equal up to rounding counts as equal: fixed lengths differ in the last bits only.
        grid = both[:, i] + 1e-5 * np.abs(both[:, i]).max()
        low, high = np.sort(one[:, i]), np.sort(two[:, i])
        distances.append(np.abs(np.searchsorted(low, grid) - np.searchsorted(high, grid)).max() / n)
    # Two-sample Kolmogorov bound of Massart's form: P(D > d) <= 2 exp(-n d²) for two samples of n.
    return np.concatenate([means, np.minimum(1.0, 2 * np.exp(-n * np.array(distances) ** 2))])


@pytest.mark.parametrize("name", SETUPS)
def test_laws_agree(name):
    """Family-wise false alarms 1e-3 over the file; see the module for what is detected."""
    network = SETUPS[name]
    dense, conditional = (statistics_of(network, kind, 7) for kind in (DenseMaps, ConditionalMaps))
    assert dense.shape[1] >= 40
    p = p_values(dense, conditional)
    assert p.min() > LEVEL / TESTS, f"statistic {p.argmin()}: p = {p.min():.2g}"


@pytest.mark.parametrize("name", ["relu", "one input", "Haar square", "cross-entropy"])
def test_fresh_weights_are_rejected(name):
    """The same test finds a sampler that draws new weights on the way back."""
    network = SETUPS[name]
    wrong = statistics_of(network, FreshMaps, 8)
    right = statistics_of(network, ConditionalMaps, 9)
    assert p_values(right, wrong).min() < LEVEL / TESTS / 1e6
