"""A plan in words, so that a store can say in what another run differs from the one that made it."""

from __future__ import annotations

import json
from collections.abc import Mapping

from varprop.montecarlo.blocks import Plan


def describe(plan: Plan) -> dict[str, str]:
    """Return what decides the content of a plan's blocks as readable text by name; draws are left out."""
    network = plan.network
    text = {
        "seed": plan.seed,
        "block_size": plan.block_size,
        "sampler": plan.sampler,
        "estimator": plan.estimator,
        "share": plan.share,
        "histogram": plan.histogram,
        "input": network.input.name,
        "head": network.head.kind,
        "depth": network.depth,
    }
    if not network.is_chain:
        body = network.content()["body"]
        text |= {f"body[{i}]": json.dumps(part, sort_keys=True) for i, part in enumerate(body)}
    for number, layer in enumerate(network.layers if network.is_chain else (), start=1):
        text |= {f"layers[{number}].{name}": value for name, value in layer.content().items()}
    # The digest comes last: it also covers what has no short name, such as the numbers of a data file.
    return {name: str(value) for name, value in {**text, **plan.facts()}.items()}


def differences(stored: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """List the names whose text differs; the network's digest only if nothing readable does."""
    names = [name for name in {**stored, **now} if stored.get(name) != now.get(name)]
    readable = [name for name in names if name != "network"] or names
    return [
        f"{name} {stored.get(name, 'absent')} in the store, {now.get(name, 'absent')} now"
        for name in readable
    ]
