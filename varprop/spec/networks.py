"""A network: input, body, head."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from varprop._validation import InputError, described
from varprop.initializers import Law
from varprop.spec._contents import content_digest
from varprop.spec.blocks import Residual, Sequence_, build_all, size_of
from varprop.spec.graph import MOST_NODES, Builder, Graph, Node
from varprop.spec.heads import Head
from varprop.spec.inputs import Input
from varprop.spec.labels import LONGEST_LABEL, check_label
from varprop.spec.layers import Layer
from varprop.spec.ops import Activate, ClassToken, Embedding, Positions, Weighted
from varprop.spec.parts import as_parts
from varprop.spec.widths import DEEPEST

if TYPE_CHECKING:
    import pandas as pd

_UNIT = Head()


@dataclass(frozen=True)
class Network:
    """A network at birth, as data: an input, what is built on it, and the head that starts the gradient.

    A body of dense layers alone is a *chain*; layers count from 1, widths are n_0 (input) to n_L. Any other body is
    described by its `graph`, and its rows count the graph's sites.

    Parameters
    ----------
    input : Input
        The fixed batch of examples.
    body : sequence of Layer or other parts
        From the input to the output, the last layer included. Besides layers: whatever `varprop.ops` makes,
        activations and their names, and the spellings and tables of `varprop.spec.parts`.
    head : Head
        What starts the gradient.
    name : str
        The case's name in tables; made of initializers and activations if empty.

    Raises
    ------
    InputError
        Nothing in the body, fields of another type, shapes or targets that do not fit.

    Examples
    --------
    >>> from varprop.spec import half_on
    >>> network = Network(half_on(1000), (Layer(30, "relu", "he_normal"), Layer(10)))
    >>> network.widths, network.fans(2), network.case
    ((1000, 30, 10), (30, 10), 'he_normal, glorot_normal · relu')
    >>> from varprop.spec.parts import residual
    >>> block = residual([Layer(30, "relu", "he_normal"), Layer(1000)])
    >>> [node.name for node in Network(half_on(1000), (block,)).graph.nodes]
    ['input', 'residual.layer1', 'residual.layer1.relu', 'residual.layer2', 'residual.stream']
    """

    input: Input
    body: Sequence[Any]
    head: Head = _UNIT
    name: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.input, Input):
            raise InputError("input", described(type(self.input).__name__), "an Input")
        given = self.body if isinstance(self.body, list | tuple) else ()
        dense = 1 <= len(given) <= DEEPEST and all(type(part) is Layer for part in given)
        body = tuple(given) if dense else as_parts(self.body, "body")  # a grid has a million layers
        chain = all(isinstance(part, Layer) for part in body)
        chain = chain and not (self.input.positions or self.input.vocabulary)
        if not isinstance(self.head, Head):
            raise InputError("head", described(type(self.head).__name__), "a Head")
        object.__setattr__(self, "body", body)
        object.__setattr__(self, "_chain", chain)
        object.__setattr__(self, "name", check_label("name", self.name, empty=True))
        if not chain and not self.graph.sites:
            raise InputError("body", self.case, "at least one operation that changes numbers")
        try:
            self.head.resolve(self.input, *self._output)
        except InputError as error:
            raise error.under("head") from None

    @property
    def is_chain(self) -> bool:
        """Whether the body consists of dense layers on vectors."""
        return bool(self._chain)  # type: ignore[attr-defined]

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers of a chain.

        Raises
        ------
        InputError
            If the network is no chain.
        """
        if not self.is_chain:
            raise InputError("network", self.case, "a chain of dense layers, for this")
        return self.body  # type: ignore[return-value]

    @cached_property
    def graph(self) -> Graph:
        """Ops in topological order."""
        builder = Builder(self.input.shape)
        try:
            if sum(size_of(part) for part in self.body) > MOST_NODES:
                found = described(f"more than {MOST_NODES} operations")
                raise InputError("body", found, "fewer of them")
            build_all(builder, self.body, 0, "")
        except RecursionError:
            raise InputError("body", described("parts within each other"), "fewer levels of them") from None
        return Graph(tuple(builder.nodes))

    @property
    def _output(self) -> tuple[int, int]:
        """Features of the output, and at how many positions."""
        if self.is_chain:
            return self.layers[-1].width, 1
        shape = self.graph.output.shape
        return shape.features, shape.count

    @property
    def depth(self) -> int:
        """Number of weight layers L of a chain, of sites otherwise: how far tables count."""
        return len(self.body) if self.is_chain else len(self.graph.sites)

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """Widths n_0 to n_L of a chain, the input's first; of the sites, otherwise."""
        if self.is_chain:
            return (self.input.size, *(layer.width for layer in self.layers))
        nodes = self.graph.nodes
        return (self.input.size, *(nodes[site.node].shape.features for site in self.graph.sites))

    @cached_property
    def targets(self) -> np.ndarray | None:
        """The head's targets for this input: see `Head.resolve`."""
        return self.head.resolve(self.input, *self._output)

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
        if not self.is_chain:
            maps = [n for n in self.graph.nodes if isinstance(n.op, Weighted)]
            rate = sum(1.0 / node.shape.features for node in maps) / max(len(maps), 1)
            return self.graph.weighted_depth * rate
        hidden = self.widths[1:-1] or self.widths[1:]
        return self.depth * sum(1.0 / width for width in hidden) / len(hidden)

    @cached_property
    def parameters(self) -> int:
        """Number of trainable numbers; of positions, those in use."""
        if self.is_chain:
            return sum(b * (a + 1) for a, b in itertools.pairwise(self.widths))
        return sum(self.graph.parameters(node) for node in self.graph.nodes)

    def row(self, layer: int) -> dict[str, Any]:
        """Return what every table's row about `layer`, counted from 1, says of it; see `LAYER_COLUMNS`."""
        if not self.is_chain:
            return self._site_row(layer)
        spec, (fan_in, width) = self.layers[layer - 1], self.fans(layer)
        return {
            "case": self.case,
            "activation": spec.activation.name,
            "weights": spec.weights.name,
            "biases": spec.biases.name,
            "node": f"layer{layer}",
            "layer": layer,
            "width": width,
            "fan_in": fan_in,
            "depth": self.depth,
            "depth_over_width": self.depth_over_width,
            "sigma_w": math.sqrt(fan_in * self.weight_law(layer).variance),
            "sigma_b": math.sqrt(self.bias_law(layer).variance),
        }

    def _site_row(self, number: int) -> dict[str, Any]:
        graph = self.graph
        site = graph.sites[number - 1]
        node = graph.nodes[site.node]
        shapes = graph.inputs(node)
        row: dict[str, Any] = {
            "case": self.case,
            "activation": site.activation.name,
            "weights": "",
            "biases": "",
            "node": node.name,
            "layer": number,
            "width": node.shape.features,
            "fan_in": shapes[0].features if shapes else node.shape.features,
            "depth": self.depth,
            "depth_over_width": self.depth_over_width,
            "sigma_w": math.nan,
            "sigma_b": math.nan,
        }
        if isinstance(node.op, Weighted):
            fan_in = shapes[0].features // getattr(node.op, "groups", 1) * graph.window(node)
            row |= {
                "weights": node.op.weights.name,
                "biases": node.op.biases.name,
                "fan_in": fan_in,
                "sigma_w": math.sqrt(fan_in * node.op.weight_law(*shapes).variance),
                "sigma_b": math.sqrt(node.op.bias_law(*shapes).variance),
            }
        return row

    @cached_property
    def case(self) -> str:
        """The case's name in tables: `name`, or one made of initializers and hidden activations."""
        if self.name:
            return self.name
        if not self.is_chain:
            return self._graph_case()
        hidden = self.layers[:-1] or self.layers
        gains = {layer.gain for layer in self.layers}
        parts = [_listed([layer.weights.name for layer in self.layers])]
        if gains != {1.0}:
            parts.append("gain " + _listed([f"{layer.gain:g}" for layer in self.layers]))
        parts.append(_listed([layer.activation.name for layer in hidden]))
        text = " · ".join(parts)
        return text if len(text) <= LONGEST_LABEL else f"{text[: LONGEST_LABEL - 1]}…"

    def names(self, what: str) -> tuple[str, ...]:
        """Return the different names of "weights", "biases" or "activation" in order of appearance.

        Of a chain's layers; otherwise of the nodes with weights, and of the activations that there are.
        """
        if self.is_chain:
            found = [getattr(layer, what).name for layer in self.layers]
        else:
            ops = [node.op for node in self.graph.nodes]
            kind = Activate if what == "activation" else Weighted
            found = [getattr(op, what).name for op in ops if isinstance(op, kind)]
        return tuple(dict.fromkeys(found))

    @property
    def gains(self) -> tuple[float, ...]:
        """The different gains, in order of appearance."""
        maps = self.layers if self.is_chain else [node.op for node in self.graph.nodes]
        return tuple(dict.fromkeys(op.gain for op in maps if isinstance(op, Layer | Weighted)))

    def _graph_case(self) -> str:
        titles = [part.title for part in self.body]
        counts = Counter(titles)
        named = [part.title for part in self.body if isinstance(part, Sequence_ | Residual) and part.name]
        kinds = [f"{counts[t]} × {t}" if counts[t] > 1 else t for t in dict.fromkeys(named or titles)]
        text = " · ".join(
            _listed(names) for names in (kinds, self.names("weights"), self.names("activation")) if names
        )
        return text if len(text) <= LONGEST_LABEL else f"{text[: LONGEST_LABEL - 1]}…"

    def content(self) -> dict[str, Any]:
        """Return what determines the network's law as plain data; the name does not."""
        if not self.is_chain:
            body = [part.content() for part in self.body]
            return {"input": self.input.digest(), "body": body, "head": self.head.digest()}
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

        ``sigma_w2`` is fan_in times the weight variance. For a network that is no chain: one row per node with
        its op, shape, sources, laws and number of parameters.
        """
        import pandas as pd

        if not self.is_chain:
            return pd.DataFrame([self._node_row(node) for node in self.graph.nodes[1:]])
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

    def _node_row(self, node: Node) -> dict[str, Any]:
        graph, op = self.graph, node.op
        laws: dict[str, Any] = {"weights": "", "gain": math.nan, "weight_variance": math.nan, "biases": ""}
        if isinstance(op, Weighted):
            variance = op.weight_law(*graph.inputs(node)).variance
            laws = {
                "weights": op.weights.name,
                "gain": op.gain,
                "weight_variance": variance,
                "biases": op.biases.name,
            }
        elif isinstance(op, Embedding | Positions | ClassToken):
            variance = op.weight_law(*graph.inputs(node)).variance
            laws |= {"weights": op.weights.name, "gain": 1.0, "weight_variance": variance}
        kind = op.activation.name if isinstance(op, Activate) else op.kind
        return {
            "node": node.name,
            "op": kind,
            "reads": ", ".join(graph.nodes[i].name for i in node.sources),
            "shape": node.shape.text,
            "parameters": graph.parameters(node),
            **laws,
        }


def _listed(names: Sequence[str]) -> str:
    """Return the different names in order of appearance, three at most."""
    different = list(dict.fromkeys(names))
    return ", ".join(different[:3]) + (", …" if len(different) > 3 else "")
