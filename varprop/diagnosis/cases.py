"""A table of any kind as what a verdict reads: one number per row, and one table per case."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from varprop._validation import InputError, described
from varprop.results.audit_schema import AUDIT_KEYS, AUDIT_QUANTITIES, PLACE_COLUMNS
from varprop.results.frames import validate
from varprop.results.schema import KEY_COLUMNS, LAYER_COLUMNS

if TYPE_CHECKING:
    import pandas as pd


def cases(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the rows of each case of a predicted, simulated, compared or audit table, in order of layers.

    Returns
    -------
    mapping from case to DataFrame
        Columns ``case, layer, quantity, reason``, `LAYER_COLUMNS` and `PLACE_COLUMNS`; ``number``, what was measured or
        else predicted; ``log_number``, its natural logarithm, known even where ``number`` overflows or underflows;
        ``expected``, what was predicted beside a measurement.

    Raises
    ------
    InputError
        No table, no rows, a column that is missing, or a row that is there twice.
    """
    import pandas as pd

    has = getattr(table, "columns", ())
    compared, audited = "measured" in has, "op" in has or "trunk" in has
    numbers = ("predicted", "measured") if compared else ("value", "log_value")
    places = (*PLACE_COLUMNS,) if audited else ()
    described_by = (*(column for column in LAYER_COLUMNS if column != "layer"), "reason", *PLACE_COLUMNS)
    columns = validate(
        table,
        (*KEY_COLUMNS, *numbers, *places),
        "table",
        optional=tuple(column for column in described_by if column not in places),
        keys=AUDIT_KEYS if audited else KEY_COLUMNS,
        quantities=AUDIT_QUANTITIES,
    )
    if not len(table):
        raise InputError("table", described("a table without rows"), "rows of at least one case")
    if compared:
        columns["number"] = np.where(
            np.isnan(columns["measured"]), columns["predicted"], columns.pop("measured")
        )
        columns["log_number"] = _logarithm(columns["number"])
        columns["expected"] = columns.pop("predicted")
    else:
        columns["number"], stated = columns.pop("value"), columns.pop("log_value")
        # A logarithm is -inf or missing where a mean is not positive; then the number itself says more.
        columns["log_number"] = np.where(np.isfinite(stated), stated, _logarithm(columns["number"]))
        columns["expected"] = np.full(len(table), np.nan)
    rows = pd.DataFrame(columns).sort_values("layer", kind="stable")
    order = list(dict.fromkeys(columns["case"].tolist()))
    parts = dict(iter(rows.groupby("case", sort=False)))
    return {case: parts[case].reset_index(drop=True) for case in order}


def only_case(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the one case that `table` holds; see `cases`.

    Raises
    ------
    InputError
        As `cases`, and if there are several.
    """
    found = cases(table)
    if len(found) > 1:
        names = ", ".join(repr(name[:40]) for name in list(found)[:3])
        given = described(f"a table of {len(found)} cases ({names}{', …' if len(found) > 3 else ''})")
        raise InputError("table", given, "one case; vp.diagnose(table) judges each")
    return next(iter(found.values()))


def _logarithm(number: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithm: np.ndarray = np.log(number)
    return logarithm
