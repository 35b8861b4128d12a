"""One rule a kind of node: how a signal's moments go forward through it, and a gradient's mean square back.

`FORWARD` and `BACKWARD` map an op of `varprop.spec.traced.OPS` to its rule. An op without a rule, or a rule that
returns None for want of an assumption, makes prediction start again from what was measured; nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from varprop.analytic.rules import joins, norms, pointwise, pools, weighted
from varprop.analytic.rules.signal import Array, Facts, Signal
from varprop.spec.traced import Node

Forward = Callable[[Node, list[Signal], Facts], Signal | None]
Backward = Callable[[Node, Array, list[Signal], Facts], Array | None]

FORWARD: Mapping[str, Forward] = {
    "linear": weighted.linear,
    "convolution": weighted.convolution,
    "transposed_convolution": weighted.transposed_convolution,
    "embedding": weighted.embedding,
    "scale": weighted.scale,
    "activation": pointwise.activate,
    "dropout": pointwise.dropout,
    "batch_norm": norms.batch_norm,
    "layer_norm": norms.layer_norm,
    "rms_norm": norms.rms_norm,
    "group_norm": norms.group_norm,
    "add": joins.add,
    "shift": joins.add,
    "concatenate": joins.concatenate,
    "reshape": joins.reshape,
    "slice": joins.take,
    "max_pool": pools.max_pool,
    "average_pool": pools.average_pool,
}

BACKWARD: Mapping[str, Backward] = {
    "linear": weighted.linear_back,
    "convolution": weighted.convolution_back,
    "transposed_convolution": weighted.transposed_convolution_back,
    "scale": weighted.scale_back,
    "activation": pointwise.activate_back,
    "dropout": pointwise.dropout_back,
    "batch_norm": norms.batch_norm_back,
    "layer_norm": norms.layer_norm_back,
    "rms_norm": norms.rms_norm_back,
    "group_norm": norms.group_norm_back,
    "add": joins.add_back,
    "shift": joins.add_back,
    "concatenate": joins.concatenate_back,
    "reshape": joins.reshape_back,
    "slice": joins.take_back,
    "max_pool": pools.max_pool_back,
    "average_pool": pools.average_pool_back,
}
