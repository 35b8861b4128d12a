"""Blocks: what the parts of a network are as frozen data, from one op to a residual block, an attention or a gate.

`varprop.spec.parts` and `varprop.spec.builders` make them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from varprop._validation import InputError
from varprop.activations import Activation
from varprop.spec.graph import Builder, Part
from varprop.spec.ops import Activate, Add, Attend, Concatenate, Dense, Multiply, Op


@dataclass(frozen=True)
class Single:
    """One op as a part."""

    op: Op

    @property
    def title(self) -> str:
        """The op's kind, or the activation's name."""
        return self.op.activation.name if isinstance(self.op, Activate) else self.op.kind

    def build(self, graph: Builder, source: int, name: str) -> int:
        """Add the op's node."""
        return graph.add(self.op, [source], name)

    def content(self) -> dict[str, Any]:
        """Return the op as plain data."""
        return self.op.content()


@dataclass(frozen=True)
class Sequence_:
    """Parts one after the other.

    Attributes
    ----------
    parts : tuple of Part
    name : str
        What its nodes' names begin with in an outer sequence.
    """

    parts: tuple[Part, ...]
    name: str = ""

    @cached_property
    def size(self) -> int:
        """Number of nodes."""
        return sum(size_of(part) for part in self.parts)

    @property
    def title(self) -> str:
        """Its name."""
        return self.name or "sequence"

    def build(self, graph: Builder, source: int, name: str) -> int:
        """Add the nodes of all parts."""
        return build_all(graph, self.parts, source, name)

    def content(self) -> dict[str, Any]:
        """Return the parts as plain data; names do not matter."""
        return {"op": "sequence", "parts": [part.content() for part in self.parts]}


def size_of(part: Part) -> int:
    """Return how many nodes a part is built of, before they are made; a part of somebody else's counts as one."""
    return int(getattr(part, "size", 1))


def build_all(graph: Builder, parts: Sequence[Part], source: int, prefix: str) -> int:
    """Build parts one after the other; parts of one title are numbered, from 1.

    An attention within a residual block of that name is not named twice: ``block1.attention.query``.
    """
    titles = [part.title for part in parts]
    counts, seen = Counter(titles), Counter[str]()
    for part, title in zip(parts, titles, strict=True):
        seen[title] += 1
        own = f"{title}{seen[title]}" if counts[title] > 1 else title
        again = own == prefix.rpartition(".")[2] and not isinstance(part, Single)
        source = part.build(graph, source, prefix if again else f"{prefix}.{own}" if prefix else own)
    return source


@dataclass(frozen=True)
class Residual:
    """``shortcut(x) + scale · branch(x)``.

    Attributes
    ----------
    branch : Part
    scale : float
    shortcut : Part or None
        The identity if None.
    name : str
    """

    branch: Part
    scale: float = 1.0
    shortcut: Part | None = None
    name: str = ""

    @cached_property
    def size(self) -> int:
        """Number of nodes."""
        return 1 + size_of(self.branch) + (0 if self.shortcut is None else size_of(self.shortcut))

    @property
    def title(self) -> str:
        """Its name."""
        return self.name or "residual"

    def build(self, graph: Builder, source: int, name: str) -> int:
        """Add branch, shortcut and sum."""
        end = self.branch.build(graph, source, _joined(name, self.branch))
        other = source if self.shortcut is None else self.shortcut.build(graph, source, f"{name}.shortcut")
        return graph.add(Add((1.0, self.scale)), [other, end], f"{name}.stream")

    def content(self) -> dict[str, Any]:
        """Return branch, scale and shortcut as plain data."""
        short = None if self.shortcut is None else self.shortcut.content()
        return {"op": "residual", "branch": self.branch.content(), "scale": self.scale, "shortcut": short}


def _joined(name: str, part: Part) -> str:
    return name if isinstance(part, Sequence_) and not part.name else f"{name}.{part.title}"


