"""What the walk over a translated graph says of the nodes that were traced: the rows that an audit measures."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from varprop._validation import InputError
from varprop.adapters.recording import Recording
from varprop.analytic.entries import Entry, joined, number
from varprop.analytic.propagation import Propagated, propagate
from varprop.analytic.propagation.chains import leading_chain
from varprop.analytic.propagation.entries import site_tables
from varprop.analytic.propagation.rows import moment_entry
from varprop.analytic.propagation.signal import Array, Gradient, Signal, merged
from varprop.auditing.measured import gradient_name, restarts_of
from varprop.auditing.places import Value
from varprop.auditing.translate import MOST_COLUMNS, Translated, translate
from varprop.spec.graph import Site
from varprop.spec.ops import Activate, BatchNorm
from varprop.spec.traced import Node

Rows = list[dict[str, Any]]

FULL_THEORY = 256
"""Layers times columns up to which the full theory of a chain is worked out unasked."""

UNASKED = 256
"""Columns up to which a model is walked through unasked."""

_FRACTIONS = ("saturated_fraction", "inactive_fraction", "dead_fraction", "derivative_second_moment")


def walked_rows(recording: Recording, share: float, unit_head: bool, order: str) -> Rows:
    """Return rows ``layer, parameter, quantity, value, log_value, order, reason, restarted`` for all that is known.

    Nothing for a model that no network of ops is (see `translate`).
    """
    found = translate(recording, UNASKED if order == "auto" else MOST_COLUMNS)
    if found is None:
        return []
    try:
        walk = propagate(found.network, restarts_of(found, recording, unit_head))
    except (InputError, np.linalg.LinAlgError):
        return []
    return list(_Table(found, recording, walk, _tables(walk, share, order), unit_head).rows())


def _tables(walk: Propagated, share: float, order: str) -> list[dict[str, Entry]]:
    network = walk.walk.network
    chain, whole = leading_chain(network)
    if order == "auto":
        most = FULL_THEORY if chain is not None and len(chain.layers) * chain.input.batch > FULL_THEORY else 0
        chain, order = (None if most else chain), "best"
    return site_tables(walk, share, None if whole else chain, order)


@dataclass
class _Table:
    """The rows of one model."""

    found: Translated
    recording: Recording
    walk: Propagated
    tables: list[dict[str, Entry]]
    unit_head: bool

    def rows(self) -> Iterator[dict[str, Any]]:
        graph = self.recording.graph
        yield from self._input()
        for node in graph.nodes:
            value = self.found.values.get(node.index)
            if value is None:
                continue
            if node.index not in self.found.restarts:
                yield from self._forward(node, value)
            yield from self._backward(node, value)

    def _input(self) -> Iterator[dict[str, Any]]:
        gradient = self.walk.gradients[0]
        if gradient is None or gradient.unknown or self.recording.source is None:
            return
        entry = moment_entry(gradient.diagonal, gradient.exact, gradient.reasons)
        yield row(1, "gradient_input", entry, gradient.restarted)

    def _forward(self, node: Node, value: Value) -> Iterator[dict[str, Any]]:
        signal, site = self.walk.walk.signals[value.node], self._site(value.node)
        if signal.unknown:
            return
        what = "activation" if node.op == "activation" else "preactivation"
        known = self._known(value.node, site, node)
        scale = float(np.sqrt(np.mean(signal.diagonal)))
        mean = number(signal.mean, signal.exact_mean, signal.reasons, scale=scale)
        second = moment_entry(signal.diagonal, signal.exact_diagonal, signal.reasons)
        yield row(node.index, f"{what}_mean", known.get(f"{what}_mean", mean), signal.restarted)
        yield row(
            node.index, f"{what}_second_moment", known.get(f"{what}_second_moment", second), signal.restarted
        )
        if node.op == "activation":
            yield from self._fractions(node, site, signal)
            return
        exact = signal.exact_diagonal and signal.exact_mean
        levels = signal.mean.reshape(self.recording.examples, -1).mean(axis=1)
        sizes = signal.diagonal.reshape(self.recording.examples, -1).mean(axis=1)
        variance = moment_entry(sizes - np.square(levels), exact, signal.reasons)
        yield row(
            node.index,
            "preactivation_variance",
            known.get("preactivation_variance", variance),
            signal.restarted,
        )
        if self.recording.examples > 1:
            spread = moment_entry(np.array([self._spread(signal.second)]), signal.exact, signal.reasons)
            plain = signal.mean.size == self.recording.examples
            entry = known.get("data_variance", spread) if plain else spread
            yield row(node.index, "data_variance", entry, merged(signal.restarted, signal.restarted_pairs))

    def _fractions(self, node: Node, site: Site | None, signal: Signal) -> Iterator[dict[str, Any]]:
        if site is None or site.activated != self.found.values[node.index].node:
            return
        table = self.tables[site.number - 1]
        single = signal.mean.size == self.recording.examples
        before = self.walk.walk.signals[site.node]
        for name in _FRACTIONS:
            if name in table and (single or name != "dead_fraction"):
                marks = before.restarted_pairs if name == "dead_fraction" else ()
                yield row(node.index, name, table[name], merged(before.restarted, marks))

    def _spread(self, second: Array) -> float:
        """Return the variance over examples at one position, mean over positions."""
        b = self.recording.examples
        cells = second.reshape(b, second.shape[0] // b, b, -1)
        same = np.einsum("atbt->ab", cells) / cells.shape[1]
        return float((np.trace(same) - same.sum() / b) / (b - 1))

    def _site(self, index: int) -> Site | None:
        return self.walk.walk.graph.site_of.get(index)

    def _known(self, index: int, site: Site | None, node: Node) -> dict[str, Entry]:
        """Return the entries of the network's own table that speak of a node's output."""
        if site is None:
            return {}
        at = site.activated if isinstance(self.walk.walk.graph.nodes[index].op, Activate) else site.node
        return self.tables[site.number - 1] if at == index else {}

    def _backward(self, node: Node, value: Value) -> Iterator[dict[str, Any]]:
        gradient = self.walk.gradients[value.node]
        if gradient is None or gradient.unknown or self._closed(gradient):
            return
        if value.node not in self._measured:
            entry = moment_entry(gradient.diagonal, gradient.exact, gradient.reasons)
            yield row(node.index, gradient_name(node), entry, gradient.restarted)
        for own in ("weight", "bias", "in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias"):
            maps = self.found.maps.get((node.index, own))
            if maps:
                yield from self._parameter(node, own, maps)

    @cached_property
    def _measured(self) -> frozenset[int]:
        """Nodes at which the gradient was measured: what a restart reads, and the output under the user's loss."""
        nodes = self.walk.walk.graph.nodes
        own = frozenset(i for index in self.found.restarts.values() for i in nodes[index].sources)
        return own if self.unit_head else own | {nodes[-1].index}

    def _closed(self, gradient: Gradient) -> bool:
        """Return whether the rules node by node know by formulas what the walk follows by features drawn.

        So it is behind a batch normalization of vectors.
        """
        nodes = self.walk.walk.graph.nodes
        plain = any(isinstance(node.op, BatchNorm) and node.shape.count == 1 for node in nodes)
        return plain and gradient.samples is not None

    def _parameter(self, node: Node, own: str, maps: list[int]) -> Iterator[dict[str, Any]]:
        """Yield the rows of a parameter, the mean over the maps of which it consists."""
        what = "gradient_bias" if "bias" in own else "gradient_weight"
        coupled = any(isinstance(n.op, BatchNorm) for n in self.walk.walk.graph.nodes)
        found: dict[str, list[Entry]] = {}
        marks: tuple[str, ...] = ()
        for index in maps:
            site, gradient = self._site(index), self.walk.gradients[index]
            if site is None or gradient is None or gradient.unknown:
                return
            before = self.walk.walk.signals[self.walk.walk.graph.nodes[index].sources[0]]
            marks = merged(marks, gradient.restarted, before.restarted)
            if gradient.second.shape[0] > self.recording.examples:
                marks = merged(marks, before.restarted_pairs)
            table = self.tables[site.number - 1]
            found.setdefault(what, []).append(table[what])
            batch = table["gradient_weight_batch"] if what == "gradient_weight" else self._batch(gradient)
            found.setdefault(f"{what}_batch", []).append(batch)
        for quantity, entries in found.items():
            if what == "gradient_bias" and _cancels(entries, [self.walk.gradients[i] for i in maps]):
                continue
            if quantity.endswith("batch") and not self.unit_head:
                continue  # how the gradients of examples are correlated was not measured
            if coupled and not quantity.endswith("batch"):
                continue
            yield row(node.index, quantity, _averaged(entries), marks, own)

    def _batch(self, gradient: Gradient) -> Entry:
        total = float(np.sum(gradient.second)) / self.recording.examples**2
        return moment_entry(np.array([total]), gradient.exact, gradient.reasons)


