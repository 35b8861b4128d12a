"""A traced graph as a network of typed ops, with the laws that its parameters were found to follow.

What has no op, or an input of another arrangement than its op reads, becomes a `Restart`: the walk starts again there
from what was measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from varprop._validation import InputError
from varprop.adapters.recording import Recording
from varprop.auditing import plain_nodes, weighted_nodes
from varprop.auditing.axes import EXAMPLES, FEATURES, Axes, Factor, is_image, plain
from varprop.auditing.places import Body, Rule, Value, arrangement
from varprop.spec import Input, Network, ops
from varprop.spec.traced import INPUT, Node

MOST_COLUMNS = 1024
"""Examples times positions up to which a model is walked through with the covariance of all pairs of them."""
_LARGEST = 10_000_000
_WEIGHTS = frozenset(("linear", "convolution", "transposed_convolution", "embedding", "attention"))


@dataclass
class Translated:
    """A network, and where the traced nodes are in it.

    Attributes
    ----------
    network : Network
    values : dict
        From a traced node's index to its `Value`.
    restarts : dict
        From a traced node's index to the index of its `Restart`.
    maps : dict
        From (traced node, parameter) to the nodes whose weights that parameter holds.
    """

    network: Network
    values: dict[int, Value]
    restarts: dict[int, int]
    maps: dict[tuple[int, str], list[int]]


def translate(recording: Recording, most: int = MOST_COLUMNS) -> Translated | None:
    """Return a recording's graph as a network; None for what no network of ops is.

    That is: several inputs, examples elsewhere than on the first axis, weights that are used twice or are copies of
    others, more than `most` columns.
    """
    traced = recording.graph
    if traced.output is None or recording.copies or recording.axis:
        return None
    way = traced.ancestors(traced.output) | {traced.output}
    nodes = [node for node in traced.nodes if node.index in way]
    if any(_shared(node, recording) or not node.shape or node.kind == "detach" for node in nodes):
        return None
    made = _source(recording, [node for node in nodes if INPUT in node.sources])
    if made is None:
        return None
    data, axes = made
    body = Body(recording, len(nodes), Value(0, axes), RULES)
    try:
        network = Network(data, (body,))
    except InputError:
        return None
    if recording.examples * max(node.shape.count for node in network.graph.nodes) > most:
        return None
    return Translated(network, body.values, body.restarts, body.maps)


def _shared(node: Node, recording: Recording) -> bool:
    """Return whether a node uses weights that another call of its module used too."""
    modules = (n for n in recording.graph.nodes if n.module == node.module and n.op == node.op)
    again = any(n.call > 1 for n in modules)
    return again and node.op in _WEIGHTS and not node.attributes.get("function")


def _source(recording: Recording, readers: list[Node]) -> tuple[Input, Axes] | None:
    examples = recording.examples
    if recording.tokens is not None:
        ids = recording.tokens
        tables = [node for node in readers if node.op == "embedding"]
        if not tables or len(ids) != examples:
            return None
        vocabulary = int(tables[0].attributes["vocabulary"])
        data = Input(ids.reshape(1, -1), name="inputs", positions=(ids.shape[1],), vocabulary=vocabulary)
        return data, plain(examples, 1, (ids.shape[1],), False)
    if recording.source is None or recording.source.array.size > _LARGEST:
        return None
    array = recording.source.array
    if array.ndim < 2 or array.shape[0] != examples:
        return None
    channels = any("channel_axis" in n.attributes for n in readers)
    if array.ndim > 3 and not channels:
        # Nothing looks at sites: they are features.
        rows = array.reshape(examples, -1)
        inner = tuple((Factor(FEATURES, (i,), n),) for i, n in enumerate(array.shape[1:]))
        return Input(rows.T, name="inputs"), ((Factor(EXAMPLES, (0,), examples),), *inner)
    shape, axes = arrangement(array.shape, channels, examples)
    columns = np.moveaxis(array, 1 if is_image(axes) else -1, 0)
    return Input(columns.reshape(shape.features, -1), name="inputs", positions=shape.positions), axes


RULES: dict[str, Rule] = {
    "linear": weighted_nodes.linear_node,
    "convolution": weighted_nodes.convolution_node,
    "transposed_convolution": partial(weighted_nodes.convolution_node, transposed=True),
    "embedding": weighted_nodes.embedding_node,
    "activation": plain_nodes.activation_node,
    "layer_norm": partial(plain_nodes.norm_node, ops.LayerNorm),
    "rms_norm": partial(plain_nodes.norm_node, ops.RMSNorm),
    "group_norm": plain_nodes.group_norm_node,
    "batch_norm": plain_nodes.batch_norm_node,
    "add": plain_nodes.add_node,
    "shift": weighted_nodes.shift_node,
    "scale": plain_nodes.scale_node,
    "multiply": plain_nodes.multiply_node,
    "dropout": plain_nodes.dropout_node,
    "reshape": plain_nodes.reshape_node,
    "slice": plain_nodes.select_node,
    "concatenate": plain_nodes.concatenate_node,
    "mean": plain_nodes.mean_node,
    "average_pool": plain_nodes.average_pool_node,
    "max_pool": partial(plain_nodes.pool_node, ops.MaxPool),
    "attention": weighted_nodes.attention_node,
}
"""From what a traced node does to what says so by ops."""
