"""Studies to TOML: the text that `read_study` turns into an equal study."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from varprop._code_names import named
from varprop._files import write_atomic
from varprop._validation import InputError, described
from varprop.activations import Activation, activation
from varprop.initializers import Initializer, initializer
from varprop.spec.heads import Head
from varprop.spec.inputs import Input
from varprop.spec.layers import Layer
from varprop.spec.networks import Network
from varprop.spec.plain_parts import plain_parts
from varprop.spec.studies import Study
from varprop.spec.widths import spell_widths

MOST_NUMBERS = 2_000_000
"""Largest array that is written into a study file number by number."""


def write_study(study: Study, path: str | os.PathLike[str] | None = None) -> str:
    """Return `study` as TOML, and write it to `path` if there is one.

    Made inputs are written as their recipe and data files as their path with a SHA-256 of what was read, so
    that a changed file is noticed; arrays are written out. Paths of data files are relative to `path`, and
    absolute without. A grid has become its networks. A function or law of your own is written as
    ``module:name``.

    Raises
    ------
    InputError
        An activation or initializer of your own that its name does not bring back (a lambda, a local function, one
        from a notebook, one with settings beside the function); an array of more than 2,000,000 numbers (save it
        as ``.npy`` and use `data`); a `path` that cannot be written.

    Examples
    --------
    >>> from varprop.spec import mlp, parse_study
    >>> study = Study("one", [mlp([30, 10], weights="he_normal")])
    >>> parse_study(write_study(study)) == study
    True
    """
    folder = None if path is None else Path(path).absolute().parent
    lines = [
        f"{key} = {_value(getattr(study, key))}"
        for key in ("name", "title", "draws", "seed", "alpha", "margin", "saturation_share")
    ]
    first = study.networks[0].input
    shared = all(network.input == first for network in study.networks)
    if shared:
        lines += ["", "[input]", *_lines(_input(first, folder))]
    for network in study.networks:
        lines += ["", "[[network]]", *_network(network, None if shared else _input(network.input, folder))]
    text = "\n".join(lines) + "\n"
    if path is not None:
        write_atomic(path, text)
    return text


def _network(network: Network, own_input: dict[str, Any] | None) -> list[str]:
    keys: dict[str, Any] = {"name": network.name} if network.name else {}
    if own_input is not None:
        keys["input"] = own_input
    keys["head"] = _head(network.head)
    if not network.is_chain:
        parts = plain_parts(network.body, "body", _name)
        return [*_lines(keys), "body = [", *(f"    {_value(part)}," for part in parts), "]"]
    layers = network.layers
    last = layers[-1]
    rest = layers[:-1] or layers
    if len({(_law(layer), layer.activation) for layer in rest}) == 1 and _law(rest[0]) == _law(last):
        keys |= {
            "widths": spell_widths(network.widths[1:]),
            "activation": _name(rest[0].activation, "activation"),
        }
        keys |= _law_keys(last)
        keys["output_activation"] = _name(last.activation, "output_activation")
        return _lines(keys)
    lines = _lines(keys)
    for layer in layers:
        lines += ["", "[[network.layer]]", f"width = {layer.width}"]
        lines += _lines({"activation": _name(layer.activation, "activation"), **_law_keys(layer)})
    return lines


def _law(layer: Layer) -> tuple[Any, ...]:
    return layer.weights, layer.biases, layer.gain


def _name(made: Activation | Initializer, field: str) -> str:
    """Return the name, if reading it gives the same again; nothing is imported for that."""
    if made.origin is None:
        return made.name
    module, _, attribute = made.name.partition(":")
    if attribute and module != "__main__" and named(module, attribute) is not None:
        read: Activation | Initializer
        with contextlib.suppress(InputError):
            read = activation(made.name) if isinstance(made, Activation) else initializer(made.name, field)
            if read == made:
                return made.name
    raise InputError(
        field, made.name, "what a study file can name: a function or law with a module-level name"
    )


def _law_keys(layer: Layer) -> dict[str, Any]:
    return {
        "weights": _name(layer.weights, "weights"),
        "biases": _name(layer.biases, "biases"),
        "gain": layer.gain,
    }


def _head(head: Head) -> Any:
    if head.targets is None:
        return head.kind
    return {"kind": head.kind, "targets": head.targets.tolist()}


def _input(data: Input, folder: Path | None) -> dict[str, Any]:
    keys: dict[str, Any] = {"kind": data.kind, **dict(data.recipe)}
    if data.kind != "data":
        if isinstance(keys.get("ids"), list):
            _check_written(data)
        return keys
    keys["name"] = data.name
    if "path" in keys:
        keys["path"] = _written_path(keys["path"], folder)
    else:
        _check_written(data)
        keys["rows"] = data.values.T.tolist()
        if data.labels is not None:
            keys["labels"] = data.labels.tolist()
        if data.positions:
            keys["positions"] = list(data.positions)
        if data.vocabulary:
            keys["vocabulary"] = data.vocabulary
    keys["sha256"] = data.digest()
    return keys


def _check_written(data: Input) -> None:
    if data.values.size > MOST_NUMBERS:
        found = described(f"an array of {data.values.size} numbers")
        allowed = f"at most {MOST_NUMBERS} in a study file (save the array as .npy and name that)"
        raise InputError("input", found, allowed)


def _written_path(path: str, folder: Path | None) -> str:
    place = Path(path).absolute()
    if folder is None:
        return place.as_posix()
    try:
        return Path(os.path.relpath(place, folder)).as_posix()
    except ValueError:  # another drive, on Windows
        return place.as_posix()


def _lines(keys: Mapping[str, Any]) -> list[str]:
    return [f"{key} = {_value(value)}" for key, value in keys.items()]


def _value(value: Any) -> str:
    """Return a TOML value. JSON's text, and Python's repr of numbers, are TOML too, but for one character."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    if isinstance(value, int | float | np.number):
        return repr(value)
    raise TypeError(f"no TOML for {type(value).__name__}")
