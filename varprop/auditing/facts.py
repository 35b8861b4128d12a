"""From a recording to what the rules of a graph may ask."""

from __future__ import annotations

import numpy as np

from varprop._validation import InputError
from varprop.adapters.recording import InputMoments, Recording
from varprop.analytic.rules.signal import Facts, ParameterFact, Signal
from varprop.initializers import initializer
from varprop.spec.traced import Graph, Node


def facts_of(recording: Recording) -> Facts:
    """Return parameter moments (a named law's own, else as drawn) and measured values."""
    measured = {
        (index, quantity): float(np.mean(draws))
        for (index, parameter, quantity), draws in recording.values.items()
        if not parameter
    }
    parameters = {}
    for index, own in recording.laws:
        node = recording.graph[index]
        parameters[full_name(node, own)] = moments(recording, index, own)
    return Facts(parameters, measured, recording.examples, copied=bool(recording.copies))


def full_name(node: Node, own: str) -> str:
    """Return the name that `own` has in the whole model."""
    if "parameter" in node.attributes:
        return str(node.attributes["parameter"])
    return own if node.module == "(model)" else f"{node.module}.{own}"


def source_of(source: InputMoments | None, graph: Graph) -> Signal | None:
    """Return the model's input as a signal; its sites are told apart where the first node is a convolution."""
    if source is None:
        return None
    array = source.array
    # One example has no variance over examples.
    data = source.data_variance if source.mean.size > 1 else None
    spatial = array.ndim > 2 and any(
        node.op in ("convolution", "transposed_convolution", "batch_norm") for node in graph.nodes
    )
    if spatial:
        axes = (0, *range(2, array.ndim))
        return Signal(
            np.mean(array**2, axis=1), np.mean(array, axis=1), array.shape,
            data=data, spread=float(np.mean(np.var(array, axis=axes))),
        )  # fmt: skip
    spread = float(np.mean(np.var(array, axis=0))) if array.ndim == 2 else None
    return Signal(source.second_moment, source.mean, array.shape, data=data, spread=spread)


def moments(recording: Recording, index: int, own: str) -> ParameterFact:
    """Return the moments of a parameter: of the law that was named, else as drawn."""
    law, facts = recording.laws[index, own], recording.facts
    fan_in, fan_out = facts.get((index, own, "fan_in")), facts.get((index, own, "fan_out"))
    if fan_in is None or fan_out is None:
        partner = own.replace("bias", "weight")
        fan_in, fan_out = facts.get((index, partner, "fan_in")), facts.get((index, partner, "fan_out"))
    if law and "(" not in law and fan_in and fan_out:
        named = initializer(law).law(max(round(fan_in), 1), max(round(fan_out), 1))
        return ParameterFact(
            named.mean, named.second_moment, named.gaussian or named.deterministic, named.symmetric
        )
    means = np.asarray(recording.values[index, own, "parameter_mean"])
    stds = np.asarray(recording.values[index, own, "parameter_std"])
    mean, second = float(means.mean()), float(np.mean(stds**2 + means**2))
    # A mean within its own noise is no mean: every iid law of mean zero is drawn with one.
    count = _entries(recording, index, own) * means.size
    centred = (
        mean**2 <= 16 * second / max(count, 1) and law not in ("ones",) and not law.startswith("constant")
    )
    gaussian, symmetric = _shape(law, float(np.max(stds)) == 0.0, centred)
    return ParameterFact(0.0 if centred else mean, second, gaussian, symmetric)


def _shape(law: str, single: bool, centred: bool) -> tuple[bool, bool]:
    """Whether a law is normal (or one value), and whether it is symmetric, as far as its spelling says so."""
    if single:
        return True, centred
    try:
        named = initializer(law).law(1, 1) if law else None
    except InputError:
        named = None
    return (named.gaussian, named.symmetric) if named is not None else (False, False)


def _entries(recording: Recording, index: int, own: str) -> int:
    fan_in = recording.facts.get((index, own, "fan_in"), 1.0)
    fan_out = recording.facts.get((index, own, "fan_out"), 1.0)
    return int(fan_in * fan_out)
