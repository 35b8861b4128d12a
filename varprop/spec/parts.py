"""Parts of networks: their one grammar, and the builders of those that are made of other parts.

A part is given as an op or block that a builder returned, as a spelling (``"relu"``, ``"dense(width=64)"``), as a table
(``{"residual": ["layer_norm", "attention(heads=4)"], "scale": 0.5}``: a builder's name with its first argument, and
that builder's other arguments), or as a list of parts. The same grammar serves in Python and in TOML.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from varprop._registry import Registry
from varprop._validation import InputError, check_integer, check_real, close_match, described
from varprop.activations import Activation, activation, registry
from varprop.spec.blocks import Attention, Branches, Gate, Identity, Residual, Sequence_, Single
from varprop.spec.graph import Part
from varprop.spec.labels import check_label
from varprop.spec.ops import Activate, Attend, Dense, Multiply, Op
from varprop.spec.widths import DEEPEST

builders: Registry[Any] = Registry("part")
"""What makes a part, by name; the first parameter may stand beside the name in a table."""

MOST_NESTED = 40
"""Lists and tables within each other."""

OF_PARTS = ("sequence", "residual", "concatenate", "multiply")
"""Builders whose first argument is made of parts."""


def as_part(given: Any, field: str = "part", level: int = 0) -> Part:
    """Return what was given as a part.

    Parameters
    ----------
    given : part, op, activation, str, mapping or sequence of such things
        See the module's docstring.
    field : str
        What complaints begin with.
    level : int
        How many lists and tables it lies in.

    Raises
    ------
    InputError
        If it is none of these; with the path of what is wrong: ``body[2].residual[1]``.

    Examples
    --------
    >>> as_part({"residual": ["layer_norm", "dense(width=8)"], "scale": 0.5}).scale
    0.5
    """
    if level > MOST_NESTED:
        raise InputError(field, described("parts within each other"), f"at most {MOST_NESTED} levels")
    if isinstance(given, Op):
        return Single(given)
    if isinstance(given, str):
        return _spelled(given, field)
    if isinstance(given, Mapping):
        one, times = _table(given, field, level)
        return one if times == 1 else Sequence_((one,) * times)
    if isinstance(given, list | tuple):
        return Sequence_(as_parts(given, field, level))
    if isinstance(given, Part) and not isinstance(given, type):
        return given
    if isinstance(given, Activation) or callable(given):
        return _activated(given, field)
    raise InputError(field, described(type(given).__name__), "a part of a network, an op or an activation")


def as_parts(given: Any, field: str, level: int = 0) -> tuple[Part, ...]:
    """Return a list of parts; what a table says ``times`` for stands so many times.

    Raises
    ------
    InputError
        As `as_part`; an empty list.
    """
    if not isinstance(given, list | tuple):
        raise InputError(field, described(type(given).__name__), "a list of layers or other parts")
    found: list[Part] = []
    for i, one in enumerate(given):
        if isinstance(one, Mapping) and level < MOST_NESTED:
            part, times = _table(one, f"{field}[{i}]", level + 1)
            found += [part] * times
        else:
            found.append(as_part(one, f"{field}[{i}]", level + 1))
        if len(found) > DEEPEST:
            break
    if not 1 <= len(found) <= DEEPEST:
        count = f"{len(found)} parts or more" if found else "nothing"
        raise InputError(field, described(count), f"1 to {DEEPEST} parts")
    return tuple(found)


def _spelled(text: str, field: str) -> Part:
    name = text.partition("(")[0].strip()
    if name in builders:
        return as_part(builders.make(text, field), field)
    if ":" not in text and name not in registry:
        raise InputError(field, text, close_match(name, [*builders, *registry]))
    return _activated(text, field)


def _activated(given: Any, field: str) -> Part:
    try:
        return Single(Activate(activation(given)))
    except InputError as error:
        where = f"{field}{error.field.removeprefix('activation')}"
        raise InputError(where, error.value, error.allowed) from None


def _table(given: Mapping[Any, Any], field: str, level: int) -> tuple[Part, int]:
    """Return the part that a table describes, and how many times it stands there."""
    names = [key for key in given if isinstance(key, str) and key in builders]
    if len(names) != 1:
        unknown = next((key for key in given if key not in builders), "")
        shown = unknown[:40] if isinstance(unknown, str) else ""
        if names or not shown:
            found = described(" and ".join(names) or "a table")
            raise InputError(field, found, "a table with the name of one part")
        raise InputError(f"{field}.{shown}", described("unknown key"), close_match(shown, builders))
    (name,) = names
    arguments = {key: value for key, value in given.items() if key not in (name, "times")}
    other = next((key for key in arguments if not isinstance(key, str)), None)
    if other is not None:
        raise InputError(field, other, "names as keys")
    times = check_integer(f"{field}.times", given.get("times", 1), minimum=1, maximum=DEEPEST)
    first = given[name]
    if name in OF_PARTS:
        if name != "residual" and not isinstance(first, list | tuple):
            raise InputError(f"{field}.{name}", described(type(first).__name__), "a list of parts")
        read = _branches if name in ("concatenate", "multiply") else as_part
        first = read(first, f"{field}.{name}", level + 1)
    if isinstance(first, Mapping):  # all arguments by name: {attention = {heads = 4}}
        arguments = {**first, **arguments}
    else:
        arguments = {next(iter(inspect.signature(builders[name]).parameters), name): first, **arguments}
    return as_part(builders.build(name, arguments, field), field), times


def sequence(*parts: Any, name: str = "") -> Sequence_:
    """Return parts one after the other.

    Parameters
    ----------
    *parts : part, op, activation, spelling, table or list of such
        The output of each is the input of the next.
    name : str
        What its nodes' names begin with in an outer sequence; several of one name are numbered.

    Examples
    --------
    >>> block = sequence("dense(width=8)", "relu", name="block")
    >>> from varprop.spec import Network, gaussian
    >>> [node.name for node in Network(gaussian(4), [block, block]).graph.nodes[1:]]
    ['block1.dense', 'block1.relu', 'block2.dense', 'block2.relu']
    """
    return Sequence_(as_parts(parts, "sequence"), check_label("name", name, empty=True))


@builders.register("sequence")
def _sequence(parts: Sequence_, name: str = "") -> Sequence_:
    return Sequence_(parts.parts, check_label("name", name, empty=True))


@builders.register("residual")
def residual(branch: Any, scale: float = 1.0, shortcut: Any = None, name: str = "") -> Residual:
    """Return ``shortcut(x) + scale · branch(x)``; both sides must have one shape.

    Parameters
    ----------
    branch : part, op, activation or list of such
        What is added to the stream.
    scale : float
        Factor on the branch.
    shortcut : part, optional
        The identity if not given.
    name : str
        What its nodes are called.

    Examples
    --------
    >>> residual(["layer_norm", "dense(width=16)"], scale=0.5, name="mixing").title
    'mixing'
    """
    short = None if shortcut is None else as_part(shortcut, "shortcut")
    factor = check_real("scale", scale, minimum=-1e6, maximum=1e6)
    return Residual(as_part(branch, "branch"), factor, short, check_label("name", name, empty=True))


@builders.register("gate")
def gate(
    width: int,
    activation: str | Activation | Callable[[Any], Any] = "silu",
    weights: Any = "glorot_normal",
    biases: Any = None,
    gain: float = 1.0,
    bias: bool = True,
) -> Gate:
    """Return ``activation(G x) · (V x)`` with `width` features (Dauphin et al. 2017; Shazeer 2020, eq. 5 and 6).

    Parameters
    ----------
    width : int
        Features of both maps; the shape ``n × positions`` becomes ``width × positions``.
    activation : str, Activation or callable
        ``silu`` makes SwiGLU, ``sigmoid`` GLU, ``gelu`` GEGLU.
    weights, biases, gain, bias
        Of both maps: see `varprop.ops.dense`.

    Examples
    --------
    >>> gate(256, "silu", "lecun_normal").activation.name
    'silu'
    """
    maps = Single(Dense(width, weights, biases, gain, bias))
    return Gate(maps, maps, Activate(activation).activation)


@builders.register("attention")
def attention(
    heads: int,
    kv_heads: int | None = None,
    causal: bool = False,
    rotary: bool = False,
    width: int = 0,
    weights: Any = "glorot_normal",
    biases: Any = None,
    gain: float = 1.0,
    bias: bool = True,
    query: Mapping[str, Any] | None = None,
    key: Mapping[str, Any] | None = None,
    value: Mapping[str, Any] | None = None,
    output: Mapping[str, Any] | None = None,
) -> Attention:
    """Return multi-head self-attention: four dense maps, softmax over positions; the shape stays.

    Parameters
    ----------
    heads, kv_heads : int
        Query heads, and key/value heads (as many, if not given).
    causal, rotary : bool
        See `varprop.spec.ops.Attend`.
    width : int
        Features of all query heads; those of the input, if 0.
    weights, biases, gain, bias
        Of all four maps: see `varprop.ops.dense`.
    query, key, value, output : mapping, optional
        What differs for one of the maps: ``output={"gain": 0.2}``.

    Examples
    --------
    >>> attention(4, causal=True, output={"gain": 0.2}).attend.causal
    True
    """
    heads = check_integer("heads", heads, minimum=1, maximum=10**6)
    pairs = heads if kv_heads is None else kv_heads
    attend = Attend(heads, pairs, causal, rotary)
    common = {"weights": weights, "biases": biases, "gain": gain, "bias": bias}
    laws = [
        _map_laws(name, common, own)
        for name, own in (("query", query), ("key", key), ("value", value), ("output", output))
    ]
    return Attention(attend, check_integer("width", width, minimum=0, maximum=10**8), *laws)


def _map_laws(name: str, common: Mapping[str, Any], own: Any) -> tuple[tuple[str, Any], ...]:
    if own is not None and not isinstance(own, Mapping):
        raise InputError(name, described(type(own).__name__), "a table of weights, biases, gain and bias")
    unknown = next((k for k in own or {} if k not in common), None)
    if unknown is not None:
        shown = unknown[:40] if isinstance(unknown, str) else ""
        raise InputError(f"{name}.{shown}", described("unknown key"), close_match(shown, common))
    made = Dense(1, **{**common, **(own or {})})
    return tuple((field, getattr(made, field)) for field in common)


def concatenate(*branches: Any) -> Branches:
    """Return parts that read the same value, their features put one below the other; positions must agree.

    Parameters
    ----------
    *branches : part, op, activation or list of such
        At least two; ``"identity"`` stands for the value itself.

    Examples
    --------
    >>> from varprop.spec import Network, gaussian
    >>> Network(gaussian(4), [concatenate("identity", "dense(width=8)")]).graph.output.shape.features
    12
    """
    return Branches(_branches(branches, "concatenate"))


def _branches(given: Sequence[Any], field: str, level: int = 0) -> tuple[Part, ...]:
    if not 2 <= len(given) <= DEEPEST:
        raise InputError(field, described(f"{len(given)} branches"), "at least two")
    return tuple(
        Identity() if isinstance(one, str) and one == "identity" else as_part(one, f"{field}[{i}]", level + 1)
        for i, one in enumerate(given)
    )


@builders.register("concatenate")
def _concatenate(branches: tuple[Part, ...]) -> Branches:
    return Branches(branches)


def multiply(first: Any, second: Any) -> Branches:
    """Return the product, entry by entry, of two parts that read the same value; their shapes must agree.

    Parameters
    ----------
    first, second : part, op, activation or list of such
        ``"identity"`` stands for the value itself: squeeze-and-excitation multiplies it by a gate.

    Examples
    --------
    >>> multiply("dense(width=8)", ["dense(width=8)", "sigmoid"]).title
    'multiply'
    """
    return Branches(_branches((first, second), "multiply"), Multiply())


@builders.register("multiply")
def _multiply(branches: tuple[Part, ...]) -> Branches:
    if len(branches) != 2:
        raise InputError("multiply", described(f"{len(branches)} branches"), "two")
    return Branches(branches, Multiply())
