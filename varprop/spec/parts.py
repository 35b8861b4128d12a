"""Parts of networks: what they are built of, from one op to a residual block, an attention or a gate.

A part is frozen data. `varprop.ops` offers a builder for each under its plain name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from varprop._validation import InputError, check_integer, check_real, described
from varprop.activations import Activation
from varprop.spec.graph import Builder, Part
from varprop.spec.labels import check_label
from varprop.spec.ops import Activate, Add, Attend, Concatenate, Dense, Multiply, Op
from varprop.spec.widths import DEEPEST


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


def build_all(graph: Builder, parts: Sequence[Part], source: int, prefix: str) -> int:
    """Build parts one after the other; parts of one title are numbered, from 1."""
    titles = [part.title for part in parts]
    counts, seen = Counter(titles), Counter[str]()
    for part, title in zip(parts, titles, strict=True):
        seen[title] += 1
        own = f"{title}{seen[title]}" if counts[title] > 1 else title
        source = part.build(graph, source, f"{prefix}.{own}" if prefix else own)
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
        Keyword arguments of the four dense maps: ``weights``, ``biases``, ``gain``.
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
    """Several parts read the same value; their features are put one below the other."""

    branches: tuple[Part, ...]

    @property
    def title(self) -> str:
        """Always "concatenate"."""
        return "concatenate"

    def build(self, graph: Builder, source: int, name: str) -> int:
        """Add all branches and what joins them."""
        ends = [
            branch.build(graph, source, f"{name}.{branch.title}{i}")
            for i, branch in enumerate(self.branches, start=1)
        ]
        return graph.add(Concatenate(), ends, f"{name}.joined")

    def content(self) -> dict[str, Any]:
        """Return the branches as plain data."""
        return {"op": "concatenate", "branches": [branch.content() for branch in self.branches]}


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


def as_part(given: Any, field: str = "part") -> Part:
    """Return what was given as a part: a part, an op, an activation (or its name), or a list of such things.

    Raises
    ------
    InputError
        If it is none of these.
    """
    if isinstance(given, Op):
        return Single(given)
    if isinstance(given, str | Activation):
        return Single(Activate(given))
    if isinstance(given, list | tuple):
        return sequence(*given)
    if isinstance(given, Part) and not isinstance(given, type):
        return given
    if callable(given):
        return Single(Activate(given))
    raise InputError(field, described(type(given).__name__), "a part of a network, an op or an activation")


def sequence(*parts: Any, name: str = "") -> Sequence_:
    """Return parts one after the other.

    Examples
    --------
    >>> from varprop.spec.ops import Dense
    >>> sequence(Dense(8, "he_normal"), "relu").title
    'sequence'
    """
    if not 1 <= len(parts) <= DEEPEST:
        raise InputError("sequence", described(f"{len(parts)} parts"), f"1 to {DEEPEST} parts")
    listed = tuple(as_part(part, f"sequence[{i}]") for i, part in enumerate(parts))
    return Sequence_(listed, check_label("name", name, empty=True))


def residual(branch: Any, scale: float = 1.0, shortcut: Any = None, name: str = "") -> Residual:
    """Return ``shortcut(x) + scale · branch(x)``.

    Parameters
    ----------
    branch : part, op, activation or list of such
    scale : float
        Factor on the branch.
    shortcut : part, optional
        The identity if not given.
    name : str
        What its nodes are called.
    """
    short = None if shortcut is None else as_part(shortcut, "shortcut")
    factor = check_real("scale", scale, minimum=-1e6, maximum=1e6)
    return Residual(as_part(branch, "branch"), factor, short, check_label("name", name, empty=True))


def gate(
    width: int,
    activation: str | Activation | Callable[[Any], Any] = "silu",
    weights: Any = "glorot_normal",
    biases: Any = None,
    gain: float = 1.0,
) -> Gate:
    """Return ``activation(G x) · (V x)`` with `width` features: ``silu`` makes SwiGLU, ``sigmoid`` GLU, ``gelu`` GEGLU.

    Examples
    --------
    >>> gate(256, "silu", "lecun_normal").activation.name
    'silu'
    """

    def make() -> Part:
        return Single(Dense(width, weights, biases, gain))

    return Gate(make(), make(), Activate(activation).activation)


def attention(
    heads: int,
    kv_heads: int | None = None,
    causal: bool = False,
    rotary: bool = False,
    width: int = 0,
    weights: Any = "glorot_normal",
    biases: Any = None,
    gain: float = 1.0,
    **maps: Mapping[str, Any],
) -> Attention:
    """Return multi-head self-attention.

    Parameters
    ----------
    heads, kv_heads : int
        Query heads, and key/value heads (as many, if not given).
    causal, rotary : bool
        See `varprop.spec.ops.Attend`.
    width : int
        Features of all query heads; those of the input, if 0.
    weights, biases, gain
        Of all four maps.
    query, key, value, output : mapping, optional
        What differs for one of the maps: ``output={"gain": 0.2}``.

    Examples
    --------
    >>> attention(4, causal=True).attend.causal
    True
    """
    heads = check_integer("heads", heads, minimum=1, maximum=10**6)
    pairs = heads if kv_heads is None else check_integer("kv_heads", kv_heads, minimum=1, maximum=heads)
    if heads % pairs:
        raise InputError("kv_heads", pairs, f"a divisor of {heads} heads")
    laws: dict[str, tuple[tuple[str, Any], ...]] = {}
    for own in ("query", "key", "value", "output"):
        given = {"weights": weights, "biases": biases, "gain": gain, **maps.pop(own, {})}
        try:
            made = Dense(1, **given)
        except TypeError:
            raise InputError(own, described(str(sorted(given))), "weights, biases and gain") from None
        laws[own] = (("weights", made.weights), ("biases", made.biases), ("gain", made.gain))
    if maps:
        raise InputError(next(iter(maps)), described("unknown key"), "query, key, value or output")
    check_integer("width", width, minimum=0, maximum=10**8)
    return Attention(Attend(heads, pairs, bool(causal), bool(rotary)), width, **laws)


def concatenate(*branches: Any) -> Branches:
    """Return parts that read the same value, their features put one below the other.

    ``"identity"`` stands for the value itself.
    """
    if len(branches) < 2:
        raise InputError("concatenate", described(f"{len(branches)} branches"), "at least two")
    made = tuple(
        Identity() if given == "identity" else as_part(given, f"branches[{i}]")
        for i, given in enumerate(branches)
    )
    return Branches(made)
