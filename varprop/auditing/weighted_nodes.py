"""What traced nodes with weights become: dense maps, convolutions, embeddings, attentions."""

from __future__ import annotations

import math
from typing import Any

from varprop.auditing.axes import FEATURES, POSITION, heads_of, holds, is_image, plain
from varprop.auditing.facts import full_name
from varprop.auditing.places import Site, Value, behind, features_last
from varprop.spec import ops


def linear_node(site: Site) -> Value | None:
    """Translate: a dense map on the last axis."""
    node, width = site.node, site.node.shape[-1]
    value = features_last(site, site.one)
    before = site.shape(value)
    if node.attributes.get("function"):
        return _product_with_matrix(site, value)
    bias = "bias" in node.parameters
    fans = (before.features, (_cut(site) or [width])[0])
    weights = site.law("weight", fans)
    biases = site.law("bias", fans) if bias else "zeros"
    if weights is None or biases is None:
        return None
    sizes = _cut(site)
    parts = [site.add(ops.Dense(size, weights, biases, bias=bias), value.node) for size in sizes or [width]]
    site.body.maps[node.index, "weight"] = parts
    if bias:
        site.body.maps[node.index, "bias"] = parts
    if not sizes:
        return behind(value, parts[0], width)
    (reader,) = site.body.recording.graph.consumers[node.index]
    site.body.splits[reader] = [behind(value, i, size) for i, size in zip(parts, sizes, strict=True)]
    return behind(value, site.add(ops.Concatenate(), *parts), width)


def _cut(site: Site) -> list[int]:
    """Return the sizes of the parts into which a map's features are cut right behind it: queries, keys, values."""
    graph, node = site.body.recording.graph, site.node
    readers = graph.consumers.get(node.index, ())
    cut = graph[readers[0]] if len(readers) == 1 else node
    if cut.op != "slice" or cut.kind not in ("chunk", "split", "tensor_split"):
        return []
    count, size = cut.attributes["outputs"], cut.shape[-1]
    alike = count > 1 and count * size == node.shape[-1] and cut.shape[:-1] == node.shape[:-1]
    return [size] * count if alike else []


def _product_with_matrix(site: Site, value: Value) -> Value | None:
    """Return a product with a parameter: a dense map, or inner products with the rows of an embedding's table."""
    node, recording, width = site.node, site.body.recording, site.node.shape[-1]
    names = [full_name(other, "weight") for other in recording.graph.nodes if other.op == "embedding"]
    if node.attributes.get("parameter") in names:
        if node.attributes["transposed"] or not site.graph.nodes[0].shape.vocabulary:
            return None
        return behind(value, site.add(ops.Unembedding(width), value.node), width)
    own = next((own for index, own in recording.laws if index == node.index), "")
    weights = site.law(own, (site.shape(value).features, width)) if own else None
    if weights is None or node.kind == "linear":
        return None
    return behind(value, site.add(ops.Dense(width, weights, bias=False), value.node), width)


def convolution_node(site: Site, transposed: bool = False) -> Value | None:
    """Translate: a convolution, or its transpose, with padding by zeros."""
    node, at, value = site.node, site.node.attributes, site.one
    if not is_image(value.axes) or not at["zero_padding"]:
        return None
    if any(low != high for low, high in at["padding"]):
        return None
    before = site.shape(value)
    groups = before.features // at["inputs_per_group"]
    geometry = {
        "kernel": at["kernel"],
        "stride": at["stride"],
        "dilation": at["dilation"],
        "padding": tuple(low for low, _ in at["padding"]),
    }
    bias = "bias" in node.parameters
    blank = ops.Convolution(node.shape[1], **geometry, groups=groups, transposed=transposed, bias=False)
    fans = blank.fans(before)
    weights, biases = site.law("weight", fans), site.law("bias", fans) if bias else "zeros"
    if weights is None or biases is None:
        return None
    op = ops.Convolution(
        node.shape[1],
        **geometry,
        groups=groups,
        transposed=transposed,
        weights=weights,
        biases=biases,
        bias=bias,
    )
    index = site.add(op, value.node)
    if site.graph.shape(index).positions != node.shape[2:]:
        return None
    site.body.maps[node.index, "weight"] = [index]
    if bias:
        site.body.maps[node.index, "bias"] = [index]
    return Value(index, plain(site.body.recording.examples, node.shape[1], node.shape[2:], True))


