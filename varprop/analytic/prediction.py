"""`predict_network`: every quantity of every layer, from theory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from varprop._validation import check_one_of, check_real
from varprop.activations import DEFAULT_SHARE
from varprop.analytic.chain import chain_entries
from varprop.analytic.entries import Entry
from varprop.analytic.propagation import graph_entries
from varprop.results.schema import MOMENT_OF, PREDICTED_COLUMNS, tidy
from varprop.spec import Network

if TYPE_CHECKING:
    import pandas as pd

ORDER_CHOICES = ("best", "exact", "1/n", "infinite")


def predict_network(network: Network, *, order: str = "best", share: float = DEFAULT_SHARE) -> pd.DataFrame:
    """Predict every quantity of every layer of `network`, or of every site of one that is no chain.

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
        tables = (chain_entries if network.is_chain else graph_entries)(network, order, share)
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
