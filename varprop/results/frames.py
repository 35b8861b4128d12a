"""Check tables that come from outside: another run, a CSV file, a user's own engine."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from varprop._validation import InputError, close_match, described
from varprop.results.schema import KEY_COLUMNS, QUANTITIES, TEXT_COLUMNS, WHOLE_COLUMNS

if TYPE_CHECKING:
    import pandas as pd

Columns = dict[str, npt.NDArray[Any]]


def validate(frame: pd.DataFrame, columns: tuple[str, ...], field: str = "frame") -> Columns:
    """Return the contract's `columns` of a table as arrays of text (objects), int64 or float64.

    Missing text becomes ``""``, as a table from a CSV file needs.

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
    checked = {column: _conformed(frame[column], f"{field}.{column}") for column in columns}
    unknown = next((name for name in checked["quantity"] if name not in QUANTITIES), None)
    if unknown is not None:
        raise InputError(f"{field}.quantity", unknown, close_match(unknown, QUANTITIES))
    keys = Counter(zip(*(checked[key] for key in KEY_COLUMNS), strict=True))
    double = next((key for key, count in keys.items() if count > 1), None)
    if double is not None:
        case, layer, quantity = double
        found = described(f"{case[:80]!r}, layer {layer}, {quantity} twice")
        raise InputError(field, found, "one row per case, layer and quantity")
    return checked


def _conformed(column: pd.Series, field: str) -> npt.NDArray[Any]:
    name = str(column.name)
    if name in TEXT_COLUMNS:
        # NaN, which is what an empty cell of a CSV file becomes, is the one value that differs from itself.
        texts = ["" if item is None or item != item else str(item) for item in column.tolist()]
        return np.array(texts, dtype=object)
    try:
        numbers = column.to_numpy(dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(field, described(f"values of type {column.dtype}"), "numbers") from None
    if name not in WHOLE_COLUMNS:
        return numbers
    odd = np.flatnonzero(~(np.abs(numbers) < 2.0**53) | (numbers != np.floor(numbers)))
    if len(odd):
        raise InputError(f"{field}[{odd[0]}]", float(numbers[odd[0]]), "a whole number")
    return numbers.astype(np.int64)
