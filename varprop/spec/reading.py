"""Studies from TOML.

A study file, all keys optional but one ``[[network]]`` or a ``[grid]``::

    name = "he against glorot"
    draws = 400
    seed = 0

    [input]                      # for every network that has no input of its own
    kind = "digits"              # or half_on, constant, gaussian, data (path = "mine.csv")
    batch = 64

    [[network]]
    widths = "500x10,10"         # ten layers of 500, then 10; or a list
    activation = "relu"
    weights = "he_normal"
    head = "softmax_ce"          # or {kind = "mse", targets = 0.0}

    [[network]]                  # or layer by layer
    [[network.layer]]
    width = 30
    activation = "tanh"
    weights = "glorot_normal"
    biases = "zeros"
    gain = 1.0

    [[network]]                  # or part by part: see varprop.spec.parts
    input = "tokens:64x1000"
    body = [
        "embedding(width=64)",
        {residual = ["layer_norm", {attention = 4, causal = true}], scale = 0.5, times = 6},
        {dense = 1000, weights = "normal(std=0.02)"},
    ]

    [[network]]                  # or a whole family, with the arguments of its function
    family = "transformer"       # or resnet, mlp_mixer
    preset = "gpt2"
    tokens = 64

    [grid]                       # every combination
    initializers = ["he_normal", "glorot_normal"]
    activations = ["relu", "tanh"]
    widths = [100, 1000]
    depths = [5, 20]
    gains = [1.0, 1.5]

Names are data: nothing that a study file says is executed. Only with ``code=True`` may a name be
``package.module:function``, which imports that module.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from varprop._code import code_from_text
from varprop._validation import InputError, close_match, described
from varprop.spec.grids import expand_grid
from varprop.spec.heads import Head
from varprop.spec.inputs import Input
from varprop.spec.labels import LONGEST_LABEL
from varprop.spec.layers import Layer
from varprop.spec.limits import check_count, open_regular
from varprop.spec.networks import Network
from varprop.spec.parts import as_parts
from varprop.spec.shorthand import build_head, default_input, mlp, parse_input
from varprop.spec.sources import data, kinds
from varprop.spec.studies import MOST_NETWORKS, Study
from varprop.spec.transformers import families

T = TypeVar("T")

_SETTINGS = ("name", "title", "draws", "seed", "alpha", "margin", "saturation_share")
_STUDY = (*_SETTINGS, "input", "network", "grid")
_SHORT = ("widths", "activation", "weights", "biases", "gain", "output_activation")
_NETWORK = ("name", "input", "head", *_SHORT, "layer", "body", "family")
_BODY = ("name", "input", "head", "body")
_OF_INPUTS = ("tokens", "batch", "ids", "seed", "image", "channels")
"""Keys of a family that make an input; a table with one of them does not take the study's."""
_LAYER = ("width", "activation", "weights", "biases", "gain")
_GRID = (
    "initializers",
    "activations",
    "widths",
    "depths",
    "gains",
    "biases",
    "output_width",
    "output_activation",
    "input",
    "head",
)
_DATA = (
    "kind",
    "path",
    "rows",
    "standardize",
    "labels",
    "batch",
    "image",
    "positions",
    "vocabulary",
    "name",
    "sha256",
)


def read_study(path: str | os.PathLike[str], *, code: bool = False) -> Study:
    """Read a study file; data files are looked for beside it.

    Parameters
    ----------
    path : path
        The file.
    code : bool
        Whether names may be ``package.module:function``. Importing a module executes it: say yes only to a file
        that you trust as you would trust a script.

    Raises
    ------
    InputError
        A file that is missing or no TOML; unknown keys (with the close match), wrong types and impossible
        values, with the field's path: ``network[2].layer[0].width`` (lists count from 0).
    """
    place = Path(path)
    with open_regular(place, "study", "study") as stream:
        try:
            text = stream.read().decode("utf-8")
        except OSError as error:
            allowed = f"a study file that can be read ({error.strerror or error})"
            raise InputError("study", described(repr(str(path))), allowed) from None
        except UnicodeDecodeError:
            raise InputError("study", described(repr(str(path))), "a TOML file in UTF-8") from None
    return parse_study(text, folder=place.parent, name=place.stem, code=code)