def embedding_node(site: Site) -> Value | None:
    """Translate: token embeddings; a table that reads no input is one of positions, for the sum that takes it."""
    node = site.node
    if not node.sources:
        site.body.tables[node.index] = node
        return None
    value = site.one
    vocabulary = site.shape(value).vocabulary
    weights = site.law("weight", (node.shape[-1], vocabulary))
    if vocabulary != node.attributes["vocabulary"] or not node.attributes["plain"] or weights is None:
        return None
    index = site.add(ops.Embedding(node.shape[-1], weights), value.node)
    return behind(value, index, node.shape[-1])


def positions(site: Site, value: Value, shape: tuple[int, ...], weights: Any) -> Value | None:
    """Return a vector for every position added, the same for all examples, given as a table of this shape."""
    before = site.shape(value)
    table = (before.count, before.features)
    if weights is None or shape[-2:] != table or math.prod(shape) != math.prod(table):
        return None
    if not holds(value.axes[-1], FEATURES, value.axes) or not holds(value.axes[-2], POSITION, value.axes):
        return None
    return Value(site.add(ops.Positions(weights), value.node), value.axes)


def shift_node(site: Site) -> Value | None:
    """Translate: a parameter added at every position."""
    at, value = site.node.attributes, site.one
    if "parameter" not in at:
        return None
    before = site.shape(value)
    own = next((own for i, own in site.body.recording.laws if i == site.node.index), "")
    weights = site.law(own, (before.features, before.count)) if own else None
    return positions(site, value, tuple(at["parameter_shape"]), weights)


def attention_node(site: Site) -> Value | None:
    """Translate: an attention module: four maps and the product; or the product alone."""
    node, at = site.node, site.node.attributes
    if at.get("mask", "") == "other" or len(node.sources) != 3:
        return None
    if node.attributes.get("function"):
        return _product(site)
    values = [features_last(site, value) for value in site.inputs]
    if not at["plain"] or any(len(v.axes) != 3 or not holds(v.axes[1], POSITION, v.axes) for v in values):
        return None
    width = node.shape[-1]
    fans = (width, width)
    bias = "in_proj_bias" in node.parameters
    laws = [site.law("in_proj_weight", fans), site.law("in_proj_bias", fans) if bias else "zeros"]
    last = [site.law("out_proj.weight", fans), site.law("out_proj.bias", fans) if bias else "zeros"]
    if any(law is None for law in (*laws, *last)):
        return None
    parts = []
    for value, name in zip(values, ("query", "key", "value"), strict=True):
        dense = ops.Dense(width, laws[0], laws[1], bias=bias)
        parts.append(site.add(dense, value.node, name=f"{node.title} {name}"))
    seen = site.add(ops.Attend(at["heads"], at["heads"], at.get("mask") == "causal"), *parts)
    index = site.add(ops.Dense(width, last[0], last[1], bias=bias), seen)
    site.body.maps[node.index, "in_proj_weight"] = parts
    site.body.maps[node.index, "out_proj.weight"] = [index]
    if bias:
        site.body.maps[node.index, "out_proj.bias"] = [index]
        site.body.maps[node.index, "in_proj_bias"] = parts
    return behind(values[0], index, width)


def _product(site: Site) -> Value | None:
    """Return scaled dot-product attention of queries, keys and values with their heads on the second axis."""
    query, key, value = site.inputs
    heads = [heads_of(one.axes) for one in (query, key, value)]
    if heads[0] is None or len(set(heads)) > 1 or site.node.attributes.get("scale") is not None:
        return None
    op = ops.Attend(heads[0], heads[0], site.node.attributes["mask"] == "causal")
    return Value(site.add(op, query.node, key.node, value.node), value.axes)
