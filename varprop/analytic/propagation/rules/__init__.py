"""One rule for every op: what it makes of a signal, and of a gradient on the way back."""

from __future__ import annotations

from varprop.analytic.propagation.rules import (
    activate,
    attend,
    batch_norm,
    convolution,
    dense,
    embedding,
    joins,
    norms,
    pools,
    shapes,
    upsample,
)
from varprop.analytic.propagation.walk import Rules
from varprop.spec import ops

RULES: Rules = {
    ops.Source: shapes.INPUT,
    ops.Dense: dense.RULE,
    ops.Convolution: convolution.RULE,
    ops.Embedding: embedding.EMBEDDING,
    ops.Positions: embedding.POSITIONS,
    ops.ClassToken: embedding.CLASS_TOKEN,
    ops.Unembedding: embedding.UNEMBEDDING,
    ops.Activate: activate.RULE,
    ops.LayerNorm: norms.LAYER_NORM,
    ops.RMSNorm: norms.RMS_NORM,
    ops.GroupNorm: norms.GROUP_NORM,
    ops.BatchNorm: batch_norm.RULE,
    ops.Add: joins.ADD,
    ops.Multiply: joins.MULTIPLY,
    ops.Attend: attend.RULE,
    ops.MeanPool: pools.MEAN_POOL,
    ops.MaxPool: pools.MAX_POOL,
    ops.Upsample: upsample.RULE,
    ops.Select: shapes.SELECT,
    ops.Flatten: shapes.FLATTEN,
    ops.Transpose: shapes.TRANSPOSE,
    ops.Concatenate: shapes.CONCATENATE,
    ops.Dropout: shapes.DROPOUT,
}
"""From an op's class to its rule."""