def parse_study(
    text: str, *, folder: str | os.PathLike[str] = ".", name: str = "study", code: bool = False
) -> Study:
    """Read a study from TOML text.

    Parameters
    ----------
    text : str
        See the module's docstring for the keys.
    folder : path
        Where relative paths of data files start.
    name : str
        The study's name if the text gives none.
    code : bool
        As for `read_study`.

    Raises
    ------
    InputError
        As `read_study`.

    Examples
    --------
    >>> study = parse_study('''
    ... [[network]]
    ... widths = "30,10"
    ... weights = "he_normal"
    ... ''')
    >>> study.networks[0].widths
    (30, 30, 10)
    """
    import tomllib

    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError("study", described(f"the text of {name}"), f"TOML ({str(error)[:200]})") from None
    with code_from_text(code):
        return _study(document, Path(folder), name)


def _study(document: Mapping[str, Any], folder: Path, name: str) -> Study:
    _check_keys(document, _STUDY)
    shared = _input(document["input"], folder) if "input" in document else None
    networks: list[Network] = []
    listed = _tables(document, "network")
    if len(listed) > MOST_NETWORKS:
        raise InputError("network", described(f"{len(listed)} tables"), f"at most {MOST_NETWORKS}")
    numbers = 0 if shared is None else shared.array().size
    for i, table in enumerate(listed):
        made = _within(f"network[{i}]", _network, table, folder, shared)
        networks.append(made)
        numbers += 0 if made.input is shared else made.input.array().size
        check_count(f"network[{i}].input", "inputs × examples in this network and those before", numbers)
    if "grid" in document:
        networks += _within("grid", _grid, document["grid"], folder, shared)
    if not networks:
        raise InputError("network", described("nothing"), "at least one [[network]], or a [grid]")
    settings = {key: document[key] for key in _SETTINGS if key in document}
    try:
        return Study(**{"name": name[:LONGEST_LABEL], **settings}, networks=tuple(networks))
    except InputError as error:
        # In the file the list is called after one of its members.
        field = error.field.replace("networks[", "network[")
        raise InputError(field, error.value, error.allowed) from None


def _network(table: Any, folder: Path, shared: Input | None) -> Network:
    if "family" in table:
        return _family(table, folder, shared)
    _check_keys(table, _BODY if "body" in table else _NETWORK)
    own = _input(table["input"], folder) if "input" in table else shared
    head = _head(table.get("head", "unit"))
    name = table.get("name", "")
    if "body" in table:
        if own is None:
            raise InputError("input", described("nothing"), "an input, as a body has no default")
        return Network(own, as_parts(table["body"], "body"), head, name)
    if "layer" not in table:
        if "widths" not in table:
            allowed = "widths, or layers as [[network.layer]], or a body, or a family"
            raise InputError("widths", described("nothing"), allowed)
        short = {key: table[key] for key in _SHORT if key in table}
        return mlp(**short, input=own, head=head, name=name)
    both = next((key for key in _SHORT if key in table), None)
    if both is not None:
        raise InputError(both, table[both], "nothing beside [[network.layer]], which says it layer by layer")
    layers = []
    for i, layer in enumerate(_tables(table, "layer")):
        layers.append(_within(f"layer[{i}]", _layer, layer))
    if own is None and layers:
        own = default_input(tuple(layer.width for layer in layers))
    if own is None:
        raise InputError("layer", described("an empty list"), "at least one layer")
    return Network(own, tuple(layers), head, name)


def _family(table: Any, folder: Path, shared: Input | None) -> Network:
    name = table["family"]
    if not isinstance(name, str) or name not in families:
        raise InputError("family", name, close_match(name if isinstance(name, str) else "", families))
    arguments = {key: value for key, value in table.items() if key != "family"}
    if "input" in table:
        arguments["input"] = _input(table["input"], folder)
    elif shared is not None and not any(key in table for key in _OF_INPUTS):
        arguments["input"] = shared
    if "head" in table:
        arguments["head"] = _head(table["head"])
    try:
        return families.build(name, arguments, "family")
    except InputError as error:
        # The arguments are keys of the network's own table.
        field = error.field.removeprefix("family.") or "family"
        raise InputError(field, error.value, error.allowed) from None


