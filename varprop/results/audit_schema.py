"""The table of an audit: the compared table's columns, and which module, call and parameter a row is about.

Audits speak of things that a spec network does not have (an embedding's gradient, an attention logit, a
fan as a framework counts it), so they have further quantities; a row with one of `QUANTITIES`' names means what
it means everywhere. ``layer`` is the place in the order of execution.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from varprop.results.schema import (
    COMPARED_COLUMNS,
    QUANTITIES,
    SIMULATED_COLUMNS,
    TEXT_COLUMNS,
    WHOLE_COLUMNS,
    Quantity,
)

if TYPE_CHECKING:
    import pandas as pd

AUDIT_QUANTITIES: Mapping[str, Quantity] = {
    **QUANTITIES,
    **{
        q.name: q
        for q in (
            Quantity(
                "gradient_activation",
                "moment",
                "Gradient at the activation's output",
                "E[(dL/da)²], mean over units and inputs",
                backward=True,
            ),
            Quantity(
                "gradient_bias_batch",
                "moment",
                "Gradient of a bias, batch mean",
                "E[(dL/db_i)²] of the batch-mean loss: what an optimizer sees",
                backward=True,
            ),
            Quantity(
                "attention_logit_variance",
                "moment",
                "Variance of the attention logits",
                "variance over the keys of what the softmax of an attention is taken of, at a fixed query",
            ),
            Quantity(
                "residual_growth",
                "moment",
                "Growth of the residual stream",
                "second moment of the stream after an addition over its second moment before",
            ),
            Quantity(
                "site_correlation",
                "correlation",
                "Correlation of the sites of a pool",
                "second moment of two sites of one pooling window, normalised; mean over pairs",
            ),
            Quantity(
                "batch_variance",
                "moment",
                "Variance a batch normalisation divides by",
                "variance of a channel over examples and positions, of the normalisation's input",
            ),
            Quantity("parameter_mean", "mean", "Parameter mean", "mean of the entries as drawn"),
            Quantity(
                "parameter_std", "moment", "Parameter standard deviation", "root of the entries' variance"
            ),
            Quantity("fan_in", "moment", "Fan-in", "terms in the sum that makes one output"),
            Quantity("fan_out", "moment", "Fan-out", "outputs that one input enters"),
            Quantity(
                "fan_in_stated", "moment", "Fan-in as stated", "what the framework's initializers count"
            ),
            Quantity(
                "fan_out_stated", "moment", "Fan-out as stated", "what the framework's initializers count"
            ),
            Quantity("fan_in_factor", "moment", "Fan-in factor", "fan-in over fan-in as stated"),
            Quantity("fan_out_factor", "moment", "Fan-out factor", "fan-out over fan-out as stated"),
        )
    },
}
"""Every quantity an audit can report; those of the common contract included."""

PLACE_COLUMNS = ("module", "kind", "op", "call", "sources", "parameter", "trunk")
"""Where in the model a row belongs. ``sources`` are the nodes read (``"3 5"``; 0 is the model's input, -1 unseen)."""

PLACE_TEXTS = ("module", "kind", "op", "sources", "parameter")
FLAG_COLUMNS = ("trunk",)
_SPEC_ONLY = ("node", "fan_in", "depth", "depth_over_width", "sigma_w", "sigma_b", "second_moment", "look")
"""Columns of spec networks that a node has not got: its fans have rows of their own, its draws
are as many as were asked for."""

MEASURED_COLUMNS = (*(c for c in SIMULATED_COLUMNS if c not in _SPEC_ONLY), *PLACE_COLUMNS)
AUDIT_COLUMNS = (
    *(c for c in COMPARED_COLUMNS if c not in (*_SPEC_ONLY, "n_draws")),
    "median",
    "n_draws",
    *PLACE_COLUMNS,
)
AUDIT_KEYS = ("case", "layer", "parameter", "quantity")

_WHOLE = {*WHOLE_COLUMNS, "call"}
_TEXTS = {*TEXT_COLUMNS, *PLACE_TEXTS}


def audit_frame(
    rows: Iterable[Mapping[str, Any]], columns: tuple[str, ...], attrs: Mapping[str, Any] | None = None
) -> pd.DataFrame:
    """Build an audit's table with exactly `columns`; missing text becomes ``""``, missing numbers NaN.

    Raises
    ------
    KeyError
        If a row has a key that is no column, or a quantity that an audit does not know.
    """
    import pandas as pd

    records, known = list(rows), set(columns)
    for record in records:
        extra = record.keys() - known
        if extra or record["quantity"] not in AUDIT_QUANTITIES:
            raise KeyError(f"not in the contract: {sorted(extra) or record['quantity']}")
    data: dict[str, Any] = {}
    for column in columns:
        if column in _WHOLE:
            data[column] = pd.Series([r.get(column, 0) for r in records], dtype="int64")
        elif column in FLAG_COLUMNS:
            data[column] = pd.Series([r.get(column, True) for r in records], dtype="bool")
        elif column in _TEXTS:
            data[column] = pd.Series([r.get(column, "") for r in records], dtype=object)
        else:
            data[column] = pd.Series([r.get(column, float("nan")) for r in records], dtype="float64")
    frame = pd.DataFrame(data, columns=list(columns))
    frame.attrs.update(attrs or {})
    return frame
