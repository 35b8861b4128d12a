"""Dense chains: the entries of every layer, from the forward and the backward recursion."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from varprop.analytic.backward import backward
from varprop.analytic.batch import add_batch_entries
from varprop.analytic.entries import Entry, Shift, joined, number, unpredicted
from varprop.analytic.fluctuations import Fluctuation, backward_fluctuations, forward_fluctuations
from varprop.analytic.forward import forward
from varprop.analytic.head_start import Start
from varprop.analytic.heads import start
from varprop.analytic.norm_factor import norm_factor
from varprop.analytic.rows import gradient_entries, known_entries, random_entries
from varprop.analytic.states import KnownLayer, LayerState
from varprop.spec import Network


def chain_entries(network: Network, order: str, share: float) -> list[dict[str, Entry]]:
    """Return the entries of every layer, by quantity."""
    states = forward(network)
    head = start(network, states[-1])
    finite = forward_fluctuations(states)
    finite_gradients = backward_fluctuations(states, finite, head)
    aligned = next((g.aligned for g in finite_gradients if g is not None), None)
    gradients = backward(states, head, aligned)
    note = joined(head.reason, *(s.averages.reason for s in states if isinstance(s, LayerState)))
    tables: list[dict[str, Entry]] = []
    for state, here, gradient, there in zip(states, finite, gradients, finite_gradients, strict=True):
        if isinstance(state, KnownLayer) or here is None:
            entries = known_entries(state, share)  # type: ignore[arg-type]
        else:
            entries = random_entries(state, here, share, order)
        entries |= gradient_entries(gradient, there, order, note)
        tables.append(entries)
    _add_exact_means(states, tables)
    add_batch_entries(network, states, gradients, finite_gradients, head, tables)
    if head.loss is not None:
        tables[-1]["initial_loss"] = _loss(head, states[-1], finite[-1], order)
    if order == "exact":
        tables = [{name: only_exact(entry) for name, entry in table.items()} for table in tables]
    return tables


def _add_exact_means(states: Sequence[KnownLayer | LayerState], tables: list[dict[str, Entry]]) -> None:
    """Put the exact E phi of (leaky) ReLU layers into the tables: it is proportional to E |h| below."""
    log_ratio = 0.0
    for state, table in zip(states, tables, strict=True):
        if isinstance(state, KnownLayer) or not state.homogeneous:
            return
        table["activation_mean"] = number(state.averages.mean * np.exp(log_ratio), True, ())
        assert state.activation.slopes is not None
        log_ratio += norm_factor(state.activation.slopes, state.width).log_root_ratio


def _loss(head: Start, last: KnownLayer | LayerState, finite: Fluctuation | None, order: str) -> Entry:
    assert head.loss is not None
    if isinstance(last, KnownLayer) or finite is None:
        return number(head.loss, head.exact_loss, ())
    change = head.loss_first * finite.shift + head.loss_second * finite.second
    shift = Shift(change, order, float(np.max(finite.spread)), finite.reason)
    return number(head.loss, head.exact_loss, last.reasons, head.reason, shift, float(np.mean(head.loss)))


def only_exact(entry: Entry) -> Entry:
    """Return the entry if it is exact, else one without a value."""
    if entry.order in ("exact", ""):
        return entry
    return unpredicted("no exact law is known for this row")
