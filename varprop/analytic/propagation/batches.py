"""Batches whose examples and positions are too many for one covariance: looked at some examples at a time.

Without a batch normalization examples meet in nothing but the rows about pairs of them. All others are means over
examples, and means over equal parts of a batch have the mean over the batch as their mean.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from varprop.analytic.entries import Entry, joined, unpredicted
from varprop.analytic.propagation.rules import RULES
from varprop.analytic.propagation.signal import LARGEST
from varprop.spec import Network
from varprop.spec.heads import Head
from varprop.spec.inputs import Input

Table = dict[str, Entry]

_AT_A_TIME = 512
_MOST_PARTS = 16
_OF_PAIRS = ("data_variance", "correlation", "dead_fraction", "gradient_weight_batch")


def parts_of(network: Network) -> list[Network] | None:
    """Return networks for parts of the batch; None if it can stay whole, or its examples cannot be told apart."""
    graph, examples = network.graph, network.input.batch
    positions = max((node.shape.count for node in graph.nodes if node.sources), default=1)
    coupled = any(RULES[type(node.op)].meets_examples for node in graph.nodes)
    if examples * positions <= LARGEST or coupled or positions > LARGEST or examples == 1:
        return None
    size = max(1, _AT_A_TIME // positions)
    # Equal parts, so that their mean is that of the batch.
    size = max(n for n in range(1, size + 1) if examples % n == 0)
    starts = np.arange(0, examples, size)
    if starts.size > _MOST_PARTS:
        starts = starts[np.linspace(0, starts.size - 1, _MOST_PARTS).astype(np.intp)]
    return [_part(network, int(start), size) for start in starts]


def _part(network: Network, start: int, size: int) -> Network:
    data, head = network.input, network.head
    columns, outputs = data.shape.count, network.graph.output.shape.count
    chosen = slice(start * columns, (start + size) * columns)
    labels = None if data.labels is None else data.labels[start : start + size]
    part = Input(data.array()[:, chosen], labels=labels, positions=data.positions, vocabulary=data.vocabulary)
    targets = network.targets
    if targets is not None and head.targets is not None:
        own = targets.T[start * outputs : (start + size) * outputs]
        head = Head(head.kind, own)
    return Network(part, network.body, head)


def averaged(
    network: Network, parts: Sequence[Network], predict: Callable[[Network], list[Table]]
) -> list[Table]:
    """Return the entries of a batch, averaged over those of its parts."""
    found = [predict(part) for part in parts]
    seen = len(parts) * parts[0].input.batch
    left_out = f"averaged over {seen} of {network.input.batch} examples" if seen < network.input.batch else ""
    why = f"pairs of more than {LARGEST} columns"
    tables: list[Table] = []
    for site in zip(*found, strict=True):
        table = {name: _mean([one[name] for one in site], left_out) for name in site[0]}
        table |= dict.fromkeys((name for name in _OF_PAIRS if name in table), unpredicted(why))
        tables.append(table)
    return tables


def _mean(entries: list[Entry], left_out: str) -> Entry:
    worst = max(entries, key=lambda entry: ("exact", "1/n", "infinite", "approximate", "").index(entry.order))
    if not worst.order:
        return worst
    top = max(entry.log_value for entry in entries)
    log_value = top
    if np.isfinite(top):
        log_value = top + float(np.log(np.mean(np.exp([entry.log_value - top for entry in entries]))))
    mean = replace(worst, value=float(np.mean([entry.value for entry in entries])), log_value=log_value)
    if left_out:
        return replace(mean, order="approximate", reason=joined(worst.reason, left_out))
    return mean
