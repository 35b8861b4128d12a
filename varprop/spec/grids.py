"""Grids: every combination of initializers, activations, widths, depths and gains as a network."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from varprop._validation import InputError, check_integer, check_real, described
from varprop.spec.heads import Head
from varprop.spec.inputs import Input
from varprop.spec.labels import LONGEST_LABEL
from varprop.spec.limits import check_count
from varprop.spec.networks import Network
from varprop.spec.shorthand import default_input, mlp
from varprop.spec.studies import MOST_NETWORKS
from varprop.spec.widths import DEEPEST, check_width

MOST_LAYERS = 1_000_000
"""Of all networks of a grid together."""


def expand_grid(
    initializers: Any = ("glorot_normal",),
    activations: Any = ("tanh",),
    widths: Any = (500,),
    depths: Any = (10,),
    gains: Any = (1.0,),
    *,
    biases: str | None = None,
    output_width: int | None = None,
    output_activation: str = "linear",
    input: Input | None = None,
    head: Head | str = "unit",
) -> tuple[Network, ...]:
    """Return one network for each combination, the last axis fastest.

    Parameters
    ----------
    initializers, activations : str or sequence of str
        Spellings for all weights, and for all layers but the last.
    widths, depths : int or sequence of int
        Units of a layer, and number of weight layers L.
    gains : float or sequence of float
        Factors on every weight.
    biases : str, optional
        Of all layers; zeros, or what belongs to the weights, by default.
    output_width : int, optional
        Width of the last layer; that of the others by default.
    output_activation, input, head
        As for `mlp`; without `input` each network has its default.

    Raises
    ------
    InputError
        An axis that is empty or has a value that cannot be or comes twice; more than 10,000 networks or a
        million layers.

    Examples
    --------
    >>> [network.case for network in expand_grid("he_normal", "relu", gains=[1.0, 1.5], widths=30, depths=2)]
    ['he_normal · relu · gain 1', 'he_normal · relu · gain 1.5']
    """
    axes = {
        "initializers": _axis("initializers", initializers, str),
        "activations": _axis("activations", activations, str),
        "widths": [check_width(f"widths[{i}]", n) for i, n in enumerate(_axis("widths", widths))],
        "depths": [
            check_integer(f"depths[{i}]", n, minimum=1, maximum=DEEPEST)
            for i, n in enumerate(_axis("depths", depths))
        ],
        "gains": [
            check_real(f"gains[{i}]", g, minimum=0.0, exclusive=True)
            for i, g in enumerate(_axis("gains", gains))
        ],
    }
    _check_size(axes)
    own: dict[tuple[int, ...], Input] = {}
    if input is None:  # networks of one width share the input that is made for it
        check_count("widths", "inputs", sum(axes["widths"]))
    if output_width is not None:
        output_width = check_width("output_width", output_width)
    varying = {name for name, values in axes.items() if len(values) > 1}
    networks = []
    for combination in itertools.product(*(enumerate(values) for values in axes.values())):
        (_, weights), (_, activation), (_, width), (_, depth), (_, gain) = combination
        last = width if output_width is None else output_width
        sizes = [width] * (depth - 1) + [last]
        key = (width,) if depth > 1 else ()
        if input is None and key not in own:
            own[key] = default_input(tuple(sizes))
        name = f"{weights} · {activation}"
        name += f" · width {width}" if "widths" in varying else ""
        name += f" · depth {depth}" if "depths" in varying else ""
        name += f" · gain {gain:g}" if "gains" in varying or gain != 1.0 else ""
        try:
            networks.append(
                mlp(
                    sizes,
                    activation,
                    weights,
                    biases,
                    own[key] if input is None else input,
                    output_activation=output_activation,
                    head=head,
                    gain=gain,
                    name=name if len(name) <= LONGEST_LABEL else "",
                )
            )
        except InputError as error:
            raise _at_axis(error, dict(zip(axes, (i for i, _ in combination), strict=True))) from None
    return tuple(networks)


def _axis(field: str, values: Any, kind: type | None = None) -> list[Any]:
    several = isinstance(values, Sequence) and not isinstance(values, str)
    if several and len(values) > 10 * MOST_NETWORKS:
        raise InputError(field, described(f"{len(values)} values"), f"at most {MOST_NETWORKS}")
    listed = list(values) if several else [values]
    if not listed:
        raise InputError(field, described("an empty list"), "at least one value")
    seen = set()
    for i, value in enumerate(listed):
        if not isinstance(value, str if kind is str else (int, float, np.number)):
            raise InputError(f"{field}[{i}]", value, "a name" if kind is str else "a number")
        if value in seen:
            raise InputError(f"{field}[{i}]", value, "each value once")
        seen.add(value)
    return listed


def _check_size(axes: dict[str, list[Any]]) -> None:
    count = math.prod(len(values) for values in axes.values())
    layers = sum(axes["depths"]) * count // len(axes["depths"])
    product = " × ".join(f"{len(values)} {name}" for name, values in axes.items())
    if count > MOST_NETWORKS:
        raise InputError("size", described(f"{count} networks ({product})"), f"at most {MOST_NETWORKS}")
    if layers > MOST_LAYERS:
        raise InputError(
            "size", described(f"{layers} layers ({product})"), f"at most {MOST_LAYERS} in all networks"
        )


def _at_axis(error: InputError, places: dict[str, int]) -> InputError:
    """Return the complaint of one network with the field of the grid it comes from."""
    axis = {"weights": "initializers", "activation": "activations"}
    head, dot, rest = error.field.partition(".")
    if head in axis:
        return InputError(f"{axis[head]}[{places[axis[head]]}]{dot}{rest}", error.value, error.allowed)
    return error