def _layer(table: Any) -> Layer:
    _check_keys(table, _LAYER)
    if "width" not in table:
        raise InputError("width", described("nothing"), "a width")
    return Layer(**table)


def _grid(table: Any, folder: Path, shared: Input | None) -> list[Network]:
    _check_keys(table, _GRID)
    options = dict(table)
    options["input"] = _input(table["input"], folder) if "input" in table else shared
    options["head"] = _head(table.get("head", "unit"))
    return list(expand_grid(**options))


def _head(given: Any) -> Head:
    if not isinstance(given, Mapping):
        return build_head(given)
    try:
        _check_keys(given, ("kind", "targets"))
    except InputError as error:
        raise error.under("head") from None
    return build_head(given.get("kind", "unit"), given.get("targets"))


def _input(given: Any, folder: Path) -> Input:
    if isinstance(given, str):
        return parse_input(given, folder=folder)
    if not isinstance(given, Mapping):
        raise InputError("input", given, 'a table such as {kind = "half_on", size = 1000}')
    options = dict(given)
    kind = options.pop("kind", None)
    if kind == "data":
        return _within("input", _data, given, folder)
    if not isinstance(kind, str) or kind not in kinds:
        known = [*kinds, "data"]
        raise InputError("input.kind", kind, close_match(kind if isinstance(kind, str) else "", known))
    return kinds.build(kind, options, "input")


def _data(given: Mapping[str, Any], folder: Path) -> Input:
    _check_keys(given, _DATA)
    if ("path" in given) == ("rows" in given):
        raise InputError("path", described("data"), "either a path or rows")
    if "rows" in given:
        for key in ("standardize", "batch", "image"):
            if key in given:
                raise InputError(key, given[key], "nothing beside rows, which are used as they are")
        rows = _rows(given["rows"])
        made = Input(
            rows.T,
            given.get("name", "data"),
            given.get("labels"),
            positions=given.get("positions", ()),
            vocabulary=given.get("vocabulary", 0),
        )
    else:
        if not isinstance(given["path"], str):
            raise InputError("path", given["path"], "the path of a file")
        for key in ("positions", "vocabulary"):
            if key in given:
                raise InputError(
                    key, given[key], "nothing beside a path (image = [C, H, W] says how rows lie)"
                )
        keys = ("standardize", "labels", "batch", "image", "name")
        options = {key: given[key] for key in keys if key in given}
        made = data(folder / given["path"], **options)
    if "sha256" in given and made.digest() != given["sha256"]:
        source = described(str(given.get("path", "rows"))[:100])
        raise InputError("sha256", source, "data that have not changed since the study was written")
    return made


def _rows(given: Any) -> np.ndarray:
    try:
        rows = np.asarray(given)
    except ValueError:
        raise InputError("rows", described("ragged rows"), "rows of one length") from None
    if rows.ndim != 2 or rows.dtype.kind not in "biuf":
        raise InputError("rows", described(f"array of {rows.dtype}"), "a list of rows of numbers")
    return rows


def _tables(table: Mapping[str, Any], key: str) -> list[Any]:
    listed = table.get(key, [])
    if not isinstance(listed, list):
        raise InputError(key, described(type(listed).__name__), f"tables, each under [[{key}]]")
    return listed


def _check_keys(table: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for key in table:
        if key not in known:
            raise InputError(key[:40], described("unknown key"), close_match(key, known))


def _within(path: str, build: Callable[..., T], table: Any, *arguments: Any) -> T:
    """Build a part from its table; a complaint gets the part's path put before its field."""
    if not isinstance(table, Mapping):
        raise InputError(path, table, "a table of keys and values")
    try:
        return build(table, *arguments)
    except InputError as error:
        raise error.under(path) from None
