"""A traced chain of dense layers and activations is a spec network: then the full theory applies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from varprop.adapters.recording import Recording
from varprop.analytic import predict_network
from varprop.analytic.rules.signal import worst
from varprop.spec import Input, Layer, Network
from varprop.spec.traced import INPUT, Graph, Node

_LARGEST = 10_000_000
"""Entries of a batch beyond which it is not copied into a spec."""


@dataclass(frozen=True)
class Chain:
    """A chain: its dense layers, each with the activation node after it, in order."""

    layers: tuple[tuple[Node, Node | None], ...]


def find_chain(graph: Graph) -> Chain | None:
    """Return the chain that a graph is, None if it is anything else."""
    layers: list[tuple[Node, Node | None]] = []
    previous = INPUT
    for node in graph.nodes:
        if node.sources != (previous,) or node.call > 1:
            return None
        previous = node.index
        if node.op == "reshape" or (node.op == "dropout" and node.attributes["p"] == 0.0):
            continue
        if (
            node.op == "linear"
            and "weight" in node.parameters
            and len(node.shape) == 2
            and not node.attributes.get("function")
        ):
            layers.append((node, None))
        elif node.op == "activation" and layers and layers[-1][1] is None:
            layers[-1] = (layers[-1][0], node)
        else:
            return None
    return Chain(tuple(layers)) if layers and graph.output == previous else None


def network_of(chain: Chain, recording: Recording) -> Network | None:
    """Return the spec of a chain, with the laws its parameters were found to follow.

    None if there is no input to fix, or a parameter of no law that could be named.
    """
    source = recording.source
    if source is None or source.array.size > _LARGEST:
        return None
    values = source.array.reshape(source.array.shape[0], -1).T
    layers = []
    for linear, active in chain.layers:
        spelling = active.attributes["activation"] if active is not None else "linear"
        biases = recording.laws.get((linear.index, "bias"), "zeros")
        weights = recording.laws[linear.index, "weight"]
        if not weights or not biases:
            return None
        layers.append(Layer(linear.shape[-1], spelling, weights, biases))
    return Network(Input(np.array(values), name="inputs"), tuple(layers), name=recording.case)


def predict_chain(
    chain: Chain, network: Network, recording: Recording, share: float, order: str
) -> list[dict[str, Any]]:
    """Predict with the full theory; return rows on the graph's nodes.

    The unit head of a spec sits on the last pre-activation. Where the model ends in an activation its cotangent
    has passed phi' once more, and under the user's own loss it has the measured size: gradients are scaled so.
    """
    table = predict_network(network, order=order, share=share)
    factor, order, why = _head_factor(chain, recording, table)
    measured = _has_loss(recording)
    rows = []
    for row in table.to_dict("records"):
        linear, active = chain.layers[row["layer"] - 1]
        found = _place(row["quantity"], int(row["layer"]), chain, linear, active)
        if found is None:
            continue
        layer, quantity, parameter = found
        value, log_value = row["value"], row["log_value"]
        row_order, reason = row["order"], row["reason"]
        if quantity.startswith("gradient"):
            value, log_value = value * factor, log_value + (np.log(factor) if factor > 0 else -np.inf)
            row_order = worst(row_order, order) if row_order else ""
            reason = "; ".join(part for part in (reason, why) if part)
        rows.append({
            "layer": layer, "parameter": parameter, "quantity": quantity, "value": value,
            "log_value": log_value, "order": row_order if value == value else "", "reason": reason,
            "restarted": measured and quantity.startswith("gradient"),
        })  # fmt: skip
    return rows


def _place(
    quantity: str, number: int, chain: Chain, linear: Node, active: Node | None
) -> tuple[int, str, str] | None:
    if quantity.startswith("gradient_weight"):
        return linear.index, quantity, "weight"
    if quantity.startswith("gradient_bias"):
        return (linear.index, quantity, "bias") if "bias" in linear.parameters else None
    if quantity == "gradient_input":
        if number == 1:
            return 1, quantity, ""
        before = chain.layers[number - 2][1]
        return (before.index, "gradient_activation", "") if before is not None else None
    if quantity.startswith(("preactivation", "gradient", "data_variance")):
        return linear.index, quantity, ""
    if active is not None and quantity not in ("correlation", "initial_loss"):
        return active.index, quantity, ""
    return None


def _has_loss(recording: Recording) -> bool:
    """Return whether the loss is the user's, so that the gradient at the output is known as measured only."""
    return any(quantity == "initial_loss" for _, _, quantity in recording.values)


def _head_factor(chain: Chain, recording: Recording, table: Any) -> tuple[float, str, str]:
    linear, active = chain.layers[-1]
    if _has_loss(recording):
        draws = recording.values.get((linear.index, "", "gradient_preactivation"))
        factor = float(np.mean(draws)) if draws else float("nan")
        return factor, "approximate", "restarted from the gradient measured at the last layer"
    if active is None:
        return 1.0, "exact", ""
    last = table[(table["layer"] == len(chain.layers)) & (table["quantity"] == "derivative_second_moment")]
    slope = last.iloc[0]
    return (
        float(slope["value"]),
        str(slope["order"]) or "approximate",
        "the head is put on the activation's output",
    )
