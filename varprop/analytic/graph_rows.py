"""From signals and gradients of a graph to the rows of a table."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from varprop.analytic.rules.pointwise import probabilities
from varprop.analytic.rules.signal import Array, Facts, Signal, reasons, worst
from varprop.spec.traced import INPUT, Graph, Node


@dataclass(frozen=True)
class Back:
    """A gradient's mean square per entry at a node's output."""

    square: Array
    order: str
    why: str = ""


def forward_rows(
    graph: Graph, signals: dict[int, tuple[Signal, str]], facts: Facts, share: float
) -> Iterator[dict[str, Any]]:
    """Yield the rows of every signal; a node that had to be measured gives NaN and says why."""
    for node in graph.nodes:
        if node.index not in signals:
            continue
        signal, blocked = signals[node.index]
        active = node.op == "activation"
        what = "activation" if active else "preactivation"
        if blocked:
            for name in (f"{what}_mean", f"{what}_second_moment"):
                yield _row(
                    node, name, math.nan, "", f"{blocked}; prediction starts again from the measured output"
                )
            continue
        yield _row(node, f"{what}_second_moment", signal.level, signal.order, signal.why)
        yield _row(node, f"{what}_mean", float(signal.mean.mean()), signal.mean_order, signal.why)
        if not active:
            variance = float(np.mean(signal.second - signal.mean**2))
            yield _row(
                node, "preactivation_variance", variance, worst(signal.order, signal.mean_order), signal.why
            )
            if signal.data is not None:
                order = worst(signal.order, signal.spread_order)
                yield _row(node, "data_variance", signal.data, order, reasons(signal.why, signal.spread_why))
        elif node.sources[0] in signals:
            before = signals[node.sources[0]][0]
            for name, (value, order) in probabilities(node, before, share).items():
                yield _row(node, name, value, order, reasons(signal.why, before.tail))


def backward_rows(
    graph: Graph,
    signals: dict[int, tuple[Signal, str]],
    found: dict[int, Back | str],
    facts: Facts,
    unit_head: bool,
) -> Iterator[dict[str, Any]]:
    """Yield the rows of every gradient; one that had to be measured gives NaN and says why."""
    coupled = any(node.attributes.get("from_batch") for node in graph.nodes)
    shared = {node.module for node in graph.nodes if node.call > 1}
    source = found.get(INPUT)
    if isinstance(source, Back) and graph.nodes:
        yield _row(graph.nodes[0], "gradient_input", float(source.square.mean()), source.order, source.why)
    for node in graph.nodes:
        back = found.get(node.index)
        if back is None:
            continue
        quantity = "gradient_activation" if node.op == "activation" else "gradient_preactivation"
        if isinstance(back, str):
            yield _row(
                node, quantity, math.nan, "", f"{back}; prediction starts again from the measured gradient"
            )
            continue
        yield _row(node, quantity, float(back.square.mean()), back.order, back.why)
        if (
            node.op in ("linear", "convolution")
            and node.index in signals
            and node.module not in shared
            and not node.attributes.get("function")
        ):
            if coupled:
                for name in ("gradient_weight", "gradient_weight_batch"):
                    yield _row(node, name, math.nan, "", "batch normalisation couples the examples", "weight")
                continue
            yield from _parameter_rows(node, signals, back, facts, unit_head)


def _parameter_rows(
    node: Node, signals: dict[int, tuple[Signal, str]], back: Back, facts: Facts, unit_head: bool
) -> Iterator[dict[str, Any]]:
    """E (dL/dW)² = E delta² E h² per example; where a weight meets several positions their gradients are correlated."""
    positions = math.prod(node.shape) // max(node.shape[0], 1) // max(node.attributes["width"], 1)
    entry = signals.get(node.sources[0]) if len(node.sources) == 1 else None
    bias = "bias" in node.parameters
    if positions != 1 or node.op != "linear" or entry is None:
        why = "no rule for a weight that meets several positions"
        for own in ("weight", *(("bias",) if bias else ())):
            for name in (f"gradient_{own}", f"gradient_{own}_batch"):
                yield _row(node, name, math.nan, "", why, own)
        return
    carried = entry[0].flat().second
    value = float(np.mean(back.square.reshape(back.square.shape[0], -1).mean(1) * carried))
    found = {"weight": value} | ({"bias": float(back.square.mean())} if bias else {})
    order, why = worst(back.order, entry[0].order), reasons(back.why, entry[0].why)
    for own, square in found.items():
        # A product is worth what its weaker factor is worth.
        label = (order, why) if own == "weight" else (back.order, back.why)
        yield _row(node, f"gradient_{own}", square, *label, own)
        if unit_head:
            # Independent cotangents: the squares of the examples' gradients add, over B² of them.
            yield _row(node, f"gradient_{own}_batch", square / facts.examples, *label, own)


def _row(
    node: Node, quantity: str, value: float, order: str, reason: str, parameter: str = ""
) -> dict[str, Any]:
    logarithm = math.log(value) if value > 0 else (-math.inf if value == 0 else math.nan)
    return {
        "layer": node.index,
        "parameter": parameter,
        "quantity": quantity,
        "value": value,
        "log_value": logarithm,
        "order": order,
        "reason": reason,
    }
