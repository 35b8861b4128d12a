"""Every op's vector-Jacobian product against central differences of its own forward pass, in double precision."""

from __future__ import annotations

import numpy as np
import pytest

from varprop.montecarlo.ops import RULES, rule_of
from varprop.montecarlo.samplers.reductions import Columns
from varprop.spec.ops import Embedding

from .places import CASES, DRAWS, EXAMPLES, place_of, run, values

STEP = 1e-5


def test_every_op_has_a_case() -> None:
    assert {type(op) for op, _ in CASES.values()} | {Embedding} == set(RULES)


@pytest.mark.parametrize("name", CASES)
def test_vjp_is_the_derivative(name: str) -> None:
    """The slope of <c, f(x + t v)> at t = 0 is <vjp(c), v>: to 1e-7 of the sizes, for errors of h² and rounding / h."""
    place = place_of(name)
    inputs, ways = values(place), values(place, 1)
    output, saved, context = run(place, inputs)
    c = np.random.default_rng(2).standard_normal(output.shape)
    parts = rule_of(place.op).vjp(place, saved, Columns(c), context)
    assert [p.shape for p in parts] == [x.shape for x in inputs]
    for i, (part, way) in enumerate(zip(parts, ways, strict=True)):
        moved = [run(place, [*inputs[:i], inputs[i] + s * way, *inputs[i + 1 :]])[0] for s in (STEP, -STEP)]
        slope = np.sum(c * (moved[0] - moved[1]), axis=(1, 2)) / (2 * STEP)
        np.testing.assert_allclose(np.sum(part * way, axis=(1, 2)), slope, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", [name for name in CASES if RULES[type(CASES[name][0])].weight_gradients])
def test_weight_gradients_are_those_of_the_matrix(name: str) -> None:
    """W enters as W X, so with D = dL/d(W X) the gradient is D Xᵀ; here it is formed, example by example."""
    place = place_of(name)
    output, saved, _ = run(place, values(place))
    g = np.random.default_rng(2).standard_normal(output.shape)
    example, batch, entries = rule_of(place.op).weight_gradients(place, saved, Columns(g))
    groups = getattr(place.op, "groups", 1)
    h = saved.columns.array.reshape(DRAWS, groups, -1, EXAMPLES, saved.columns.array.shape[2] // EXAMPLES)
    if getattr(place.op, "transposed", False):
        from varprop.montecarlo.ops.convolution import _windows

        g = _windows(place).gather(g, EXAMPLES)
    delta = g.reshape(DRAWS, groups, -1, EXAMPLES, h.shape[4])
    own = np.einsum("rgibt,rgjbt->rbgij", delta, h)
    np.testing.assert_allclose(example, np.sum(own**2, axis=(1, 2, 3, 4)), rtol=1e-10)
    np.testing.assert_allclose(batch, np.sum(own.sum(axis=1) ** 2, axis=(1, 2, 3)), rtol=1e-10)
    assert entries == own[0, 0].size
