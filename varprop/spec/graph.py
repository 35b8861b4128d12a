"""A network's graph: ops in topological order, and the sites about which tables have rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

from varprop._validation import InputError, described
from varprop.activations import Activation, activation
from varprop.spec.ops import (
    Activate,
    Attend,
    Convolution,
    Dropout,
    Embedding,
    Flatten,
    Op,
    Select,
    Shape,
    Source,
    Unembedding,
    Weighted,
)
from varprop.spec.widths import WIDEST

MOST_NODES = 400_000

_SILENT = (Source, Activate, Dropout, Flatten, Select)
"""Ops without rows of their own: what they make is described at the node before or after them."""

_LINEAR = activation("linear")


@dataclass(frozen=True)
class Node:
    """One op at its place.

    Attributes
    ----------
    index : int
        Place in topological order; 0 is the input.
    name : str
        Path in the network, ``"block3.attention.query"``.
    op : Op
    sources : tuple of int
        Indices of the nodes whose outputs it reads.
    shape : Shape
        Of its output, for one example.
    table : int
        For an op that uses another node's weights: that node's index, else its own.
    """

    index: int
    name: str
    op: Op
    sources: tuple[int, ...]
    shape: Shape
    table: int


@dataclass(frozen=True)
class Site:
    """A place about which tables have rows: a node, and the activation that directly follows it.

    Attributes
    ----------
    number : int
        The column ``layer``, from 1.
    node : int
        Index of the node whose output is z.
    activated : int
        Index of the activation's node, whose output is phi(z); `node` if none follows.
    activation : Activation
        phi, linear if none follows.
    """

    number: int
    node: int
    activated: int
    activation: Activation


@runtime_checkable
class Part(Protocol):
    """Anything that can be built into a graph: an op, a dense layer, a residual block."""

    @property
    def title(self) -> str:
        """What nodes made of it are called."""

    def build(self, graph: Builder, source: int, name: str) -> int:
        """Add nodes that read the node `source`; return the index of the last."""

    def content(self) -> dict[str, Any]:
        """Return the part as plain data, for digests."""


@dataclass
class Builder:
    """A graph in the making.

    Parameters
    ----------
    source : Shape
        Of the input.
    """

    source: Shape
    nodes: list[Node] = field(default_factory=list)

    def __post_init__(self) -> None:
        op = Source(self.source)
        self.nodes.append(Node(0, "input", op, (), self.source, 0))

    def add(self, op: Op, sources: Sequence[int], name: str) -> int:
        """Add a node and return its index.

        Raises
        ------
        InputError
            If its inputs do not fit; the field begins with the node's name.
        """
        index, table = len(self.nodes), len(self.nodes)
        if index > MOST_NODES:
            raise InputError("body", described(f"more than {MOST_NODES} operations"), "fewer of them")
        shapes = [self.nodes[i].shape for i in sources]
        if op.arity and len(shapes) != op.arity:
            raise InputError(name, described(f"{len(shapes)} inputs"), f"{op.arity} inputs of {op.kind}")
        try:
            if not isinstance(op, Embedding) and any(before.vocabulary for before in shapes):
                raise op.refuse("tokens", "numbers (embed the tokens first)")
            shape = op.shape(*shapes)
            if max(shape.features, shape.count) > WIDEST:
                raise op.refuse(shape.text, f"an output of at most {WIDEST} features and positions")
        except InputError as error:
            raise error.under(name) from None
        if isinstance(op, Unembedding):
            table = self._table_for(op, shapes[0], name)
        self.nodes.append(Node(index, name, op, tuple(sources), shape, table))
        return index

    def shape(self, index: int) -> Shape:
        """Return the shape of a node's output."""
        return self.nodes[index].shape

    def _table_for(self, op: Unembedding, before: Shape, name: str) -> int:
        tables = [node for node in self.nodes if isinstance(node.op, Embedding)]
        if len(tables) != 1:
            raise InputError(name, described(f"{len(tables)} embeddings"), "exactly one to be tied to")
        (node,) = tables
        vocabulary = self.nodes[node.sources[0]].shape.vocabulary
        if (vocabulary, node.shape.features) != (op.vocabulary, before.features):
            found = described(f"{before.features} features, {op.vocabulary} tokens")
            raise InputError(name, found, f"{node.shape.features} and {vocabulary}, as the embedding has")
        return node.index


