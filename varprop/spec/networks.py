"""A network: input, dense layers, head."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from varprop._validation import InputError, described
from varprop.initializers import Law
from varprop.spec._contents import content_digest
from varprop.spec.heads import Head
from varprop.spec.inputs import Input
from varprop.spec.labels import LONGEST_LABEL, check_label
from varprop.spec.layers import Layer
from varprop.spec.widths import DEEPEST

if TYPE_CHECKING:
    import pandas as pd

_UNIT = Head()


@dataclass(frozen=True)
class Network:
    """A dense network at birth, as data. Layers count from 1, widths are n_0 (input) to n_L.

    Parameters
    ----------
    input : Input
        The fixed batch of examples.
    layers : sequence of Layer
        From the input to the output, the last one included.
    head : Head
        What starts the gradient.
    name : str
        The case's name in tables; made of initializers and activations if empty.

    Raises
    ------
    InputError
        No layers, fields of another type, targets that do not fit.

    Examples
    --------
    >>> from varprop.spec import half_on
    >>> network = Network(half_on(1000), (Layer(30, "relu", "he_normal"), Layer(10)))
    >>> network.widths, network.fans(2), network.case
    ((1000, 30, 10), (30, 10), 'he_normal, glorot_normal · relu')
    """

    input: Input
    layers: tuple[Layer, ...]
    head: Head = _UNIT
    name: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.input, Input):
            raise InputError("input", described(type(self.input).__name__), "an Input")
        layers = tuple(self.layers) if isinstance(self.layers, Sequence) else ()
        if not 1 <= len(layers) <= DEEPEST:
            raise InputError("layers", described(f"{len(layers)} layers"), f"1 to {DEEPEST} layers")
        for i, layer in enumerate(layers):
            if not isinstance(layer, Layer):
                raise InputError(f"layers[{i}]", described(type(layer).__name__), "a Layer")
        if not isinstance(self.head, Head):
            raise InputError("head", described(type(self.head).__name__), "a Head")
        object.__setattr__(self, "layers", layers)
        object.__setattr__(self, "name", check_label("name", self.name, empty=True))
        try:
            self.head.resolve(self.input, layers[-1].width)
        except InputError as error:
            raise error.under("head") from None

    @property
    def depth(self) -> int:
        """Number of weight layers L."""
        return len(self.layers)

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """Widths n_0 to n_L, the input's first."""
        return (self.input.size, *(layer.width for layer in self.layers))

    @cached_property
    def targets(self) -> np.ndarray | None:
        """The head's targets for this input: see `Head.resolve`."""
        return self.head.resolve(self.input, self.layers[-1].width)

    def fans(self, layer: int) -> tuple[int, int]:
        """Return (fan_in, fan_out) of `layer`, counted from 1."""
        if not 1 <= layer <= self.depth:
            raise InputError("layer", layer, f"a layer from 1 to {self.depth}")
        return self.widths[layer - 1], self.widths[layer]

    def weight_law(self, layer: int) -> Law:
        """Return the law of one weight of `layer`, counted from 1, the gain included."""
        return self.layers[layer - 1].weight_law(*self.fans(layer))

    def bias_law(self, layer: int) -> Law:
        """Return the law of one bias of `layer`, counted from 1."""
        return self.layers[layer - 1].bias_law(*self.fans(layer))

    @cached_property
    def depth_over_width(self) -> float:
        """Number of layers over the harmonic mean of the hidden widths (of the width, if there is one layer)."""
        hidden = self.widths[1:-1] or self.widths[1:]
        return self.depth * sum(1.0 / width for width in hidden) / len(hidden)

    def row(self, layer: int) -> dict[str, Any]:
        """Return what every table's row about `layer`, counted from 1, says of it; see `LAYER_COLUMNS`."""
        spec, (fan_in, width) = self.layers[layer - 1], self.fans(layer)
        return {
            "case": self.case,
            "activation": spec.activation.name,
            "weights": spec.weights.name,
            "biases": spec.biases.name,
            "layer": layer,
            "width": width,
            "fan_in": fan_in,
            "depth": self.depth,
            "depth_over_width": self.depth_over_width,
            "sigma_w": math.sqrt(fan_in * self.weight_law(layer).variance),
            "sigma_b": math.sqrt(self.bias_law(layer).variance),
        }

    @cached_property
    def case(self) -> str:
        """The case's name in tables: `name`, or one made of initializers and hidden activations."""
        if self.name:
            return self.name
        hidden = self.layers[:-1] or self.layers
        gains = {layer.gain for layer in self.layers}
        parts = [_listed([layer.weights.name for layer in self.layers])]
        if gains != {1.0}:
            parts.append("gain " + _listed([f"{layer.gain:g}" for layer in self.layers]))
        parts.append(_listed([layer.activation.name for layer in hidden]))
        text = " · ".join(parts)
        return text if len(text) <= LONGEST_LABEL else f"{text[: LONGEST_LABEL - 1]}…"

    def content(self) -> dict[str, Any]:
        """Return what determines the network's law as plain data; the name does not."""
        return {
            "input": self.input.digest(),
            "layers": [layer.content() for layer in self.layers],
            "head": self.head.digest(),
        }

    def digest(self) -> str:
        """Return the SHA-256 of `content`: networks that differ in name only have the same."""
        return content_digest(self.content())

    def describe(self) -> pd.DataFrame:
        """Return one row per layer: fans, activation, initializers, and the laws' moments.

        ``sigma_w2`` is fan_in times the weight variance.
        """
        import pandas as pd

        rows = []
        for number, layer in enumerate(self.layers, start=1):
            fan_in, fan_out = self.fans(number)
            weights, biases = self.weight_law(number), self.bias_law(number)
            rows.append(
                {
                    "layer": number,
                    "fan_in": fan_in,
                    "fan_out": fan_out,
                    "activation": layer.activation.name,
                    "weights": layer.weights.name,
                    "gain": layer.gain,
                    "weight_mean": weights.mean,
                    "weight_variance": weights.variance,
                    "sigma_w2": fan_in * weights.variance,
                    "biases": layer.biases.name,
                    "bias_mean": biases.mean,
                    "bias_variance": biases.variance,
                    "parameters": fan_out * (fan_in + 1),
                }
            )
        return pd.DataFrame(rows)


def _listed(names: Sequence[str]) -> str:
    """Return the different names in order of appearance, three at most."""
    different = list(dict.fromkeys(names))
    return ", ".join(different[:3]) + (", …" if len(different) > 3 else "")
