"""Checks of what `train` and `symmetry` are given."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from varprop._validation import InputError, check_integer, described
from varprop.spec import Input, Network
from varprop.training.losses import LOSSES

Seeds = int | Iterable[int]


def trainable(network: Network, data: Input | None) -> Network:
    """Return `network` on `data`, if it has a loss on its logits."""
    if not isinstance(network, Network):
        raise InputError("network", described(type(network).__name__), "a Network")
    if network.head.kind not in LOSSES:
        raise InputError("network.head", network.head.kind, f"a head with a loss: {', '.join(LOSSES)}")
    last = network.layers[-1].activation.name
    links = ("linear", "sigmoid") if network.head.kind == "bce" else ("linear",)
    if last not in links:
        field = f"network.layers[{network.depth - 1}].activation"
        raise InputError(field, last, f"{' or '.join(links)}: the head {network.head.kind} takes logits")
    return network if data is None else _on(network, data, "data")


def tested(network: Network, test: Input) -> Network:
    """Return `network` on the test examples, whose targets are their labels."""
    if network.head.targets is not None and network.head.targets.ndim > 0:
        raise InputError(
            "test", described("examples without targets"), "labels instead of the head's targets"
        )
    found = _on(network, test, "test")
    if test.size != network.input.size:
        raise InputError("test", described(f"{test.size} inputs"), f"{network.input.size}, as for training")
    return found


def _on(network: Network, data: Input, field: str) -> Network:
    if not isinstance(data, Input):
        raise InputError(field, described(type(data).__name__), "an Input")
    try:
        return replace(network, input=data)
    except InputError as error:
        raise error.under(field) from None


def length(
    examples: int, steps: int | None, epochs: int | None, batch_size: int | None
) -> tuple[int, int, int | None]:
    """Return steps to do, steps in an epoch, and the batch size (None if it takes all examples)."""
    if (steps is None) == (epochs is None):
        raise InputError("steps", described(f"steps={steps}, epochs={epochs}"), "one of the two")
    if batch_size is not None:
        batch_size = check_integer("batch_size", batch_size, minimum=1, maximum=examples)
    per_epoch = 1 if batch_size is None else math.ceil(examples / batch_size)
    if steps is not None:
        return check_integer("steps", steps, minimum=1), per_epoch, batch_size
    return check_integer("epochs", epochs, minimum=1) * per_epoch, per_epoch, batch_size


def layout(seeds: Seeds, order_seeds: Seeds | None) -> list[tuple[int, int]]:
    """Return (seed, order seed) of every run: each seed with its own, or every seed with every order seed."""
    starts = _seeds("seeds", seeds)
    if order_seeds is None:
        return [(seed, seed) for seed in starts]
    return [(seed, order) for seed in starts for order in _seeds("order_seeds", order_seeds)]


def _seeds(field: str, given: Seeds) -> list[int]:
    if isinstance(given, Iterable):
        listed = [check_integer(f"{field}[{i}]", seed, minimum=0) for i, seed in enumerate(given)]
        if not listed or len(set(listed)) != len(listed):
            raise InputError(field, described(f"{len(listed)} seeds"), "at least one, each once")
        return listed
    return list(range(check_integer(field, given, minimum=1)))


def stops(field: str, given: int | Sequence[int], total: int) -> list[int]:
    """Return the steps that `given` names, an interval or a list, with the first and the last."""
    if isinstance(given, Iterable):
        named = [
            check_integer(f"{field}[{i}]", step, minimum=0, maximum=total) for i, step in enumerate(given)
        ]
    else:
        named = list(range(0, total, check_integer(field, given, minimum=1)))
    return sorted({0, *named, total})


def precision(dtype: Any) -> Any:
    """Return the NumPy type of float32 or float64."""
    import numpy as np

    kind = np.dtype(dtype)
    if kind not in (np.float32, np.float64):
        raise InputError("dtype", described(str(kind)), "float32 or float64")
    return kind
