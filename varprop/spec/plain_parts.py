"""Parts of networks as plain data: what a study file says of them, from which `varprop.spec.parts` makes them again."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import singledispatch
from typing import Any

from varprop._registry import parse_spelling, spell
from varprop._validation import InputError, described
from varprop.activations import Activation
from varprop.initializers import Initializer
from varprop.spec.blocks import Attention, Branches, Gate, Identity, Residual, Sequence_, Single
from varprop.spec.graph import Part
from varprop.spec.layers import Layer
from varprop.spec.ops import Activate, Add, Dense, Op
from varprop.spec.parts import OF_PARTS, builders

Naming = Callable[[Any, str], str]
"""Returns the name of an activation or initializer, or refuses one that its name does not bring back."""

Plain = str | list[Any] | dict[str, Any]


def plain_parts(parts: Sequence[Part], field: str, naming: Naming) -> list[Plain]:
    """Return a list of parts; equal ones in a row become one table with ``times``.

    Raises
    ------
    InputError
        A part that no builder of `varprop.ops` makes, or an activation or law without a name.

    Examples
    --------
    >>> from varprop.spec.parts import as_parts
    >>> made = as_parts([{"dense": 8, "times": 3}, "relu", {"residual": ["layer_norm"], "scale": 0.5}], "body")
    >>> plain_parts(made, "body", lambda one, field: one.name)
    [{'dense': 8, 'times': 3}, 'relu', {'residual': ['layer_norm'], 'scale': 0.5}]
    """
    found: list[Plain] = []
    i = 0
    for part, run in itertools.groupby(parts):
        times = len(list(run))
        table = _table(part, f"{field}[{i}]", naming)
        if times > 1 and isinstance(table, dict):
            found.append({**table, "times": times})
        else:
            found += [_shortened(table)] * times
        i += times
    return found


def _plain(part: Part, field: str, naming: Naming) -> Plain:
    return _shortened(_table(part, field, naming))


def _shortened(table: Plain) -> Plain:
    """Return a table as a spelling where that says the same."""
    if not isinstance(table, dict):
        return table
    name, *_ = table
    if name == "activate":
        return str(table[name])
    if name in OF_PARTS:
        return table
    own = dict(table)
    first = own.pop(name)
    if first != {}:
        own = {next(iter(inspect.signature(builders[name]).parameters)): first, **own}
    if not all(isinstance(value, bool | int | float | str) for value in own.values()):
        return table
    if name in ("dense", "layer", "conv", "embedding") and len(own) == 1:
        return table  # {dense = 64}
    text = spell(name, own)
    try:
        return text if parse_spelling(text) == (name, own) else table
    except InputError:
        return table


@singledispatch
def _table(part: Any, field: str, naming: Naming) -> Plain:
    raise InputError(field, described(type(part).__name__), "a part that a study file can name")


@_table.register
def _(part: Single, field: str, naming: Naming) -> Plain:
    op = part.op
    if isinstance(op, Add) and len(op.scales) == 1:
        return {"scaled": op.scales[0]}
    if isinstance(op, Activate):
        return {"activate": naming(op.activation, field)}
    if op.kind not in builders or not isinstance(builders[op.kind](**_required(op)), type(op)):
        raise InputError(field, op.kind, "an op that a study file can name")
    return _builder_table(op.kind, op, field, naming)


@_table.register
def _(part: Layer, field: str, naming: Naming) -> Plain:
    return _builder_table("layer", part, field, naming)


def _required(made: Any, builder: str = "") -> dict[str, Any]:
    """Return the arguments that a builder needs, and the weights, on which default biases depend."""
    parameters = inspect.signature(builders[builder or made.kind]).parameters
    return {
        name: getattr(made, name)
        for name, parameter in parameters.items()
        if parameter.default is inspect.Parameter.empty or name == "weights"
    }


def _builder_table(name: str, made: Op | Layer, field: str, naming: Naming) -> dict[str, Any]:
    """Return the builder's name with its first argument, and what differs from the builder's defaults."""
    parameters = list(inspect.signature(builders[name]).parameters)
    usual = builders[name](**{k: v for k, v in _required(made, name).items() if k != "weights"})
    derived = builders[name](**_required(made, name))
    told: dict[str, Any] = {}
    for key in parameters:
        value = getattr(made, key)
        default = getattr(derived if key == "biases" else usual, key)
        if value != default or (key == parameters[0] and key in _required(made, name) and key != "weights"):
            told[key] = _value(value, f"{field}.{key}", naming)
    return {name: told.pop(parameters[0], {}) if parameters else {}, **told}


def _value(value: Any, field: str, naming: Naming) -> Any:
    if isinstance(value, Activation | Initializer):
        return naming(value, field)
    return list(value) if isinstance(value, tuple) else value


@_table.register
def _(part: Sequence_, field: str, naming: Naming) -> Plain:
    parts = plain_parts(part.parts, field, naming)
    return {"sequence": parts, "name": part.name} if part.name else parts


@_table.register
def _(part: Residual, field: str, naming: Naming) -> Plain:
    table: dict[str, Any] = {"residual": _plain(part.branch, f"{field}.residual", naming)}
    if part.scale != 1.0:
        table["scale"] = part.scale
    if part.shortcut is not None:
        table["shortcut"] = _plain(part.shortcut, f"{field}.shortcut", naming)
    return table | ({"name": part.name} if part.name else {})


@_table.register
def _(part: Gate, field: str, naming: Naming) -> Plain:
    maps = part.gate.op if isinstance(part.gate, Single) else None
    if part.gate != part.value or not isinstance(maps, Dense):
        raise InputError(field, "gate", "a gate with two dense maps of one law, for a study file")
    laws = _builder_table("dense", maps, field, naming)
    return {"gate": laws.pop("dense"), "activation": naming(part.activation, f"{field}.activation"), **laws}


@_table.register
def _(part: Attention, field: str, naming: Naming) -> Plain:
    attend = part.attend
    table: dict[str, Any] = {"attention": attend.heads}
    if attend.kv_heads != attend.heads:
        table["kv_heads"] = attend.kv_heads
    table |= {key: True for key in ("causal", "rotary") if getattr(attend, key)}
    if part.width:
        table["width"] = part.width
    common = dict(part.query)
    laws = _builder_table("dense", Dense(1, **common), field, naming)
    laws.pop("dense")
    table |= laws
    for key in ("key", "value", "output"):
        own: Mapping[str, Any] = dict(getattr(part, key))
        differs = [k for k in own if own[k] != common[k]]
        if "weights" in differs and "biases" not in differs:
            differs.append("biases")  # so that no default of these weights comes in
        if differs:
            table[key] = {k: _value(own[k], f"{field}.{key}.{k}", naming) for k in differs}
    return table


@_table.register
def _(part: Branches, field: str, naming: Naming) -> Plain:
    name = part.join.kind
    listed = [
        "identity" if isinstance(branch, Identity) else _plain(branch, f"{field}.{name}[{i}]", naming)
        for i, branch in enumerate(part.branches)
    ]
    return {name: listed}
