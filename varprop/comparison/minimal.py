"""Predictions of somebody's own: tables that say no more than layer, quantity and value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from varprop._validation import InputError, described
from varprop.results.frames import validate
from varprop.results.schema import LAYER_COLUMNS, PREDICTED_COLUMNS, tidy

if TYPE_CHECKING:
    import pandas as pd

_STATED = ("log_value", "second_moment", "order", "reason")


def is_minimal(predicted: Any) -> bool:
    """Say whether a table has a quantity and a value, and not what a network says of its layers."""
    columns = set(getattr(predicted, "columns", ()))
    return {"quantity", "value"} <= columns and not {"width", "activation"} <= columns


def completed(predicted: pd.DataFrame, simulated: pd.DataFrame) -> pd.DataFrame:
    """Return a minimal table with all that the measured rows of the same place say.

    Parameters
    ----------
    predicted : DataFrame
        Columns ``quantity`` and ``value``; ``layer``, without which a row speaks of every layer that has the quantity;
        ``case``, without which it speaks of every case; and any of ``log_value``, ``second_moment``, ``order``,
        ``reason``, ``allowance``. Without ``order`` a row claims that the truth lies within the margin.
    simulated : DataFrame
        Columns of `varprop.results.schema.SIMULATED_COLUMNS`.

    Returns
    -------
    DataFrame
        `PREDICTED_COLUMNS` and ``allowance``.

    Raises
    ------
    InputError
        A row without a value, one that no measured row belongs to, or two that say something of the same row.
    """
    import pandas as pd

    theirs = validate(
        simulated, ("case", *LAYER_COLUMNS, "quantity", "value"), "simulated", optional=LAYER_COLUMNS
    )
    places = list(zip(*(theirs[key].tolist() for key in ("case", "layer", "quantity")), strict=True))
    measured = ~np.isnan(theirs["value"])
    given = predicted.reset_index(drop=True)
    if "case" not in given:
        given = given.assign(case="")
    wanted = _layers(given)
    stated = [name for name in (*_STATED, "allowance") if name in given]
    checked = validate(
        given.assign(layer=np.arange(len(given))),
        ("case", "layer", "quantity", "value", *stated),
        "predicted",
    )
    rows: dict[tuple[str, int, str], dict[str, Any]] = {}
    for i, (case, quantity, value) in enumerate(
        zip(*(checked[name].tolist() for name in ("case", "quantity", "value")), strict=True)
    ):
        if np.isnan(value):
            raise InputError(
                "predicted.value", value, f"a number in every row; row {i} ({quantity}) has none"
            )
        layer, found = wanted[i], 0
        for place, key in enumerate(places):
            if key[2] != quantity or case not in ("", key[0]) or layer not in (None, key[1]):
                continue
            if layer is None and not measured[place]:
                continue
            if key in rows:
                said = described(f"two values of {quantity} in layer {key[1]} of {key[0][:80]!r}")
                raise InputError("predicted", said, "one value for each row")
            found += 1
            rows[key] = {
                **{name: theirs[name][place] for name in ("case", *LAYER_COLUMNS, "quantity")},
                "value": value,
                "order": "approximate",
                "allowance": 0.0,
                **{name: checked[name][i] for name in stated},
            }
        if not found:
            at = quantity if layer is None else f"{quantity} in layer {layer}"
            raise InputError("predicted", described(at), "quantities and layers that were measured")
    allowances = [row.pop("allowance") for row in rows.values()]
    if "order" in stated and "allowance" not in stated:
        allowances = [np.nan] * len(allowances)
    return tidy(rows.values(), PREDICTED_COLUMNS).assign(allowance=pd.Series(allowances, dtype="float64"))


def _layers(given: pd.DataFrame) -> list[int | None]:
    """Return the layer of each row, None where it says none."""
    if "layer" not in given:
        return [None] * len(given)
    layers: list[int | None] = []
    for item, gone in zip(given["layer"].tolist(), given["layer"].isna().tolist(), strict=True):
        number = np.nan
        if not gone and item != "":
            try:
                number = float(item)
            except (TypeError, ValueError):
                raise InputError("predicted.layer", item, "whole numbers") from None
            if number != np.floor(number):
                raise InputError("predicted.layer", item, "whole numbers")
        layers.append(None if np.isnan(number) else int(number))
    return layers
