"""The short ways to say a network: `mlp` in Python, ``half_on:1000`` on the command line."""

from __future__ import annotations

import inspect
import itertools
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from varprop._registry import parse_spelling
from varprop._validation import InputError, close_match
from varprop.activations import Activation
from varprop.spec.heads import Head
from varprop.spec.inputs import Input
from varprop.spec.layers import Layer
from varprop.spec.networks import Network
from varprop.spec.sources import data, half_on, kinds
from varprop.spec.widths import Widths, parse_widths


def mlp(
    widths: Widths,
    activation: str | Activation | Callable[[Any], Any] = "tanh",
    weights: Any = "glorot_normal",
    biases: Any = None,
    input: Input | str | None = None,
    *,
    output_activation: str | Activation | Callable[[Any], Any] = "linear",
    head: Head | str = "unit",
    targets: Any = None,
    gain: float = 1.0,
    name: str = "",
) -> Network:
    """Return a dense network with one activation and one initializer.

    Parameters
    ----------
    widths : str, int or sequence of int
        Widths of the weight layers in order, the input not counted: ``"500x10,10"``, ``[30, 10]``, ``1``.
    activation : str, Activation or callable
        Of all layers but the last.
    weights, biases : str, Initializer or a law of your own
        Of all layers: whatever `varprop.initializer` takes. Without `biases`: zeros, or the bias law that belongs
        to the weights (``torch.linear_default``).
    input : Input or str, optional
        By default `half_on` of the first layer's width, which makes that layer square; of 1000 for a network
        of one layer. Text is read by `parse_input`.
    output_activation : str, Activation or callable
        Of the last layer.
    head, targets
        See `Head`.
    gain : float
        Factor on every weight of every layer.
    name : str
        The case's name; made of initializer and activation if empty.

    Examples
    --------
    >>> mlp("500x10,10", activation="relu", weights="he_normal").widths[:3]
    (500, 500, 500)
    >>> mlp(1, weights="standard_normal", biases="standard_normal").widths
    (1000, 1)
    """
    sizes = parse_widths(widths)
    if input is None:
        input = default_input(sizes)
    elif isinstance(input, str):
        input = parse_input(input)
    # Equal layers are one object: a deep grid has a million of them. A single layer has no hidden ones, but a
    # name that is none is not passed over in silence.
    hidden = {n: Layer(n, activation, weights, biases, gain) for n in dict.fromkeys(sizes[:-1] or sizes)}
    try:
        last = Layer(sizes[-1], output_activation, weights, biases, gain)
    except InputError as error:
        output = "output_" if error.field.startswith("activation") else ""
        raise InputError(output + error.field, error.value, error.allowed) from None
    layers = (*(hidden[n] for n in sizes[:-1]), last)
    return Network(input, layers, as_head(head, targets), name)


_SHORT = r"\s*([A-Za-z]\w*)\s*:\s*(\d{1,12}(?:\s*[x×]\s*\d{1,12}){0,3})\s*"


def _size_keys(kind: str) -> list[str]:
    """Return the sizes that may follow a made input's name: its first parameters that are whole numbers."""
    parameters = inspect.signature(kinds[kind]).parameters.values()
    whole = itertools.takewhile(lambda p: p.annotation == "int" and p.name != "seed", parameters)
    return [parameter.name for parameter in whole]


def as_head(head: Head | str, targets: Any = None) -> Head:
    """Return a head that was given as one, or by its kind and its targets.

    Raises
    ------
    InputError
        If targets stand beside a Head, or do not fit the kind.
    """
    if not isinstance(head, Head):
        return build_head(head, targets)
    if targets is not None:
        raise InputError("targets", targets, "targets within the Head, when a Head is given")
    return head


def build_head(kind: str, targets: Any = None) -> Head:
    """Return the head; a complaint has its path."""
    try:
        return Head(kind, targets)
    except InputError as error:
        raise error.under("head") from None


def default_input(widths: tuple[int, ...]) -> Input:
    """Return the input of a network that states none: `half_on` of its first width, or 1000 for one layer."""
    try:
        return half_on(widths[0] if len(widths) > 1 else 1000)
    except InputError as error:
        raise error.under("input") from None


def parse_input(text: str, field: str = "input", folder: str | os.PathLike[str] = ".") -> Input:
    """Return the input that `text` names.

    ``half_on:1000``, ``constant:1000``, ``gaussian:784x64`` (inputs × examples), ``digits`` or ``digits:64``,
    ``tokens:64x50257`` or ``tokens:64x50257x2`` (positions × vocabulary × examples), ``images:3x32x32x8`` (channels ×
    height × width × examples); the grammar of names, ``digits(batch=64, repeat=4)``; or the path of a ``.csv``,
    ``.npy`` or ``.parquet`` file, relative to `folder`.

    Raises
    ------
    InputError
        Unknown kind (with the close match), bad sizes, a file that cannot be read.

    Examples
    --------
    >>> parse_input("gaussian:784x64").array().shape
    (784, 64)
    >>> parse_input("half_on:1000") == half_on(1000)
    True
    """
    short = re.fullmatch(_SHORT, text, re.ASCII)
    if short is not None:
        kind, sizes = short[1], [int(size) for size in re.split("[x×]", short[2])]
        if kind not in kinds:
            raise InputError(field, kind, close_match(kind, kinds))
        keys = _size_keys(kind)
        least = sum(
            inspect.signature(kinds[kind]).parameters[key].default is inspect.Parameter.empty for key in keys
        )
        if not max(least, 1) <= len(sizes) <= len(keys):
            needed = "x".join(key.upper() for key in keys[:least]) if least > 1 else "NUMBER"
            raise InputError(field, text, f"{kind}:{needed}")
        return kinds.build(kind, dict(zip(keys, sizes, strict=False)), field)
    if text.strip() in kinds or re.fullmatch(r"\s*[A-Za-z]\w*\s*\(.*\)\s*", text, re.ASCII | re.DOTALL):
        parse_spelling(text, field)
        return kinds.make(text, field)
    place = Path(folder) / text
    if place.suffix or os.path.lexists(place):
        try:
            return data(place)
        except InputError as error:
            raise error.under(field) from None
    known = close_match(text, [f"{kind}:SIZE" for kind in kinds])
    raise InputError(field, text, f"{known}, or a .csv, .npy or .parquet file")
