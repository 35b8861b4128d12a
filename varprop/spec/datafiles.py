"""Read a table of numbers from a file: rows are examples.

A CSV file is comma-separated UTF-8; its first row is a header if some cell of it is not parseable as a
number. ``nan`` and ``inf`` are numbers, and numbers that are not finite are errors. Nothing is unpickled.
"""

from __future__ import annotations

import csv
import io
import math
import os
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from varprop._validation import InputError, close_match, described, show
from varprop.spec.limits import MOST_NUMBERS, check_count, open_regular

SUFFIXES = (".csv", ".npy", ".parquet")


@dataclass(frozen=True, eq=False)
class Table:
    """Numbers of a file, shape (examples, columns), with column names if it has them.

    Attributes
    ----------
    axes : tuple of int
        Shape of one example where the file has an array of more dimensions.
    """

    values: np.ndarray
    columns: tuple[str, ...] = ()
    axes: tuple[int, ...] = ()


def read_table(path: str | os.PathLike[str], field: str = "data") -> Table:
    """Read ``.csv``, ``.npy`` or ``.parquet``.

    An array of one dimension is one example; one of three or more has its examples along the first axis.

    Raises
    ------
    InputError
        Missing file, folder, pipe or device, other suffix; more than a gigabyte or 50 million numbers, or fewer
        numbers than the file's header promises; ragged rows or cells that are no numbers (with the line); values
        that are not finite (with their count and first place); arrays of objects; nothing in it.
    """
    place = Path(path)
    reader = {".csv": _read_csv, ".npy": _read_npy, ".parquet": _read_parquet}.get(place.suffix.lower())
    if reader is None:
        raise InputError(field, described(repr(str(path))), f"a file that ends in {', '.join(SUFFIXES)}")
    with open_regular(place, field, "data") as stream:
        try:
            table = reader(stream, place, field)
        except InputError:
            raise
        except OSError as error:
            raise _unreadable(path, field, f"a file that can be read ({error.strerror or error})") from None
        except ValueError as error:
            raise _unreadable(path, field, f"a {place.suffix} file that can be read ({error})") from None
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


def _unreadable(path: str | os.PathLike[str], field: str, allowed: str) -> InputError:
    return InputError(field, described(repr(str(path))), allowed)


def _read_csv(stream: BinaryIO, path: Path, field: str) -> Table:
    values, lines, bad = array("d"), array("q"), list[str]()
    header: tuple[str, ...] = ()
    width = 0
    for line, cells in _csv_rows(stream, path, field):
        width = width or len(cells)
        if len(cells) != width:
            found = f"{len(cells)} cells in line {line} of {path.name}"
            raise InputError(field, described(found), f"{width} cells, as in the rows before")
        try:
            values.extend([_number(cell) for cell in cells])
        except ValueError:
            if not lines and not header:
                header = tuple(cell.strip() for cell in cells)
                continue
            column, cell = next((i, c) for i, c in enumerate(cells) if not _is_number(c))
            bad.append(f"{show(cell, 40)} in line {line}, column {column + 1}")
            values.extend([math.nan] * width)
        lines.append(line)
        if len(values) > MOST_NUMBERS:
            check_count(field, f"rows × columns of {path.name} and more", len(lines), width)
    if bad:
        found = f"{len(bad)} rows with a cell that is no number, the first {bad[0]} of {path.name}"
        raise InputError(field, described(found), "numbers below the header")
    rows = np.array(values, dtype=np.float64).reshape(len(lines), width)
    wrong = ~np.isfinite(rows)
    count = int(np.count_nonzero(wrong))
    if count:
        row, column = (int(i) for i in np.unravel_index(np.argmax(wrong), rows.shape))
        found = (
            f"{count} of {rows.size} values not finite, the first ({rows[row, column]}) "
            f"in line {lines[row]}, column {column + 1} of {path.name}"
        )
        raise InputError(field, described(found), "finite numbers only")
    return Table(rows, header)