@dataclass(frozen=True)
class Gate:
    """``activation(gate(x)) · value(x)``, entry by entry (Dauphin et al. 2017; Shazeer 2020).

    Attributes
    ----------
    gate, value : Part
    activation : Activation
    """

    gate: Part
    value: Part
    activation: Activation

    @cached_property
    def size(self) -> int:
        """Number of nodes."""
        return 2 + size_of(self.gate) + size_of(self.value)

    @property
    def title(self) -> str:
        """Always "gate"."""
        return "gate"

    def build(self, graph: Builder, source: int, name: str) -> int:
        """Add both maps, the activation and the product."""
        opened = graph.add(
            Activate(self.activation),
            [self.gate.build(graph, source, f"{name}.gate")],
            f"{name}.{self.activation.name}",
        )
        return graph.add(
            Multiply(), [opened, self.value.build(graph, source, f"{name}.value")], f"{name}.product"
        )

    def content(self) -> dict[str, Any]:
        """Return maps and activation as plain data."""
        phi = Activate(self.activation).content()
        return {"op": "gate", "gate": self.gate.content(), "value": self.value.content(), "phi": phi}


@dataclass(frozen=True)
class Attention:
    """Multi-head self-attention: queries, keys, values, softmax, output map.

    Attributes
    ----------
    attend : Attend
    width : int
        Features of all query heads together; 0 takes those of the input.
    query, key, value, output : mapping
        Keyword arguments of the four dense maps: ``weights``, ``biases``, ``gain``, ``bias``.
    """

    attend: Attend
    width: int
    query: tuple[tuple[str, Any], ...]
    key: tuple[tuple[str, Any], ...]
    value: tuple[tuple[str, Any], ...]
    output: tuple[tuple[str, Any], ...]

    @property
    def title(self) -> str:
        """Always "attention"."""
        return "attention"

    def build(self, graph: Builder, source: int, name: str) -> int:
        """Add four dense nodes and the attention itself."""
        features = graph.shape(source).features
        width = self.width or features
        if width % self.attend.heads:
            raise InputError(f"{name}.heads", self.attend.heads, f"a divisor of the width {width}")
        narrow = width // self.attend.heads * self.attend.kv_heads
        ends = [
            graph.add(Dense(size, **dict(laws)), [source], f"{name}.{own}")
            for own, size, laws in (
                ("query", width, self.query),
                ("key", narrow, self.key),
                ("value", narrow, self.value),
            )
        ]
        mixed = graph.add(self.attend, ends, f"{name}.attend")
        return graph.add(Dense(features, **dict(self.output)), [mixed], f"{name}.output")

    def content(self) -> dict[str, Any]:
        """Return heads, width and laws as plain data."""
        maps = {
            own: Dense(1, **dict(getattr(self, own))).content() for own in ("query", "key", "value", "output")
        }
        return {"op": "attention", "attend": self.attend.content(), "width": self.width, **maps}


@dataclass(frozen=True)
class Branches:
    """Several parts read the same value; an op joins what they make of it.

    Attributes
    ----------
    branches : tuple of Part
    join : Op
        `Concatenate`, or `Multiply` for two.
    """

    branches: tuple[Part, ...]
    join: Op = field(default_factory=Concatenate)

    @cached_property
    def size(self) -> int:
        """Number of nodes."""
        return 1 + sum(size_of(branch) for branch in self.branches)

    @property
    def title(self) -> str:
        """The kind of the op that joins."""
        return self.join.kind

    def build(self, graph: Builder, source: int, name: str) -> int:
        """Add all branches and what joins them."""
        ends = [
            branch.build(graph, source, f"{name}.{branch.title}{i}")
            for i, branch in enumerate(self.branches, start=1)
        ]
        return graph.add(self.join, ends, f"{name}.joined")

    def content(self) -> dict[str, Any]:
        """Return the branches as plain data."""
        return {"op": self.join.kind, "branches": [branch.content() for branch in self.branches]}


@dataclass(frozen=True)
class Identity:
    """The value itself: a branch or shortcut that does nothing."""

    @property
    def title(self) -> str:
        """Always "identity"."""
        return "identity"

    def build(self, graph: Builder, source: int, name: str) -> int:
        """Add nothing."""
        return source

    def content(self) -> dict[str, Any]:
        """Return plain data."""
        return {"op": "identity"}
