"""`predict_network`: every quantity of every layer, from theory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any


from varprop._validation import check_one_of, check_real
from varprop.activations import DEFAULT_SHARE
from varprop.analytic.backward import backward
from varprop.analytic.entries import Entry, number, unpredicted
from varprop.analytic.forward import forward
from varprop.analytic.heads import start
from varprop.analytic.rows import gradient_entries, known_entries, random_entries
from varprop.analytic.states import KnownLayer
from varprop.results.schema import PREDICTED_COLUMNS, tidy
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
        predicted has the value NaN and says why.

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
    for layer, entries in enumerate(predicted_entries(network, order, share), start=1):
        spec = network.layers[layer - 1]
        for quantity, entry in entries.items():
            rows.append(
                {
                    "case": network.case,
                    "activation": spec.activation.name,
                    "weights": spec.weights.name,
                    "biases": spec.biases.name,
                    "layer": layer,
                    "width": spec.width,
                    "quantity": quantity,
                    "value": entry.value,
                    "log_value": entry.log_value,
                    "order": entry.order,
                    "reason": entry.reason,
                }
            )
    return tidy(rows, PREDICTED_COLUMNS, {"order": order, "share": share})


def predicted_entries(network: Network, order: str, share: float) -> list[dict[str, Entry]]:
    """Return the entries of every layer, by quantity."""
    states = forward(network)
    head = start(network, states[-1])
    gradients = backward(states, head)
    tables: list[dict[str, Entry]] = []
    note = head.reason
    for state in reversed(states):
        # The pass comes from above: what is missing there is missing everywhere below.
        note = note if isinstance(state, KnownLayer) else note or state.averages.reason
    for state, gradient in zip(states, gradients, strict=True):
        known = isinstance(state, KnownLayer)
        entries = (
            known_entries(state, share) if isinstance(state, KnownLayer) else random_entries(state, share)
        )
        entries |= gradient_entries(gradient, note)
        entries |= _batch_entries(network, entries, known)
        tables.append(entries)
    if head.loss is not None:
        tables[-1]["initial_loss"] = number(
            head.loss, head.exact_loss, _last_reasons(states[-1]), head.reason
        )
    if order == "exact":
        tables = [{name: _only_exact(entry) for name, entry in table.items()} for table in tables]
    return tables


def _batch_entries(network: Network, entries: dict[str, Entry], known: bool) -> dict[str, Entry]:
    why = "needs the covariance of two inputs"
    if network.input.batch == 1:
        return {
            "dead_fraction": entries["inactive_fraction"],
            "gradient_weight_batch": entries["gradient_weight"],
        }
    names = ("dead_fraction", "gradient_weight_batch", "data_variance", "correlation")
    return {name: unpredicted(why) for name in names}


def _last_reasons(state: Any) -> tuple[str, ...]:
    return () if isinstance(state, KnownLayer) else state.reasons


def _only_exact(entry: Entry) -> Entry:
    if entry.order in ("exact", ""):
        return entry
    return unpredicted("no exact law is known for this row")
