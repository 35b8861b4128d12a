"""Dense chains written as parts, or at the beginning of a graph, say what the theory of chains says."""

from __future__ import annotations

import numpy as np
import pytest

import varprop as vp
from varprop import ops

_CASES = [
    ("tanh", "he_normal", "normal(std=0.3)", "mse", 0.5),
    ("relu", "he_normal", "zeros", "unit", None),
    ("relu", "torch.linear_default", None, "unit", None),
    ("gelu", "lecun_uniform", "constant(value=0.2)", "softmax_ce", [1, 0, 2]),
]


def _pair(
    phi: str, weights: str, biases: str | None, kind: str, targets: object
) -> tuple[vp.Network, vp.Network]:
    data = vp.gaussian(20, 3, seed=1)
    head = vp.Head(kind, targets)
    chain = vp.mlp([50, 40, 4], activation=phi, weights=weights, biases=biases, input=data, head=head)
    body = [
        ops.dense(50, weights, biases),
        phi,
        ops.dense(40, weights, biases),
        phi,
        ops.dense(4, weights, biases),
    ]
    return chain, vp.Network(data, body, head)


@pytest.mark.parametrize("case", _CASES, ids=lambda case: f"{case[0]} {case[1]}")
def test_a_chain_written_as_parts_has_the_rows_of_the_chain(case: tuple[object, ...]) -> None:
    chain, parts = _pair(*case)  # type: ignore[arg-type]
    ours, theirs = vp.predict(parts), vp.predict(chain)
    both = ours.merge(theirs, on=["layer", "quantity"], suffixes=("", "_chain"))
    assert len(both) >= 38
    np.testing.assert_allclose(both.value, both.value_chain, rtol=1e-9)
    own = both[both.quantity != "correlation"]
    assert (own.order == own.order_chain).all()


def test_a_graph_that_begins_with_a_chain_has_its_forward_rows() -> None:
    """Layers of uniform weights and biases, corrections of order 1/n: what only the theory of chains knows."""
    data = vp.gaussian(20, 3, seed=1)
    start = [ops.dense(30, "torch.linear_default"), "tanh", ops.dense(30, "torch.linear_default"), "tanh"]
    end = [ops.residual([ops.layer_norm(), ops.dense(30)]), ops.dense(3)]
    ours = vp.predict(vp.Network(data, [*start, *end]))
    chain = vp.mlp([30, 30, 3], activation="tanh", weights="torch.linear_default", input=data)
    both = ours[ours.layer <= 2].merge(vp.predict(chain), on=["layer", "quantity"], suffixes=("", "_chain"))
    forward = both[~both.quantity.str.startswith("gradient")]
    assert len(forward) == 22
    np.testing.assert_allclose(forward.value, forward.value_chain, rtol=1e-9)
