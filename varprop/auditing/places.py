"""A traced node about to be translated, and the network that grows while traced nodes are translated one by one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from varprop._validation import InputError
from varprop.adapters.recording import Recording
from varprop.analytic.propagation.restart import Restart
from varprop.auditing.axes import EXAMPLES, FEATURES, POSITION, Axes, Factor, holds, holds_rest, plain
from varprop.auditing.found_laws import law_of
from varprop.spec import ops
from varprop.spec.graph import Builder
from varprop.spec.traced import INPUT, Node


@dataclass(frozen=True)
class Value:
    """A traced value: the node of the network that makes it, and how its tensor is laid out."""

    node: int
    axes: Axes


@dataclass
class Body:
    """The part that builds a translated graph.

    Attributes
    ----------
    recording : Recording
    size : int
        How many nodes it has, about.
    source : Value
        The input.
    rules : mapping
        From what a traced node does to its `Rule`.
    title : str
    values, restarts, maps : dict
        See `Translated`.
    tables : dict
        Embeddings that read no input, by index.
    readers : dict
        How often every output of every traced node is read on the way to the model's.
    splits : dict
        From a node that cuts the features of a map in parts to these parts, maps of their own.
    """

    recording: Recording
    size: int
    source: Value
    rules: Mapping[str, Rule]
    title: str = "model"
    values: dict[int, Value] = field(default_factory=dict)
    restarts: dict[int, int] = field(default_factory=dict)
    maps: dict[tuple[int, str], list[int]] = field(default_factory=dict)
    tables: dict[int, Node] = field(default_factory=dict)
    readers: dict[tuple[int, int], int] = field(default_factory=dict)
    splits: dict[int, list[Value]] = field(default_factory=dict)

    def build(self, graph: Builder, source: int, name: str) -> int:
        """Add all nodes of the way to the output."""
        traced = self.recording.graph
        assert traced.output is not None
        way = traced.ancestors(traced.output) | {traced.output}
        for node in traced.nodes:
            for read in reads(node) if node.index in way else ():
                self.readers[read] = self.readers.get(read, 0) + 1
        self.values[INPUT] = self.source
        for node in traced.nodes:
            if node.index in way:
                self._add(graph, node)
        return self.values[traced.output].node

    def part(self, index: int, number: int) -> Value:
        """Return one of the outputs of a traced node."""
        if number and index not in self.splits:
            raise InputError("sources", number, "the first output of a node")
        return self.splits[index][number] if index in self.splits else self.values[index]

    def content(self) -> dict[str, Any]:
        """Return nothing that a digest could be made of: this network is never stored."""
        return {"traced": self.title}

    def _add(self, graph: Builder, node: Node) -> None:
        before = len(graph.nodes)
        found = None
        rule = self.rules.get(_kind_of(node))
        if rule is not None and all(i in self.values or i in self.tables for i in node.sources):
            try:
                found = rule(Site(self, graph, node))
            except InputError:
                found = None
        if node.index in self.tables:
            return
        if found is not None and math.prod(node.shape) != _numbers(found, graph):
            found = None
        if found is None:
            del graph.nodes[before:]
            self.maps = {key: listed for key, listed in self.maps.items() if key[0] != node.index}
            found = self._restart(graph, node)
        self.values[node.index] = found

    def _restart(self, graph: Builder, node: Node) -> Value:
        shape, axes = arrangement(node.shape, "channel_axis" in node.attributes, self.recording.examples)
        known = [self.values[i].node for i in node.sources if i in self.values]
        known = [i for i in dict.fromkeys(known) if not graph.shape(i).vocabulary]
        index = graph.add(Restart(shape), known, node.title)
        self.restarts[node.index] = index
        return Value(index, axes)


def _numbers(value: Value, graph: Builder) -> int:
    return math.prod(factor.size for axis in value.axes for factor in axis)


def _kind_of(node: Node) -> str:
    """Return under which name the rule of a node stands."""
    at = node.attributes
    if "pool" in at:
        return str(at["pool"])
    if at.get("mean_over") is not None:
        return "mean"
    if at.get("product") and node.op == "opaque":
        return "multiply"
    return node.op


@dataclass
class Site:
    """A traced node about to be translated.

    Attributes
    ----------
    body : Body
    graph : Builder
    node : Node
    """

    body: Body
    graph: Builder
    node: Node

    @property
    def inputs(self) -> list[Value]:
        """What the node reads."""
        return [self.body.part(*read) for read in reads(self.node)]

    @property
    def one(self) -> Value:
        """The only input."""
        if len(self.node.sources) != 1 or self.node.sources[0] not in self.body.values:
            raise InputError("sources", len(self.node.sources), "one")
        return self.inputs[0]

    def add(self, op: ops.Op, *sources: int, name: str = "") -> int:
        """Add an op, and return its index."""
        return self.graph.add(op, sources, name or self.node.title)

    def shape(self, value: Value) -> ops.Shape:
        """Return the shape of one example of a value."""
        return self.graph.shape(value.node)

    def law(self, own: str, fans: tuple[int, int]) -> Any:
        """Return the law of a parameter: see `law_of`."""
        return law_of(self.body.recording, self.node, own, fans)

    def passed(self, value: Value, axes: Axes | None) -> Value | None:
        """Return the same numbers under other axes, as a node of its own if others read the input too."""
        if axes is None:
            return None
        if self.body.readers[reads(self.node)[0]] == 1 or self.shape(value).vocabulary:
            return Value(value.node, axes)
        return Value(self.add(ops.Add((1.0,)), value.node), axes)


def reads(node: Node) -> list[tuple[int, int]]:
    """Return what a node reads: nodes, and which of their outputs."""
    parts = node.attributes.get("parts", (0,) * len(node.sources))
    return list(zip(node.sources, parts, strict=True))


def arrangement(shape: tuple[int, ...], channels: bool, examples: int) -> tuple[ops.Shape, Axes]:
    """Return shape and axes of a tensor of which only its shape is known: features last, of images second."""
    if len(shape) < 2 or shape[0] != examples:
        rest = math.prod(shape) // examples
        return ops.Shape(rest), ((Factor(EXAMPLES, (0,), examples), Factor(FEATURES, (0,), rest)),)
    images = len(shape) > 3 or (channels and len(shape) > 2)
    features = shape[1] if images else shape[-1]
    positions = shape[2:] if images else shape[1:-1]
    return ops.Shape(features, positions), plain(examples, features, positions, images)


Rule = Callable[[Site], Value | None]
"""Adds to the graph what a node does; None, or an `InputError`, where that cannot be said by ops."""


def features_last(site: Site, value: Value) -> Value:
    """Return a value whose last axis is its features: flattened, or turned, where it is not."""
    axes = value.axes
    if holds(axes[-1], FEATURES, axes):
        return value
    examples = axes[0]
    if len(axes) == 2 and holds(examples, EXAMPLES, axes) and holds_rest(axes[-1], axes):
        index = site.add(ops.Flatten(), value.node)
        size = site.graph.shape(index).features
        return Value(index, (examples, (Factor(FEATURES, (0,), size),)))
    if holds(axes[-1], POSITION, axes):
        index = site.add(ops.Transpose(), value.node)
        turned = {POSITION: FEATURES, FEATURES: POSITION, EXAMPLES: EXAMPLES}
        every = tuple(tuple(Factor(turned[f.kind], f.place, f.size) for f in axis) for axis in axes)
        if sum(f.kind == POSITION for axis in every for f in axis) == 1:
            return Value(index, every)
    raise InputError("axes", "others", "features on the last axis")


def behind(value: Value, index: int, width: int) -> Value:
    """Return a value that has other features on the last axis."""
    return Value(index, (*value.axes[:-1], (Factor(FEATURES, (0,), width),)))
