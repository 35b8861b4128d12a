"""A network as it ran: nodes in order of execution, without any framework in it.

An adapter writes a `Graph` while a real model runs; rules and verdicts read it. A node's `op` is one of `OPS`,
whatever the framework calls the thing; what a rule needs to know beyond that stands in `attributes`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

INPUT = 0
"""Index that stands for the model's own input among the sources of a node."""
UNSEEN = -1
"""Source index of a value that came from code the adapter could not see."""

OPS = (
    "linear",
    "convolution",
    "transposed_convolution",
    "embedding",
    "activation",
    "batch_norm",
    "layer_norm",
    "rms_norm",
    "group_norm",
    "add",
    "shift",
    "scale",
    "dropout",
    "reshape",
    "slice",
    "concatenate",
    "average_pool",
    "max_pool",
    "attention",
    "softmax",
    "recurrent",
    "opaque",
)

WEIGHTED = frozenset(("linear", "convolution", "transposed_convolution", "attention", "recurrent"))
"""Ops that multiply by a weight matrix."""
PASSING = frozenset(
    (
        "batch_norm",
        "layer_norm",
        "rms_norm",
        "group_norm",
        "dropout",
        "reshape",
        "scale",
        "max_pool",
        "average_pool",
    )
)
"""Ops through which a weight's scale still meets the activation after them."""


@dataclass(frozen=True)
class Node:
    """One thing that ran: a leaf module's call, or a function's.

    Attributes
    ----------
    index : int
        Place in the order of execution, from 1; the column ``layer`` of an audit.
    module : str
        Path of the module (for a function: of the module that called it), ``"(model)"`` for the whole.
    kind : str
        What the framework calls it: ``"Conv2d"``, ``"relu"``.
    op : str
        One of `OPS`.
    call : int
        Which call of this module it is, from 1.
    sources : tuple of int
        Indices of the nodes whose outputs it reads; `INPUT` and `UNSEEN` are special.
    shape : tuple of int
        Of its (first) output, examples first unless the model has them elsewhere.
    attributes : mapping
        What rules need: ``activation`` (a spelling), ``p``, ``eps``, ``groups``, ``stride``, ``factor``, …
    parameters : tuple of str
        Names of the module's own parameters.
    """

    index: int
    module: str
    kind: str
    op: str
    call: int
    sources: tuple[int, ...]
    shape: tuple[int, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict, hash=False)
    parameters: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The node in words, for messages: ``layers.3 (Conv2d), call 2``."""
        again = f", call {self.call}" if self.call > 1 else ""
        return f"{self.module} ({self.kind}){again}"


@dataclass(frozen=True)
class Graph:
    """Nodes in order of execution, and which of them is the model's (first) output.

    Examples
    --------
    >>> graph = Graph(
    ...     (
    ...         Node(1, "f", "Linear", "linear", 1, (0,), (8, 4)),
    ...         Node(2, "(model)", "add", "add", 1, (0, 1), (8, 4)),
    ...     ),
    ...     output=2,
    ... )
    >>> sorted(graph.trunk), graph.consumers[1]
    ([2], (2,))
    """

    nodes: tuple[Node, ...]
    output: int | None = None

    def __getitem__(self, index: int) -> Node:
        return self.nodes[index - 1]

    @cached_property
    def consumers(self) -> Mapping[int, tuple[int, ...]]:
        """From each index to the nodes that read it (one entry per reading)."""
        readers: dict[int, list[int]] = {node.index: [] for node in self.nodes}
        for node in self.nodes:
            for source in node.sources:
                readers.setdefault(source, []).append(node.index)
        return {source: tuple(listed) for source, listed in readers.items()}

    @cached_property
    def trunk(self) -> frozenset[int]:
        """Nodes that every path from the input to the output passes: the main road without its branches.

        In a chain that is every node; in a residual network the additions and what stands outside the blocks.
        They are the dominators of the output (computed in one sweep, the nodes being in topological order).
        """
        if self.output is None:
            return frozenset(node.index for node in self.nodes)
        dominators: dict[int, frozenset[int]] = {}
        for node in self.nodes:
            known = [dominators.get(source, frozenset()) for source in node.sources]
            above = frozenset.intersection(*known) if known else frozenset()
            dominators[node.index] = above | {node.index}
        return dominators[self.output]

    def activation_after(self, index: int) -> str:
        """Return the spelling of the activation that the output of a node goes into, ``""`` if it goes elsewhere."""
        found = self.follow(index, PASSING)
        return str(found.attributes.get("activation", "")) if found is not None else ""

    def weighted_depth(self, index: int) -> int:
        """Return how many nodes with weights lie on the way to a node, itself included, along the longest way."""
        return self._depths[index]

    @cached_property
    def _depths(self) -> Mapping[int, int]:
        depths: dict[int, int] = {}
        for node in self.nodes:
            above = max((depths.get(source, 0) for source in node.sources), default=0)
            depths[node.index] = above + (node.op in WEIGHTED)
        return depths

    def ancestors(self, index: int) -> frozenset[int]:
        """Return every node from whose output the output of node `index` was computed, `INPUT` included."""
        found: set[int] = set()
        waiting = list(self[index].sources) if index > INPUT else []
        while waiting:
            source = waiting.pop()
            if source not in found:
                found.add(source)
                waiting.extend(self[source].sources if source > INPUT else ())
        return frozenset(found)

    def follow(self, index: int, through: Iterable[str]) -> Node | None:
        """Return the first node after `index` whose op is not one of `through`, if the way there does not fork."""
        passing = frozenset(through)
        while True:
            readers = self.consumers.get(index, ())
            if len(readers) != 1:
                return None
            node = self[readers[0]]
            if node.op not in passing:
                return node
            index = node.index
