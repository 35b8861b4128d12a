"""Small tables for the tests of the comparison."""

from __future__ import annotations

from typing import Any

import pandas as pd

from varprop.comparison import compare_frames
from varprop.results.schema import PREDICTED_COLUMNS, SIMULATED_COLUMNS, tidy

Row = dict[str, Any]
MOMENT = "preactivation_second_moment"


def row(quantity: str = MOMENT, layer: int = 1, width: int = 100, case: str = "he", **more: Any) -> Row:
    return {"case": case, "layer": layer, "width": width, "quantity": quantity, **more}


def pair(
    predicted: float, measured: float, error: float, *, draws: int = 200, **more: Any
) -> tuple[Row, Row]:
    """Return a predicted and a simulated row; keys that only one side has go to that side."""
    own = {key: more.pop(key) for key in ("order", "note", "predicted_log") if key in more}
    theirs = {key: more.pop(key) for key in ("median", "estimator", "flag", "measured_log") if key in more}
    key = row(**more)
    theory = {
        **key,
        "value": predicted,
        "order": own.get("order", "exact"),
        "reason": own.get("note", ""),
        "log_value": own.get("predicted_log", float("nan")),
    }
    measurement = {
        **key,
        "value": measured,
        "std_error": error,
        "n_draws": draws,
        "median": theirs.get("median", measured),
        "estimator": theirs.get("estimator", "plain"),
        "reason": theirs.get("flag", ""),
        "log_value": theirs.get("measured_log", float("nan")),
    }
    return theory, measurement


def compared(*pairs: tuple[Row, Row], allowance: float | None = None, **options: float) -> pd.DataFrame:
    theory = tidy([p for p, _ in pairs], PREDICTED_COLUMNS)
    if allowance is not None:
        theory["allowance"] = allowance
    return compare_frames(theory, tidy([s for _, s in pairs], SIMULATED_COLUMNS), **options)


def verdict(*arguments: Any, allowance: float | None = None, **more: Any) -> tuple[str, str]:
    """Return verdict and reason of one row alone in its table."""
    only = compared(pair(*arguments, **more), allowance=allowance).iloc[0]
    return only["verdict"], only["reason"]
