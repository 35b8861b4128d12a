"""Read a table of numbers from a file: rows are examples.

A CSV file is comma-separated UTF-8; its first row is a header if some cell of it is not parseable as a
number. ``nan`` and ``inf`` are numbers, and numbers that are not finite are errors. Nothing is unpickled.
"""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from varprop._validation import InputError, close_match, described

SUFFIXES = (".csv", ".npy", ".parquet")


@dataclass(frozen=True, eq=False)
class Table:
    """Numbers of a file, shape (examples, columns), with column names if it has them."""

    values: np.ndarray
    columns: tuple[str, ...] = ()


def read_table(path: str | os.PathLike[str], field: str = "data") -> Table:
    """Read ``.csv``, ``.npy`` or ``.parquet``.

    An array of one dimension is one example; one of three or more has its examples along the first axis.

    Raises
    ------
    InputError
        Missing file, folder, other suffix; ragged rows or cells that are no numbers (with the line); values
        that are not finite (with their count and first place); arrays of objects; nothing in it.
    """
    place = Path(path)
    reader = {".csv": _read_csv, ".npy": _read_npy, ".parquet": _read_parquet}.get(place.suffix.lower())
    if reader is None:
        raise InputError(field, described(repr(str(path))), f"a file that ends in {', '.join(SUFFIXES)}")
    try:
        if not place.is_file():
            raise InputError(
                field, described(repr(str(path))), "a file" if place.exists() else "a file that exists"
            )
        table = reader(place, field)
    except OSError as error:
        raise InputError(
            field, described(repr(str(path))), f"a file that can be read ({error.strerror or error})"
        ) from None
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            field, described(repr(str(path))), f"a {place.suffix} file that can be read ({error})"
        ) from None
    if table.values.size == 0:
        raise InputError(field, described(f"{path} without numbers"), "at least one row of numbers")
    return table


def column_index(table: Table, column: str | int, field: str) -> int:
    """Return the position of a column named by header or number (from 0; negative from the end)."""
    count = int(table.values.shape[1])
    if isinstance(column, str):
        if column in table.columns:
            return table.columns.index(column)
        options = close_match(column, table.columns) if table.columns else "a column number (no header)"
        raise InputError(field, column, options)
    if isinstance(column, bool) or not isinstance(column, int) or not -count <= column < count:
        raise InputError(field, column, f"a column name or a number from {-count} to {count - 1}")
    return column + count if column < 0 else column


def _read_csv(path: Path, field: str) -> Table:
    rows: list[list[float]] = []
    lines: list[int] = []
    header: tuple[str, ...] = ()
    bad: list[str] = []
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.reader(stream, strict=True)
        try:
            for cells in reader:
                if not cells:
                    continue
                line = reader.line_num
                width = len(rows[0]) if rows else len(header) or len(cells)
                if len(cells) != width:
                    found = f"{len(cells)} cells in line {line} of {path.name}"
                    raise InputError(field, described(found), f"{width} cells, as in the rows before")
                try:
                    rows.append([_number(cell) for cell in cells])
                    lines.append(line)
                except ValueError:
                    if not rows and not header:
                        header = tuple(cell.strip() for cell in cells)
                        continue
                    column, cell = next((i, c) for i, c in enumerate(cells) if not _is_number(c))
                    bad.append(f"{cell[:40]!r} in line {line}, column {column + 1}")
                    rows.append([np.nan] * width)
                    lines.append(line)
        except csv.Error as error:
            found = f"{error} in line {reader.line_num} of {path.name}"
            raise InputError(field, described(found), "comma-separated UTF-8 text") from None
        except UnicodeDecodeError:
            raise InputError(field, described(repr(str(path))), "comma-separated UTF-8 text") from None
    if bad:
        found = f"{len(bad)} rows with a cell that is no number, the first {bad[0]} of {path.name}"
        raise InputError(field, described(found), "numbers below the header")
    values = np.array(rows, dtype=np.float64)
    places = np.argwhere(~np.isfinite(values))
    if len(places):
        row, column = (int(i) for i in places[0])
        found = (
            f"{len(places)} of {values.size} values not finite, the first ({values[row, column]}) "
            f"in line {lines[row]}, column {column + 1} of {path.name}"
        )
        raise InputError(field, described(found), "finite numbers only")
    return Table(values, header)


def _number(cell: str) -> float:
    # float() also takes 1_000, which no other reader of the same file would.
    if "_" in cell:
        raise ValueError(cell)
    return float(cell)


def _is_number(cell: str) -> bool:
    try:
        _number(cell)
    except ValueError:
        return False
    return True


def _read_npy(path: Path, field: str) -> Table:
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise InputError(
            field, described(repr(str(path))), f"a .npy file of plain numbers ({error})"
        ) from None
    if not isinstance(array, np.ndarray):
        array.close()
        raise InputError(field, described(repr(str(path))), "a .npy file with one array (this is an archive)")
    return Table(rows_of(array, field))


def _read_parquet(path: Path, field: str) -> Table:
    try:
        import pyarrow.parquet as parquet
    except ModuleNotFoundError:
        allowed = "a .csv or .npy file, or the extra: pip install 'varprop[parquet]'"
        raise InputError(field, described(repr(str(path))), allowed) from None
    frame = parquet.read_table(path).to_pandas()
    odd = [str(name) for name, dtype in frame.dtypes.items() if dtype.kind not in "biuf"]
    if odd:
        raise InputError(field, described(f"column {odd[0][:40]!r} of {path.name}"), "columns of numbers")
    return Table(frame.to_numpy(dtype=np.float64), tuple(str(name) for name in frame.columns))


def rows_of(array: np.ndarray, field: str) -> np.ndarray:
    """Return `array` as float64 of shape (examples, columns); one dimension is one example."""
    if array.dtype.kind not in "biuf":
        raise InputError(field, described(f"array of {array.dtype}"), "an array of real numbers")
    if array.ndim == 0 or array.size == 0:
        raise InputError(field, described(f"array of shape {array.shape}"), "at least one row of numbers")
    rows = array[None, :] if array.ndim == 1 else array.reshape(array.shape[0], -1)
    return rows.astype(np.float64)