def _csv_rows(stream: BinaryIO, path: Path, field: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that are not empty with the number of the line they end in."""
    with io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text:
        reader = csv.reader(text, strict=True)
        try:
            for cells in reader:
                if cells:
                    yield reader.line_num, cells
        except csv.Error as error:
            found = f"{error} in line {reader.line_num} of {path.name}"
            raise InputError(field, described(found), "comma-separated UTF-8 text") from None
        except UnicodeDecodeError:
            raise _unreadable(path, field, "comma-separated UTF-8 text") from None


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


def _read_npy(stream: BinaryIO, path: Path, field: str) -> Table:
    if stream.read(2) == b"PK":
        raise _unreadable(path, field, "a .npy file with one array (this is an archive)")
    try:
        shape, fortran, dtype = _npy_header(stream)
        count = math.prod(shape)
        promised, present = count * dtype.itemsize, os.fstat(stream.fileno()).st_size - stream.tell()
    except Exception as error:  # NumPy's parser of the header raises many kinds for what is no header
        allowed = f"a .npy file of plain numbers ({type(error).__name__}: {show(str(error))})"
        raise _unreadable(path, field, allowed) from None
    if dtype.kind not in "biuf":
        raise InputError(field, described(f"array of {dtype} in {path.name}"), "a .npy file of plain numbers")
    check_count(field, f"numbers that {path.name} promises", *shape)
    if promised > present:
        found = f"{path.name}, whose header promises {promised} bytes of numbers and which has {present},"
        raise InputError(field, described(found), "a .npy file that is whole")
    flat = np.fromfile(stream, dtype, count)
    rows = rows_of(flat.reshape(shape, order="F" if fortran else "C"), field)
    return Table(rows, axes=shape[1:] if len(shape) > 1 else shape)


def _npy_header(stream: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, order and type of the array whose header begins at the start of `stream`."""
    stream.seek(0)
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):  # 3.0 is for records alone
        raise ValueError(f"version {version[0]}.{version[1]}")
    start = stream.tell()
    if int.from_bytes(stream.read(2 if version == (1, 0) else 4), "little") > 10_000:
        raise ValueError("a header of over 10,000 bytes")
    stream.seek(start)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    if any(size < 0 for size in shape):
        raise ValueError(f"shape {shape}")
    return tuple(int(size) for size in shape), bool(fortran), dtype


def _read_parquet(stream: BinaryIO, path: Path, field: str) -> Table:
    try:
        import pyarrow as pa
        import pyarrow.parquet as parquet
    except ModuleNotFoundError:
        allowed = "a .csv or .npy file, or the extra: pip install 'varprop[parquet]'"
        raise _unreadable(path, field, allowed) from None
    try:
        file = parquet.ParquetFile(stream)
        kinds = {str(part.name): part.type for part in file.schema_arrow}
        numeric = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean)
        odd = [name for name, kind in kinds.items() if not any(test(kind) for test in numeric)]
        if odd:
            raise InputError(
                field, described(f"column {show(odd[0], 40)} of {path.name}"), "columns of numbers"
            )
        check_count(field, f"rows × columns of {path.name}", file.metadata.num_rows, len(kinds))
        frame = file.read().to_pandas()
        odd = [str(name) for name, dtype in frame.dtypes.items() if dtype.kind not in "biuf"]
        if odd:  # whole numbers of which some are missing
            raise InputError(
                field, described(f"column {show(odd[0], 40)} of {path.name}"), "columns of numbers"
            )
        return Table(frame.to_numpy(dtype=np.float64), tuple(str(name) for name in frame.columns))
    except InputError:
        raise
    except Exception as error:  # whatever the reader makes of damaged bytes
        allowed = f"a .parquet file that can be read ({type(error).__name__}: {show(str(error))})"
        raise _unreadable(path, field, allowed) from None


def rows_of(array: np.ndarray, field: str) -> np.ndarray:
    """Return `array` as float64 of shape (examples, columns); one dimension is one example."""
    if array.dtype.kind not in "biuf":
        raise InputError(field, described(f"array of {array.dtype}"), "an array of real numbers")
    if array.ndim == 0 or array.size == 0:
        raise InputError(field, described(f"array of shape {array.shape}"), "at least one row of numbers")
    rows = array[None, :] if array.ndim == 1 else array.reshape(array.shape[0], -1)
    with np.errstate(over="ignore"):  # what a wider type holds and float64 does not is found to be infinite
        return rows.astype(np.float64)
