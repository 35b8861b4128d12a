"""Check tables that come from outside: another run, a CSV file, a user's own engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from varprop._validation import InputError, close_match, described
from varprop.results.schema import KEY_COLUMNS, QUANTITIES, TEXT_COLUMNS, WHOLE_COLUMNS

if TYPE_CHECKING:
    import pandas as pd


def validate(frame: pd.DataFrame, columns: tuple[str, ...], field: str = "frame") -> pd.DataFrame:
    """Return `frame` with the contract's dtypes, if it is a table with at least `columns`.

    Columns beyond the contract are kept as they are, provenance (``attrs``) is left behind. Missing text
    becomes ``""``, as a CSV file needs.

    Raises
    ------
    InputError
        No DataFrame, missing columns, unknown quantities, text where a number belongs, or two rows for one
        (case, layer, quantity).
    """
    import pandas as pd

    if not isinstance(frame, pd.DataFrame):
        raise InputError(field, described(type(frame).__name__), "a DataFrame")
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        found = described(f"a table without {', '.join(missing)}")
        raise InputError(field, found, f"the columns {', '.join(columns)}")
    # pandas copies attrs deeply at every step, and histograms are large; the check needs none of them.
    bare = frame.copy(deep=False)
    bare.attrs = {}
    checked = bare.reset_index(drop=True)
    for column in columns:
        checked[column] = _conformed(checked[column], f"{field}.{column}")
    unknown = [name for name in checked["quantity"].unique() if name not in QUANTITIES]
    if unknown:
        raise InputError(f"{field}.quantity", unknown[0], close_match(unknown[0], QUANTITIES))
    double = checked.duplicated(list(KEY_COLUMNS))
    if double.any():
        case, layer, quantity = checked[list(KEY_COLUMNS)].iloc[int(double.to_numpy().argmax())]
        found = described(f"{case[:80]!r}, layer {layer}, {quantity} twice")
        raise InputError(field, found, "one row per case, layer and quantity")
    return checked


def _conformed(column: pd.Series, field: str) -> pd.Series:
    name = str(column.name)
    if name in TEXT_COLUMNS:
        return column.astype(object).where(column.notna(), "").map(str).astype(object)
    try:
        return column.astype("int64" if name in WHOLE_COLUMNS else "float64")
    except (TypeError, ValueError):
        raise InputError(field, described(f"values of type {column.dtype}"), "numbers") from None