@dataclass(frozen=True)
class Graph:
    """Nodes in topological order; the last is the output.

    Examples
    --------
    >>> from varprop.spec.ops import Dense
    >>> builder = Builder(Shape(4))
    >>> last = builder.add(Activate("relu"), [builder.add(Dense(8, "he_normal"), [0], "first")], "relu")
    >>> graph = Graph(tuple(builder.nodes))
    >>> [(site.number, graph.nodes[site.node].name, site.activation.name) for site in graph.sites]
    [(1, 'first', 'relu')]
    """

    nodes: tuple[Node, ...]

    @property
    def output(self) -> Node:
        """The last node."""
        return self.nodes[-1]

    def inputs(self, node: Node) -> list[Shape]:
        """Return the shapes of what a node reads."""
        return [self.nodes[i].shape for i in node.sources]

    @cached_property
    def consumers(self) -> tuple[tuple[int, ...], ...]:
        """For each node, the nodes that read it (one entry a reading)."""
        found: list[list[int]] = [[] for _ in self.nodes]
        for node in self.nodes:
            for source in node.sources:
                found[source].append(node.index)
        return tuple(tuple(listed) for listed in found)

    @cached_property
    def sites(self) -> tuple[Site, ...]:
        """The places about which tables have rows, in topological order."""
        found: list[Site] = []
        for node in self.nodes:
            alone = isinstance(node.op, Activate) and isinstance(self.nodes[node.sources[0]].op, _SILENT)
            if isinstance(node.op, _SILENT) and not alone:
                continue
            after = self._activation_after(node) if not alone else None
            phi = after.op.activation if after is not None and isinstance(after.op, Activate) else _LINEAR
            activated = node.index if after is None else after.index
            found.append(Site(len(found) + 1, node.index, activated, phi))
        return tuple(found)

    def _activation_after(self, node: Node) -> Node | None:
        readers = [self.nodes[i] for i in self.consumers[node.index]]
        return next((reader for reader in readers if isinstance(reader.op, Activate)), None)

    @cached_property
    def site_of(self) -> dict[int, Site]:
        """From a node's index to its site, for nodes that have one (as z or as phi(z))."""
        return {index: site for site in self.sites for index in (site.activated, site.node)}

    @cached_property
    def dominators(self) -> frozenset[int]:
        """Nodes that every path from the input to the output passes: the trunk."""
        above: list[frozenset[int]] = []
        for node in self.nodes:
            known = [above[source] for source in node.sources]
            above.append((frozenset.intersection(*known) if known else frozenset()) | {node.index})
        return above[-1]

    @cached_property
    def weighted_depth(self) -> int:
        """Number of nodes with weights on the longest way from input to output."""
        depths: list[int] = []
        for node in self.nodes:
            here = isinstance(node.op, Weighted | Unembedding)
            depths.append(max((depths[source] for source in node.sources), default=0) + here)
        return depths[-1]

    def parameters(self, node: Node) -> int:
        """Return how many trainable numbers a node has of its own."""
        return node.op.parameters(*self.inputs(node))

    def window(self, node: Node) -> int:
        """Return how many positions one output number of a node adds up: 1 but for convolutions."""
        op = node.op
        if not isinstance(op, Convolution):
            return 1
        (before,) = self.inputs(node)
        return op.fans(before)[0] // (before.features // op.groups)

    @cached_property
    def attends(self) -> bool:
        """Whether any node is an attention."""
        return any(isinstance(node.op, Attend) for node in self.nodes)
