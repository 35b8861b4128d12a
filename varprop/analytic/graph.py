"""Predict a traced graph: rules node by node, starting again from the measurement where there is no rule.

Every row says how exact it is. A row that follows a fresh start rests on the measured output of the node named in its
reason; the node without a rule itself stays unpredicted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from varprop.activations import activation
from varprop.analytic.graph_rows import Back, backward_rows, forward_rows
from varprop.analytic.rules import BACKWARD, FORWARD
from varprop.analytic.rules.signal import Array, Facts, Signal, reasons, worst
from varprop.spec.traced import INPUT, UNSEEN, Graph, Node

_BACK_EXACT = frozenset(("linear", "convolution", "reshape", "scale", "shift", "dropout", "activation"))
_BACK_ISOTROPIC = frozenset(("batch_norm", "layer_norm", "rms_norm", "group_norm", "slice"))
_WEIGHTED = frozenset(("linear", "convolution", "transposed_convolution"))
_COPIED = "branches whose weights are copies of one another"


def predict_graph(
    graph: Graph, source: Signal | None, facts: Facts, *, share: float, unit_head: bool = True
) -> list[dict[str, Any]]:
    """Predict what an adapter measures, for every node that has a rule.

    Parameters
    ----------
    graph : Graph
    source : Signal or None
        The model's floating input, as measured; None if it has only whole numbers.
    facts : Facts
        Moments of the parameters, and the measured values to start again from.
    share : float
        See `varprop.Activation.saturation`.
    unit_head : bool
        Whether the gradient at the output is N(0, 1); otherwise it starts from the measured one.

    Returns
    -------
    list of dict
        ``layer, parameter, quantity, value, log_value, order, reason``; a NaN value is a node without a rule.
    """
    signals = forward(graph, source, facts)
    rows = list(forward_rows(graph, signals, facts, share))
    rows += backward_rows(graph, signals, backward(graph, signals, facts, unit_head), facts, unit_head)
    return rows


def forward(graph: Graph, source: Signal | None, facts: Facts) -> dict[int, tuple[Signal, str]]:
    """Return each node's signal and, for one that was measured instead of predicted, why."""
    known: dict[int, tuple[Signal, str]] = {}
    if source is not None:
        known[INPUT] = (source, "")
    for node in graph.nodes:
        given = [known.get(index) for index in node.sources]
        rule = FORWARD.get(node.op)
        blocked = ""
        found = None
        if node.op == "embedding":
            given = []
        if UNSEEN in node.sources:
            blocked = "an input comes from code that was not seen"
        elif rule is None:
            blocked = f"no rule for {node.kind}"
        elif any(entry is None for entry in given):
            blocked = "an input is not known"
        else:
            inputs = [entry[0] for entry in given if entry is not None]
            found = (
                None if node.op == "add" and len(inputs) > 1 and facts.copied else rule(node, inputs, facts)
            )
            blocked = "" if found is not None else f"no rule for {node.kind} on such an input"
            blocked = f"{_COPIED} are not independent" if blocked and facts.copied else blocked
        if found is None:
            found = _measured(node, facts)
        if found is not None:
            known[node.index] = (found, blocked)
    return known


def backward(
    graph: Graph, signals: dict[int, tuple[Signal, str]], facts: Facts, unit_head: bool
) -> dict[int, Back | str]:
    """Return the gradient at each node's output, or the reason why it had to be measured."""
    arriving: dict[int, list[Back]] = {}
    unknown: dict[int, str] = {}
    found: dict[int, Back | str] = {}
    exact = not any(fact.second_moment for name, fact in facts.parameters.items() if name.endswith("bias"))
    for node in reversed(graph.nodes):
        here = _collect(node, graph, arriving, unknown, facts, unit_head, found)
        entry = signals.get(node.index)
        if here is None:
            if node.index in unknown:
                unknown |= dict.fromkeys(node.sources, unknown[node.index])
            continue
        if entry is not None:
            here = replace(here, square=_laid(here.square, entry[0]))
        for index, back in _send(node, here, signals, facts, exact):
            if back is None:
                unknown[index] = f"no rule back through {node.kind}"
            else:
                arriving.setdefault(index, []).append(back)
    if INPUT in arriving and INPUT not in unknown:
        parts = arriving[INPUT]
        total = parts[0].square
        for part in parts[1:]:
            total = _sum(total, part.square)
        found[INPUT] = Back(total, worst(*(p.order for p in parts)), reasons(*(p.why for p in parts)))
    return found


