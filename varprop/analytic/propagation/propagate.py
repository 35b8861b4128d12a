"""One walk forward over a graph and one back: the signal and the gradient at every node."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from varprop._validation import InputError
from varprop.analytic.propagation.heads import Start, start
from varprop.analytic.propagation.restart import Restart, Restarts, mark, mark_back, measured_gradient
from varprop.analytic.propagation.rules import RULES
from varprop.analytic.propagation.rules.maps import unformed
from varprop.analytic.propagation.signal import (
    LARGEST,
    Array,
    Gradient,
    Signal,
    gaussian,
    gram,
    merged,
    total,
)
from varprop.analytic.propagation.walk import Place, Rule, Walk
from varprop.spec import Network
from varprop.spec.graph import Node


@dataclass(frozen=True, eq=False)
class Propagated:
    """What both walks found.

    Attributes
    ----------
    walk : Walk
        With the signals of all nodes.
    gradients : list of Gradient or None
        At every node's output; None where no gradient arrives.
    sent : list of Gradient or None
        At every node's input, through this node alone; None for nodes of several inputs.
    start : Start
    """

    walk: Walk
    gradients: list[Gradient | None]
    sent: list[Gradient | None]
    start: Start


def propagate(network: Network, restarts: Restarts | None = None) -> Propagated:
    """Return signals and gradients of all nodes of a network.

    Parameters
    ----------
    network : Network
    restarts : Restarts, optional
        What was measured, for a network with nodes that have no rule.

    Examples
    --------
    >>> import varprop as vp
    >>> from varprop.spec.ops import Dense
    >>> from varprop.spec.parts import Single, residual
    >>> body = (Single(Dense(64, "lecun_normal")), residual(Dense(64, "lecun_normal"), scale=0.5))
    >>> found = propagate(Network(vp.half_on(16), body))
    >>> [float(signal.second[0, 0]) for signal in found.walk.signals]
    [0.5, 0.5, 0.5, 0.625]
    """
    walk = forward(network, restarts)
    first = _start(walk, restarts)
    nodes = walk.graph.nodes
    arriving: list[list[Gradient]] = [[] for _ in nodes]
    gradients: list[Gradient | None] = [None] * len(nodes)
    sent: list[Gradient | None] = [None] * len(nodes)
    arriving[-1].append(first.gradient)
    for node in reversed(nodes):
        parts = arriving[node.index]
        if not parts:
            continue
        here = _collected(walk, node, parts)
        gradients[node.index] = here
        back = _back(walk, node, here)
        for source, part in zip(node.sources, back, strict=True):
            arriving[source].append(part)
        if len(back) == 1:
            sent[node.index] = back[0]
    return Propagated(walk, gradients, sent, first)


def forward(network: Network, restarts: Restarts | None = None) -> Walk:
    """Return the walk with the signals of all nodes."""
    walk = Walk(network, RULES if restarts is None else {**RULES, Restart: restarts.rule()})
    for node in walk.graph.nodes:
        rule, place = walk.rules[type(node.op)], Place(walk, node)
        inputs = [walk.signals[i] for i in node.sources]
        walk.signals.append(mark(node.op, _signal(rule, place, inputs), inputs))
        walk.roots.append(rule.roots(walk, node))
    return walk


def _signal(rule: Rule, place: Place, inputs: list[Signal]) -> Signal:
    why = next((x.unknown for x in inputs if x.unknown), "")
    why = "" if isinstance(place.node.op, Restart) else why
    if place.columns > LARGEST and place.node.sources:
        why = why or f"the covariance of more than {LARGEST} columns (examples times positions)"
    if any(unformed(x) for x in inputs) and not (rule.reads_known or isinstance(place.node.op, Restart)):
        why = why or f"no covariance of more than {LARGEST} columns is formed for {place.node.name}"
    if not why:
        try:
            found = rule.forward(place, inputs)
        except InputError as error:
            why = str(error)
        else:
            if np.isfinite(found.second).all():
                return found
            why = f"sizes out of range at {place.node.name}"
    return unknown(place.node, why)


def unknown(node: Node, why: str) -> Signal:
    """Return a signal of which nothing is known."""
    nothing = np.full((1, 1), np.nan)
    return Signal(nothing, nothing[0], node.shape.features, unknown=why)


def _start(walk: Walk, restarts: Restarts | None) -> Start:
    output = walk.signals[-1]
    if restarts is not None and restarts.start is not None:
        return Start(measured_gradient(restarts.start, output.second.shape[0], "at the output"))
    unit = walk.network.head.kind == "unit"
    if not output.unknown:
        return start(walk)
    if unit:
        return Start(_lost(output.unknown))
    return Start(_lost(output.unknown), np.full(1, np.nan))


def _lost(why: str) -> Gradient:
    return Gradient(np.full((1, 1), np.nan), unknown=why)


def _collected(walk: Walk, node: Node, parts: list[Gradient]) -> Gradient:
    whole = next((part for part in parts if part.total), None)
    if whole is not None:
        return whole if whole.unknown else replace(whole, total=False)
    why = next((part.unknown for part in parts if part.unknown), "") or walk.signals[node.index].unknown
    if why:
        return _lost(why)
    found = total(parts, node.index, node.shape.features, np.random.default_rng([37, node.index]))
    excess = sum(part.excess for part in parts)
    marks = merged(*(part.restarted for part in parts))
    return replace(found, excess=excess, restarted=marks) if excess or marks else found


def _back(walk: Walk, node: Node, here: Gradient) -> list[Gradient]:
    rule, place = walk.rules[type(node.op)], Place(walk, node)
    inputs = [walk.signals[i] for i in node.sources]
    if isinstance(node.op, Restart):
        return rule.backward(place, here, inputs)
    why = here.unknown or next((x.unknown for x in inputs if x.unknown), "")
    if why:
        return [_lost(why) for _ in inputs]
    return mark_back(node.op, _sent(walk, rule, place, here, inputs), here, inputs)


def _sent(walk: Walk, rule: Rule, place: Place, here: Gradient, inputs: list[Signal]) -> list[Gradient]:
    node = place.node
    if rule.sample_back is None or not (here.samples is not None or walk.coupled[node.index]):
        return rule.backward(place, here, inputs)
    samples = here.samples
    if samples is None:
        rng = np.random.default_rng([43, node.index])
        samples = gaussian(here.second, walk.features_drawn, rng)
    values: list[Array] = [walk.sample(i) for i in node.sources]
    found = rule.sample_back(place, samples, inputs, values)
    reasons = here.reasons + tuple(r for x in inputs for r in x.reasons if r not in here.reasons)
    return [Gradient(gram(g), False, reasons, samples=g) for g in found]
