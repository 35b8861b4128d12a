"""The laws that a recording found, as a network of ops takes them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from varprop._validation import InputError
from varprop.adapters.recording import Recording
from varprop.auditing.facts import moments
from varprop.initializers import Initializer, Law, initializer
from varprop.spec.traced import Node


def law_of(recording: Recording, node: Node, own: str, fans: tuple[int, int]) -> Any:
    """Return the initializer of a node's parameter; None if it was not found.

    Where its law has no name, it is one of which the moments are known.

    Parameters
    ----------
    recording : Recording
    node : Node
    own : str
        The parameter's name in its module.
    fans : tuple of int
        (fan_in, fan_out) as the op counts them. Where they are not those with which the name was found, the law itself
        is returned.
    """
    spelling = recording.laws.get((node.index, own))
    if spelling is None:
        return None
    if not spelling:
        fact = moments(recording, node.index, own)
        law = Law(
            family="measured",
            mean=fact.mean,
            variance=fact.variance,
            excess_kurtosis=math.inf,
            iid=True,
            gaussian=False,
            symmetric=False,
            deterministic=False,
            continuous=True,
        )
        return _fixed("measured", law)
    named = initializer(spelling)
    partner = own.replace("bias", "weight")
    for name in (own, partner):
        found = [recording.facts.get((node.index, name, fan)) for fan in ("fan_in", "fan_out")]
        if found[0] is not None and found[1] is not None:
            fan_in, fan_out = (max(round(f), 1) for f in found if f is not None)
            law = named.law(fan_in, fan_out)
            return spelling if law == named.law(*fans) else _fixed(spelling, law)
    return spelling


def _fixed(name: str, law: Law) -> Initializer:
    return Initializer(name, lambda *_: law)


def constant_of(recording: Recording, node: Node, own: str, absent: float) -> float | None:
    """Return the one value that a parameter has, `absent` if the node has none, None if it has several."""
    if (node.index, own) not in recording.laws:
        return absent
    try:
        law = initializer(recording.laws[node.index, own] or "normal(std=1)").law(1, 1)
    except InputError:
        return None
    means = recording.values[node.index, own, "parameter_mean"]
    return float(np.mean(means)) if law.deterministic else None