def _cancels(entries: list[Entry], gradients: list[Gradient | None]) -> bool:
    """Return whether a sum of gradients over columns is 0 in every draw: what is measured of it is rounding.

    So it is for the biases of keys, which drop out of the softmax.
    """
    sizes = [float(np.sum(g.diagonal)) for g in gradients if g is not None]
    return max(entry.value for entry in entries) <= _ROUNDING * max(sizes, default=0.0)


_ROUNDING = 1e-10


def _averaged(entries: list[Entry]) -> Entry:
    if len(entries) == 1:
        return entries[0]
    worst = max(entries, key=lambda entry: _SEVERITY.index(entry.order))
    value = float(np.mean([entry.value for entry in entries]))
    reason = joined(*(entry.reason for entry in entries))
    return Entry(value, math.log(value) if value > 0.0 else -math.inf, worst.order, reason)


_SEVERITY = ("exact", "1/n", "infinite", "approximate", "")


def row(
    index: int, quantity: str, entry: Entry, restarted: tuple[str, ...], parameter: str = ""
) -> dict[str, Any]:
    """Return a row of an audit's predictions."""
    order = "approximate" if restarted and entry.order else entry.order
    return {
        "layer": index,
        "parameter": parameter,
        "quantity": quantity,
        "value": entry.value,
        "log_value": entry.log_value,
        "order": order,
        "reason": joined(*restarted, entry.reason),
        "restarted": bool(restarted),
    }
