"""Every op at small places of its own, for the batteries of this folder."""

from __future__ import annotations

import math

import numpy as np

from varprop.montecarlo.normals import Noise
from varprop.montecarlo.ops import Context, Place, rule_of
from varprop.montecarlo.ops.tables import Table
from varprop.montecarlo.samplers.reductions import Columns
from varprop.spec import ops
from varprop.spec.ops import Op, Shape

DRAWS, EXAMPLES = 2, 3

VECTOR, TOKENS, IMAGE = Shape(6), Shape(6, (5,)), Shape(4, (5, 6))

CASES: dict[str, tuple[Op, tuple[Shape, ...]]] = {
    "dense": (ops.Dense(7, "he_normal", "normal(std=0.3)"), (TOKENS,)),
    "dense orthogonal": (ops.Dense(6, "orthogonal"), (VECTOR,)),
    "dense constant": (ops.Dense(6, "constant(value=0.3)", "constant(value=0.1)"), (TOKENS,)),
    "conv": (ops.Convolution(3, 3, padding=1, weights="uniform(low=-1, high=1)"), (IMAGE,)),
    "conv strided": (ops.Convolution(4, (3, 2), stride=2, padding=0, dilation=(2, 1)), (IMAGE,)),
    "conv grouped": (ops.Convolution(6, 3, groups=2, biases="normal(std=1)"), (IMAGE,)),
    "conv depthwise": (ops.Convolution(4, 3, groups=4), (IMAGE,)),
    "conv one axis": (ops.Convolution(5, 2, stride=2, padding=0), (TOKENS,)),
    "conv transposed": (ops.Convolution(3, 3, stride=2, padding=1, transposed=True), (IMAGE,)),
    "conv transposed grouped": (
        ops.Convolution(6, 2, stride=2, padding=0, groups=2, transposed=True),
        (IMAGE,),
    ),
    "positions": (ops.Positions(), (TOKENS,)),
    "class token": (ops.ClassToken(), (TOKENS,)),
    "unembedding": (ops.Unembedding(9), (TOKENS,)),
    "gelu": (ops.Activate("gelu"), (TOKENS,)),
    "tanh": (ops.Activate("tanh"), (VECTOR,)),
    "layer norm": (ops.LayerNorm(0.1), (TOKENS,)),
    "rms norm": (ops.RMSNorm(0.1), (TOKENS,)),
    "batch norm": (ops.BatchNorm(0.1), (IMAGE,)),
    "group norm": (ops.GroupNorm(0.1, groups=2), (IMAGE,)),
    "add": (ops.Add((1.0, 0.5, -2.0)), (TOKENS,) * 3),
    "multiply": (ops.Multiply(), (TOKENS,) * 2),
    "attend": (ops.Attend(3, 3), (TOKENS,) * 3),
    "attend causal": (ops.Attend(2, 2, causal=True), (Shape(8, (5,)), Shape(8, (5,)), Shape(6, (5,)))),
    "attend grouped": (ops.Attend(4, kv_heads=2), (Shape(8, (4,)), Shape(4, (6,)), Shape(6, (6,)))),
    "attend rotary": (
        ops.Attend(4, kv_heads=2, causal=True, rotary=True),
        (Shape(16, (4,)), Shape(8, (4,)), Shape(8, (4,))),
    ),
    "mean pool": (ops.MeanPool(), (IMAGE,)),
    "mean pool windows": (ops.MeanPool((2, 3), 1), (IMAGE,)),
    "max pool": (ops.MaxPool(2), (IMAGE,)),
    "max pool overlapping": (ops.MaxPool(3, stride=2, padding=1), (IMAGE,)),
    "max pool of all": (ops.MaxPool(0), (TOKENS,)),
    "upsample": (ops.Upsample((2, 3)), (IMAGE,)),
    "select": (ops.Select(2), (TOKENS,)),
    "flatten": (ops.Flatten(), (IMAGE,)),
    "transpose": (ops.Transpose(), (TOKENS,)),
    "concatenate": (ops.Concatenate(), (TOKENS, Shape(2, (5,)))),
    "dropout": (ops.Dropout(0.4), (TOKENS,)),
}


def place_of(name: str) -> Place:
    op, shapes = CASES[name]
    return Place(op, shapes, op.shape(*shapes), EXAMPLES)


def values(place: Place, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((DRAWS, s.features, EXAMPLES * s.count)) for s in place.inputs]


def context(seed: int = 3, explicit: bool = True) -> Context:
    """Return a context with a generator of its own, and a table for an unembedding."""
    found = Context(Noise(np.random.Generator(np.random.SFC64(seed)), np.float64), DRAWS, explicit)
    law = ops.Embedding(6, "normal(std=0.5)").weight_law(Shape(1, (5,), 9))
    rows = np.random.default_rng(7).standard_normal((DRAWS, 6, 4)) * 0.5
    found.tables[0] = Table(np.array([1, 3, 4, 8]), np.array([0, 2, 5, 6, 7]), rows, law)
    return found


def run(place: Place, inputs: list[np.ndarray], seed: int = 3) -> tuple[np.ndarray, object, Context]:
    """Return the output, what was saved and the context, with the same random numbers for the same seed."""
    own = context(seed)
    output, saved = rule_of(place.op).forward(place, [Columns(x) for x in inputs], own)
    assert output.shape == (DRAWS, place.output.features, EXAMPLES * math.prod(place.output.positions))
    return output, saved, own
