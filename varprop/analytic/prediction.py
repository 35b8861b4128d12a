"""`predict_network`: every quantity of every layer, from theory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from varprop._validation import check_one_of, check_real
from varprop.activations import DEFAULT_SHARE
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
from varprop.results.schema import MOMENT_OF, PREDICTED_COLUMNS, tidy
from varprop.spec import Network

if TYPE_CHECKING:
    import pandas as pd

ORDER_CHOICES = ("best", "exact", "1/n", "infinite")


def predict_network(network: Network, *, order: str = "best", share: float = DEFAULT_SHARE) -> pd.DataFrame:
    """Predict every quantity of every layer of `network`.

    Parameters
    ----------
    network : Network
    order : {"best", "exact", "1/n", "infinite"}
        How far the theory may go: ``exact`` leaves out what holds only in a limit, ``infinite`` takes the limit of
        wide layers, ``1/n`` adds the correction of order one over the width where it is known, ``best`` takes
        the best of these for each row. Rows that are exact are exact under every choice.
    share : float
        Share of the greatest slope at which a unit counts as saturated, between 0 and 1.

    Returns
    -------
    DataFrame
        One row per layer and quantity (`varprop.results.schema.PREDICTED_COLUMNS`); a row that cannot be
        predicted has the value NaN and says why. A further column ``allowance`` says how far the truth may be
        from the value at this width, in its unit: 0 for exact rows, the 1/n correction for infinite-width
        ones, an estimate of the next order for corrected ones, NaN where unknown.

    Examples
    --------
    >>> import varprop as vp
    >>> neuron = vp.mlp([1], activation="sigmoid", weights="standard_normal", biases="standard_normal",
    ...                 input=vp.half_on(1000))
    >>> table = predict_network(neuron)
    >>> row = table[table.quantity == "preactivation_variance"].iloc[0]
    >>> float(row.value), row.order
    (501.0..., 'exact')
    """
    check_one_of("order", order, ORDER_CHOICES)
    check_real("share", share, minimum=0.0, maximum=1.0)
    rows: list[dict[str, Any]] = []
    # What overflows or is not known travels as inf or NaN, and every entry says so.
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        tables = predicted_entries(network, order, share)
    for layer, entries in enumerate(tables, start=1):
        row = network.row(layer)
        for quantity, entry in entries.items():
            rows.append(
                {
                    **row,
                    "quantity": quantity,
                    "value": entry.value,
                    "log_value": entry.log_value,
                    "second_moment": _second_moment(entries, quantity),
                    "order": entry.order,
                    "reason": entry.reason,
                    "allowance": entry.allowance,
                }
            )
    return tidy(rows, (*PREDICTED_COLUMNS, "allowance"), {"order": order, "share": share})


def _second_moment(entries: Mapping[str, Entry], quantity: str) -> float:
    """Return the second moment that a mean or variance belongs to, NaN for other quantities."""
    moment = MOMENT_OF.get(quantity, "")
    return entries[moment].value if moment in entries else float("nan")


def predicted_entries(network: Network, order: str, share: float) -> list[dict[str, Entry]]:
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
        tables = [{name: _only_exact(entry) for name, entry in table.items()} for table in tables]
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


def _only_exact(entry: Entry) -> Entry:
    if entry.order in ("exact", ""):
        return entry
    return unpredicted("no exact law is known for this row")
