"""Tables as text: CSV and JSON that read the same everywhere."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from varprop.plots.labels import plain

if TYPE_CHECKING:
    import pandas as pd


def to_csv(frame: pd.DataFrame) -> str:
    """Return `frame` as CSV: full precision, missing numbers empty, unprintable characters written out."""
    return _printable(frame).to_csv(index=False, lineterminator="\n")


def to_json(frame: pd.DataFrame) -> str:
    """Return `frame` as a JSON list of rows; NaN is null, infinity the text ``"Infinity"``."""
    rows = [{key: _plain_value(value) for key, value in row.items()} for row in frame.to_dict("records")]
    return json.dumps(rows, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def _printable(frame: pd.DataFrame) -> pd.DataFrame:
    shown = frame.copy()
    for column in shown.columns:
        if shown[column].dtype.kind not in "biuf":
            shown[column] = shown[column].map(lambda v: plain(v) if isinstance(v, str) else v)
    return shown


def _plain_value(value: Any) -> Any:
    if isinstance(value, str):
        return plain(value)
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    return value
