"""Check tables that come from outside: another run, a CSV file, a user's own engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from varprop._validation import InputError, close_match, described
from varprop.results.audit_schema import (
    AUDIT_COLUMNS,
    AUDIT_KEYS,
    AUDIT_QUANTITIES,
    FLAG_COLUMNS,
    PLACE_TEXTS,
)
from varprop.results.schema import KEY_COLUMNS, QUANTITIES, SIMULATED_COLUMNS, TEXT_COLUMNS, WHOLE_COLUMNS

if TYPE_CHECKING:
    import pandas as pd

Columns = dict[str, npt.NDArray[Any]]

KNOWN_COLUMNS = frozenset((*SIMULATED_COLUMNS, *AUDIT_COLUMNS, "allowance"))
"""Every column of the contract."""

_TEXTS = frozenset((*TEXT_COLUMNS, *PLACE_TEXTS))
_WHOLE = frozenset((*WHOLE_COLUMNS, "call"))
_FLAGS = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False, "": True}


def validate(
    frame: pd.DataFrame,
    columns: Sequence[str],
    field: str = "frame",
    *,
    optional: Sequence[str] = (),
    keys: Sequence[str] = KEY_COLUMNS,
    quantities: Collection[str] = QUANTITIES,
) -> Columns:
    """Return the contract's `columns` of a table as arrays of text (objects), int64, float64 or bool.

    Rows may be any, in any order; columns may be in any order, of any dtype that holds their values (categories,
    nullable numbers, numbers as text), and there may be more of them. Missing text becomes ``""``, a missing number NaN
    or, in a column of whole numbers that is no key, 0: so an empty cell of a CSV file is what it was.

    Parameters
    ----------
    frame : DataFrame
    columns : sequence of str
        What the table must have.
    field : str
        What the caller calls the table.
    optional : sequence of str
        Columns that are missing in every row if the table has none.
    keys : sequence of str
        Those of `columns` that tell the rows apart.
    quantities : collection of str
        What may stand in the column ``quantity``.

    Raises
    ------
    InputError
        No DataFrame, missing columns or ones that are there twice, unknown quantities, text where a number belongs, or
        two rows with the same `keys`.
    """
    import pandas as pd

    if not isinstance(frame, pd.DataFrame):
        raise InputError(field, described(type(frame).__name__), "a DataFrame")
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        found = described(f"a table without {', '.join(missing)}")
        raise InputError(field, found, f"the columns {', '.join(columns)}")
    present = [*columns, *(column for column in optional if column in frame.columns)]
    double = next((column for column in present if isinstance(frame[column], pd.DataFrame)), None)
    if double is not None:
        raise InputError(field, described(f"a table with two columns {double}"), "one column of each name")
    checked = {column: _conformed(frame[column], f"{field}.{column}", column in keys) for column in present}
    for column in optional:
        if column not in checked:
            checked[column] = _nothing(column, len(frame))
    unknown = next((name for name in checked["quantity"] if name not in quantities), None)
    if unknown is not None:
        raise InputError(f"{field}.quantity", unknown, close_match(unknown, quantities))
    counts = Counter(zip(*(checked[key] for key in keys), strict=True))
    again = next((key for key, count in counts.items() if count > 1), None)
    if again is not None:
        said = dict(zip(keys, again, strict=True))
        place = ", ".join(
            str(value) if name == "quantity" else f"{name} {value}"
            for name, value in said.items()
            if name != "case" and value != ""
        )
        found = described(f"{str(said['case'])[:80]!r}, {place} twice")
        wanted = f"one row per {', '.join(keys[:-1])} and {keys[-1]}"
        raise InputError(field, found, f"{wanted} (give tables of several runs different cases)")
    return checked


def conformed(frame: pd.DataFrame, columns: Sequence[str], field: str = "frame") -> pd.DataFrame:
    """Return a table of any kind with the contract's dtypes in every column that it knows, and without ``attrs``.

    Rows and columns keep their order, and what the contract does not know stays as it is; see `validate`, also for what
    is refused.
    """
    import pandas as pd

    audited = isinstance(frame, pd.DataFrame) and "op" in frame.columns
    keys, quantities = (AUDIT_KEYS, AUDIT_QUANTITIES) if audited else (KEY_COLUMNS, QUANTITIES)
    needed = tuple(dict.fromkeys((*keys, *columns)))
    known = [column for column in getattr(frame, "columns", ()) if column in KNOWN_COLUMNS]
    checked = validate(frame, needed, field, optional=known, keys=keys, quantities=quantities)
    return pd.DataFrame(
        {column: checked.get(column, frame[column].to_numpy()) for column in frame.columns.unique()}
    )


def sweep_columns(table: pd.DataFrame) -> pd.DataFrame:
    """Return what a table says of its cases beyond the contract, such as the variable of a sweep: one row per case.

    The index is the case; columns that vary within a case are left out.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"case": ["a", "a", "b"], "layer": [1, 2, 1], "depth_asked": [2, 2, 1], "note": [1, 2, 3]})
    >>> sweep_columns(table)
          depth_asked
    case
    a               2
    b               1
    """
    cases = table["case"].astype(object).where(table["case"].notna(), "").map(str)
    others = [column for column in table.columns if column not in KNOWN_COLUMNS]
    first = table[others].set_axis(cases.rename("case"), axis=0)
    first = first[~first.index.duplicated()]
    kept = []
    for column in others:
        here, there = table[column].astype(object), cases.map(first[column].astype(object))
        if ((here == there) | (here.isna() & there.isna())).all():
            kept.append(column)
    return first[kept]


def _nothing(name: str, count: int) -> npt.NDArray[Any]:
    """Return a column in which every entry is missing."""
    if name in _TEXTS:
        return np.full(count, "", dtype=object)
    if name in FLAG_COLUMNS:
        return np.ones(count, dtype=bool)
    return np.zeros(count, dtype=np.int64) if name in _WHOLE else np.full(count, np.nan)


def _conformed(column: pd.Series, field: str, key: bool) -> npt.NDArray[Any]:
    name = str(column.name)
    gone = column.isna().to_numpy(dtype=bool)
    if name in _TEXTS or name in FLAG_COLUMNS:
        try:
            texts = ["" if empty else str(item) for item, empty in zip(column.tolist(), gone, strict=True)]
        except ValueError:  # a whole number of more than 4300 digits has no text
            raise InputError(field, described(f"values of type {column.dtype}"), "text") from None
        if name in _TEXTS:
            return np.array(texts, dtype=object)
        odd = next((text for text in texts if text.lower() not in _FLAGS), None)
        if odd is not None:
            raise InputError(field, odd, "True or False")
        flags: npt.NDArray[Any] = np.array([_FLAGS[text.lower()] for text in texts], dtype=bool)
        return flags
    if column.dtype.kind in "iuf" and isinstance(column.dtype, np.dtype):
        numbers: npt.NDArray[np.float64] = column.to_numpy(dtype=np.float64)
    else:
        numbers = _parsed(column, gone, field)
    if name not in _WHOLE:
        return numbers
    odd_at = np.flatnonzero(~(np.abs(numbers) < 2.0**53) | (numbers != np.floor(numbers)))
    odd_at = odd_at if key else odd_at[~np.isnan(numbers[odd_at])]
    if len(odd_at):
        raise InputError(f"{field}[{odd_at[0]}]", float(numbers[odd_at[0]]), "a whole number")
    return np.nan_to_num(numbers).astype(np.int64)


def _parsed(column: pd.Series, gone: npt.NDArray[np.bool_], field: str) -> npt.NDArray[np.float64]:
    """Return the numbers of a column of nullable numbers, categories or text."""
    try:
        items = zip(column.tolist(), gone, strict=True)
        numbers = [np.nan if empty or item == "" else float(item) for item, empty in items]
    except (TypeError, ValueError, OverflowError):
        raise InputError(field, described(f"values of type {column.dtype}"), "numbers") from None
    return np.array(numbers, dtype=np.float64)