def _collect(
    node: Node, graph: Graph, arriving: dict[int, list[Back]], unknown: dict[int, str], facts: Facts, unit_head: bool,
    found: dict[int, Back | str],
) -> Back | None:  # fmt: skip
    parts = list(arriving.get(node.index, []))
    if node.index == graph.output and not unit_head:
        unknown[node.index] = "the loss is the user's"
    elif node.index == graph.output:
        parts.append(Back(np.ones(facts.examples), "exact"))
    if len(parts) > 1 and facts.copied:
        unknown.setdefault(node.index, f"{_COPIED} send back correlated gradients")
    if node.index in unknown:
        measured = _measured_gradient(node, facts)
        if measured is None:
            return None
        found[node.index] = unknown[node.index]
        start = f"from the measured gradient at {node.title}"
        return Back(np.full(facts.examples, measured), "approximate", start)
    if not parts:
        return None
    total = parts[0].square
    for part in parts[1:]:
        total = _sum(total, part.square)
    order = worst(*(part.order for part in parts), "infinite" if len(parts) > 1 else "exact")
    here = Back(total, order, reasons(*(part.why for part in parts)))
    found[node.index] = here
    return here


def _send(
    node: Node, here: Back, signals: dict[int, tuple[Signal, str]], facts: Facts, exact: bool
) -> Iterator[tuple[int, Back | None]]:
    rule, given = BACKWARD.get(node.op), [signals.get(index) for index in node.sources]
    order, why = here.order, here.why
    if node.op in _BACK_ISOTROPIC:
        order, why = worst(order, "approximate"), reasons(why, "the gradient taken as isotropic")
    elif (
        node.op == "activation" and given and given[0] is not None and given[0][0].tail and not _linear(node)
    ):
        order, why = worst(order, "approximate"), reasons(why, given[0][0].tail)
    elif _left_out(node, facts):
        order, why = worst(order, "approximate"), reasons(why, "the mean of the weights left out")
    elif node.op not in _BACK_EXACT or not exact or (node.op == "activation" and not _even(node, given)):
        order = worst(order, "infinite")
    for position, index in enumerate(node.sources):
        if index < 0:
            continue
        inputs = [entry[0] for entry in given if entry is not None]
        if rule is None or len(inputs) != len(node.sources):
            yield index, None
            continue
        square = rule(node, here.square, inputs, facts)
        if square is None:
            yield index, None
        else:
            yield index, Back(_laid(square, inputs[position]), order, why)


def _linear(node: Node) -> bool:
    slopes = activation(node.attributes["activation"]).slopes
    return slopes is not None and slopes[0] == slopes[1]


def _left_out(node: Node, facts: Facts) -> bool:
    weight = facts.of(node, "weight") if node.op in _WEIGHTED else None
    return weight is not None and weight.mean != 0.0


def _measured(node: Node, facts: Facts) -> Signal | None:
    """Start again from the measured moments of a node's output."""
    what = "activation" if node.op == "activation" else "preactivation"
    second = facts.measured.get((node.index, f"{what}_second_moment"))
    mean = facts.measured.get((node.index, f"{what}_mean"))
    if second is None or mean is None:
        return None
    ones = np.ones(facts.examples)
    last = facts.of(node, "out_proj.weight")
    return Signal(
        second * ones,
        mean * ones,
        node.shape,
        data=facts.measured.get((node.index, "data_variance")),
        # An attention's last step is a dense layer of its own.
        fresh=last is not None and last.mean**2 < 1e-3 * last.second_moment,
        order="approximate",
        mean_order="approximate",
        spread_order="approximate",
        why=f"from the measured output of {node.title}",
    )


def _measured_gradient(node: Node, facts: Facts) -> float | None:
    quantity = "gradient_activation" if node.op == "activation" else "gradient_preactivation"
    return facts.measured.get((node.index, quantity))


def _even(node: Node, given: list[tuple[Signal, str] | None]) -> bool:
    entry = given[0] if given else None
    return (
        activation(node.attributes["activation"]).slopes is not None and entry is not None and entry[0].fresh
    )


def _laid(square: Array, signal: Signal) -> Array:
    """Lay a gradient over a signal's sites."""
    if square.shape[1:] == signal.sites:
        return square
    flat = square.reshape(square.shape[0], -1).mean(1)
    grown = flat.reshape(-1, *(1,) * len(signal.sites))
    return np.broadcast_to(grown, (flat.shape[0], *signal.sites)).copy()


def _sum(first: Array, second: Array) -> Array:
    if first.shape == second.shape:
        return first + second
    return np.asarray(first.reshape(first.shape[0], -1).mean(1) + second.reshape(second.shape[0], -1).mean(1))
