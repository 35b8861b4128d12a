"""Tables as text: CSV and JSON that read the same everywhere."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from varprop.plots.labels import plain

if TYPE_CHECKING:
    import pandas as pd

_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
"""What a formula begins with, in East Asian spreadsheets too."""


def to_csv(frame: pd.DataFrame) -> str:
    """Return `frame` as CSV: full precision, missing numbers empty, unprintable characters written out.

    A text that a spreadsheet would take for a formula gets an apostrophe in front; numbers never do.
    """
    return harmless(frame).to_csv(index=False, lineterminator="\n")


def to_json(frame: pd.DataFrame) -> str:
    """Return `frame` as a JSON list of rows; NaN is null, infinity the text ``"Infinity"``."""
    rows = [{key: _plain_value(value) for key, value in row.items()} for row in frame.to_dict("records")]
    return json.dumps(rows, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def harmless(frame: pd.DataFrame) -> pd.DataFrame:
    """Return `frame` with texts and column names that neither a terminal nor a spreadsheet acts upon."""
    shown = frame.copy()
    for column in shown.columns:
        if shown[column].dtype.kind not in "biufM":
            shown[column] = shown[column].astype(object).map(lambda v: _cell(v) if isinstance(v, str) else v)
    shown.columns = [_cell(str(column)) for column in shown.columns]
    return shown


def starts_a_formula(text: str) -> bool:
    """Return whether a spreadsheet would take `text` for a formula; a number with a sign is none.

    Examples
    --------
    >>> starts_a_formula("=1+1"), starts_a_formula("-2+3"), starts_a_formula("-1.5e-3"), starts_a_formula("relu")
    (True, True, False, False)
    """
    if not text.lstrip().startswith(_FORMULA):
        return False
    try:
        float(text)
    except ValueError:
        return True
    return False


def _cell(text: str) -> str:
    line = plain(text)
    return f"'{line}" if starts_a_formula(line) else line


def _plain_value(value: Any) -> Any:
    if isinstance(value, str):
        return plain(value)
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    return value
