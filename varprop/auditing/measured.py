"""What was measured of a model, where the walk over its graph starts again."""

from __future__ import annotations

import math

import numpy as np

from varprop.adapters.recording import Recording
from varprop.analytic.propagation.restart import Restarts
from varprop.analytic.propagation.signal import Signal
from varprop.auditing.translate import Translated
from varprop.spec.traced import INPUT, Node


def restarts_of(found: Translated, recording: Recording, unit_head: bool) -> Restarts:
    """Return what was measured where a walk starts again."""
    graph, examples = recording.graph, recording.examples
    signals, gradients = {}, {}
    for traced, index in found.restarts.items():
        node = found.network.graph.nodes[index]
        signals[index] = _measured(recording, graph[traced], node.shape.features, examples * node.shape.count)
    for traced, value in found.values.items():
        square = _mean(recording, traced, gradient_name(graph[traced])) if traced > INPUT else None
        if square is not None:
            gradients[value.node] = square
    assert graph.output is not None
    start = None
    if not unit_head:
        start = gradients.get(found.values[graph.output].node, math.nan)
    return Restarts(signals, gradients, start)


def _mean(recording: Recording, index: int, quantity: str) -> float | None:
    draws = recording.values.get((index, "", quantity))
    return None if draws is None else float(np.mean(draws))


def gradient_name(node: Node) -> str:
    """Return the quantity of the gradient at a node's output."""
    return "gradient_activation" if node.op == "activation" else "gradient_preactivation"


def _measured(recording: Recording, node: Node, features: int, columns: int) -> Signal:
    """Return the signal that has the measured sizes, all pairs of columns being alike."""
    what = "activation" if node.op == "activation" else "preactivation"
    second = _mean(recording, node.index, f"{what}_second_moment")
    mean = _mean(recording, node.index, f"{what}_mean")
    if second is None or mean is None:
        nothing = np.full((1, 1), np.nan)
        return Signal(nothing, nothing[0], features, unknown=f"the output of {node.title} was not measured")
    spread = _mean(recording, node.index, "data_variance")
    variance = max(second - mean**2, 0.0)
    between = second if spread is None else max(second - spread, 0.0)
    shared = min(max(between - mean**2, 0.0), variance)
    covariance = np.full((columns, columns), shared) + (variance - shared) * np.eye(columns)
    why = (f"restarted from the measured output of {node.title}",)
    return Signal(
        covariance + mean**2,
        np.full(columns, mean),
        features,
        reasons=(f"the output of {node.title} is taken as Gaussian",),
        gaussian=True,
        restarted=why,
        restarted_pairs=why,
    )
