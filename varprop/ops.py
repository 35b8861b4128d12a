"""What networks are built of: a builder for every part, under its plain name.

A network's body is a list of parts: what these builders return, activations and their names, and lists of such things.

>>> import varprop as vp
>>> from varprop import ops
>>> block = ops.residual([ops.layer_norm(), ops.dense(256, "he_normal"), "relu", ops.dense(64)], name="block")
>>> network = vp.Network(vp.gaussian(64, 8), [ops.dense(64), block, block, ops.dense(10)])
>>> network.describe()[["node", "op", "shape", "parameters"]].tail(2).to_string(index=False, header=False).split()
['block2.stream', 'add', '64', '0', 'dense2', 'dense', '10', '650']

Spelled text and tables say the same, in Python and in study files: ``"dense(width=256, weights=he_normal)"``,
``{"residual": ["layer_norm", "dense(width=64)"], "scale": 0.5}``, and ``"times": 12`` in a table for twelve in a row.
"""

from varprop.spec.builders import (
    activate,
    batch_norm,
    class_token,
    conv,
    dense,
    dropout,
    embedding,
    flatten,
    group_norm,
    layer,
    layer_norm,
    max_pool,
    mean_pool,
    positions,
    rms_norm,
    scaled,
    select,
    transpose,
    unembedding,
    upsample,
)
from varprop.spec.parts import attention, concatenate, gate, multiply, residual, sequence

__all__ = [
    "activate",
    "attention",
    "batch_norm",
    "class_token",
    "concatenate",
    "conv",
    "dense",
    "dropout",
    "embedding",
    "flatten",
    "gate",
    "group_norm",
    "layer",
    "layer_norm",
    "max_pool",
    "mean_pool",
    "multiply",
    "positions",
    "residual",
    "rms_norm",
    "scaled",
    "select",
    "sequence",
    "transpose",
    "unembedding",
    "upsample",
]
