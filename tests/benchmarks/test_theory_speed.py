"""Speed of the theory: recursions over activations and layers, and phase diagrams, beside a loop of quad.

Run with ``make bench``. Times are never asserted here; the README and the summary state the ratios.
"""

import math

import numpy as np
import pytest
from scipy.integrate import quad

import varprop as vp

NAMES = (
    "linear",
    "relu",
    "leaky_relu",
    "elu",
    "selu",
    "celu",
    "gelu",
    "gelu_tanh",
    "silu",
    "mish",
    "softplus",
    "softsign",
    "sigmoid",
    "tanh",
    "erf",
    "arctan",
    "hardtanh",
    "hard_sigmoid",
    "relu6",
    "hard_swish",
    "sin",
    "cos",
    "gaussian",
    "squared_relu",
    "step",
)
FIELDS = ("second_moment", "derivative_second_moment")
LAYERS = 50


def by_moments(names):
    ends = []
    for name in names:
        phi, q = vp.activation(name), 1.0
        for _ in range(LAYERS):
            found = phi.moments(q, fields=FIELDS)
            q = min(float(found.second_moment) + 0.1, 50.0)
        ends.append(q)
    return ends


def by_quad(names):
    ends = []
    for name in names:
        phi, q = vp.activation(name), 1.0
        for _ in range(LAYERS):
            root = math.sqrt(q)

            def weighted(g, function, root=root):
                return (
                    float(function(np.float64(root * g))) ** 2 * math.exp(-g * g / 2) / math.sqrt(2 * math.pi)
                )

            second = quad(weighted, -12, 12, args=(phi,), points=[0.0], limit=200)[0]
            quad(weighted, -12, 12, args=(phi.derivative,), points=[0.0], limit=200)
            q = min(second + 0.1, 50.0)
        ends.append(q)
    return ends


def test_recursion_by_moments(benchmark):
    benchmark.group = "50 layers of (q, chi_1)"
    benchmark.extra_info.update(name="25 activations", unit="recursion")
    assert len(benchmark(by_moments, NAMES)) == 25


@pytest.mark.parametrize(("name", "route"), [("tanh", by_moments), ("tanh, a loop of quad", by_quad)])
def test_one_activation(benchmark, name, route):
    benchmark.group = "50 layers of (q, chi_1)"
    benchmark.extra_info.update(name=name, unit="recursion")
    ends = benchmark.pedantic(route, args=(["tanh"],), rounds=3, warmup_rounds=1)
    assert ends[0] == pytest.approx(by_moments(["tanh"])[0], rel=1e-6)


@pytest.mark.parametrize("name", ["tanh", "gelu", "relu"])
def test_phase_diagram(benchmark, name):
    benchmark.group = "phase diagram of 200 × 200 points"
    benchmark.extra_info.update(name=name, unit="diagram")
    grids = np.linspace(0.1, 4, 200), np.linspace(0, 1, 200)
    frame = benchmark.pedantic(vp.phase_diagram, args=(name, *grids), rounds=3, warmup_rounds=1)
    assert len(frame) == 40_000
