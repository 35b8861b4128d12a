"""Where inputs come from: made ones, data files and arrays, and the shipped digits."""

from __future__ import annotations

import os
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from varprop import _random
from varprop._registry import Registry
from varprop._validation import InputError, check_flag, check_integer, check_one_of, check_real, described
from varprop.spec.datafiles import column_index, read_table, rows_of
from varprop.spec.inputs import Input, check_finite, image_columns, image_sizes
from varprop.spec.limits import LARGEST_SEED, check_count
from varprop.spec.widths import check_width

kinds: Registry[Input] = Registry("input")
"""The made inputs by name, for the command line and study files."""


@kinds.register("half_on")
def half_on(size: int) -> Input:
    """Return one input whose first half is 1 and whose other half is 0 (the middle of an odd one is 1).

    Parameters
    ----------
    size : int
        Number of inputs n_0.

    Examples
    --------
    >>> int(half_on(1000).array().sum())
    500
    """
    size = check_width("size", size)
    check_count("size", "inputs", size)
    return Input(
        (np.arange(size) < (size + 1) // 2)[:, None],
        f"half_on({size})",
        kind="half_on",
        recipe=(("size", size),),
    )


@kinds.register("constant")
def constant(size: int, value: float = 1.0) -> Input:
    """Return one input of `size` numbers that all equal `value`.

    Examples
    --------
    >>> constant(4, 0.5).array().ravel()
    array([0.5, 0.5, 0.5, 0.5])
    """
    size = check_width("size", size)
    check_count("size", "inputs", size)
    value = check_real("value", value)
    recipe = (("size", size), ("value", value))
    return Input(np.full((size, 1), value), f"constant({size}, {value:g})", kind="constant", recipe=recipe)


@kinds.register("gaussian")
def gaussian(size: int, batch: int = 1, seed: int = 0) -> Input:
    """Return a fixed batch of standard normal inputs, part of the spec and the same for every engine.

    Parameters
    ----------
    size, batch : int
        Number of inputs n_0 and of examples B.
    seed : int
        Names the data. It has nothing to do with the seed of the simulation.

    Examples
    --------
    >>> gaussian(784, 64).array().shape
    (784, 64)
    """
    size = check_width("size", size)
    batch = check_integer("batch", batch, minimum=1, maximum=10_000_000)
    check_count("size", "inputs × examples", size, batch)
    seed = check_integer("seed", seed, minimum=0, maximum=LARGEST_SEED)
    # Its own stream, so that no simulation with the same seed draws the same numbers.
    rng = _random.generator(seed, 2**32 - 1)
    name = f"gaussian({size}x{batch})" if seed == 0 else f"gaussian({size}x{batch}, seed={seed})"
    recipe = (("size", size), ("batch", batch), ("seed", seed))
    return Input(rng.standard_normal((batch, size)).T, name, kind="gaussian", recipe=recipe)


@kinds.register("digits")
def digits(
    batch: int = 64,
    standardize: bool = False,
    scale: str = "unit",
    repeat: int = 1,
    seed: int | None = None,
    image: bool = False,
) -> Input:
    """Return real handwritten digits with their labels.

    The sample has 1797 images of 8 × 8 pixels: E. Alpaydin and C. Kaynak, *Optical Recognition of Handwritten
    Digits*, UCI Machine Learning Repository (1998), CC BY 4.0.

    Parameters
    ----------
    batch : int
        Number of examples, 1 to 1797.
    standardize : bool
        Subtract the mean of all pixels of all images and divide by their standard deviation.
    scale : {"unit", "raw"}
        Pixels from 0 to 1, or from 0 to 16 as they come.
    repeat : int
        Show every pixel as a square of `repeat` × `repeat`, so that there are 64·repeat² inputs (4: 32 × 32).
    seed : int, optional
        Draw the examples at random, without replacement; the first `batch` by default.
    image : bool
        Whether examples stay images, of one channel, instead of vectors.

    Examples
    --------
    >>> digits(8, image=True).shape.text
    '1 × 8 × 8'
    >>> x = digits(64, repeat=4)
    >>> x.size, x.batch, x.labels[:5].tolist()
    (1024, 64, [0, 1, 2, 3, 4])
    """
    images, labels = _shipped_digits()
    batch = check_integer("batch", batch, minimum=1, maximum=len(images))
    repeat = check_integer("repeat", repeat, minimum=1, maximum=32)
    check_count("batch", "examples × pixels", batch, 64 * repeat**2)
    if not isinstance(standardize, bool):
        raise InputError("standardize", standardize, "true or false")
    scale = check_one_of("scale", scale, ("unit", "raw"))
    rows = np.arange(batch)
    options: dict[str, Any] = {"batch": batch}
    if seed is not None:
        options["seed"] = check_integer("seed", seed, minimum=0, maximum=LARGEST_SEED)
        rows = _random.generator(seed, 2**32 - 2).permutation(len(images))[:batch]
    pixels = images[rows].astype(np.float64) / (16.0 if scale == "unit" else 1.0)
    if standardize:
        whole = images / (16.0 if scale == "unit" else 1.0)
        pixels = (pixels - whole.mean()) / whole.std()
        options["standardize"] = True
    if scale != "unit":
        options["scale"] = scale
    if repeat > 1:
        options["repeat"] = repeat
        squares = pixels.reshape(batch, 8, 8).repeat(repeat, axis=1).repeat(repeat, axis=2)
        pixels = squares.reshape(batch, -1)
    if check_flag("image", image):
        options["image"] = True
    extras = [key if value is True else f"{key}={value}" for key, value in options.items() if key != "batch"]
    name = f"digits({', '.join([str(batch), *extras])})"
    recipe = tuple(options.items())
    if not image:
        return Input(pixels.T, name, labels[rows], kind="digits", recipe=recipe)
    positions = (8 * repeat, 8 * repeat)
    return Input(pixels.reshape(1, -1), name, labels[rows], kind="digits", recipe=recipe, positions=positions)


@cache
def _shipped_digits() -> tuple[np.ndarray, np.ndarray]:
    place = resources.files("varprop.spec") / "_data" / "digits.npz"
    with place.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
        return archive["images"], archive["labels"].astype(np.int64)


def data(
    source: str | os.PathLike[str] | Any,
    *,
    standardize: bool | str = False,
    labels: str | int | Any = None,
    batch: int | None = None,
    image: bool | tuple[int, ...] = False,
    name: str | None = None,
) -> Input:
    """Return real data as an input: a file or an array whose rows are examples.

    Parameters
    ----------
    source : path or array
        ``.csv`` (the first row is a header if some cell of it is not parseable as a number), ``.npy`` or
        ``.parquet``; or anything NumPy takes as an array of shape (B, n_0). One dimension is one example;
        examples of more dimensions are flattened, unless they are to stay an `image`.
    standardize : bool or {"columns", "all"}
        ``True`` or ``"columns"``: subtract each column's mean and divide by its standard deviation, over all
        examples; a column that is constant cannot be divided and is refused. ``"all"``: one mean and one
        standard deviation for the whole sample, as is usual for images.
    labels : column or array, optional
        Column of the file that holds the class of each example (header or number), taken out of the data; or
        the classes themselves, one for each row.
    batch : int, optional
        Take the first `batch` examples (after standardizing); all by default.
    image : bool or tuple of int
        Whether examples are images: ``True`` for arrays of shape (B, C, H, W) or (B, H, W); (channels, height, width)
        or (height, width) for rows of so many numbers.
    name : str, optional
        For tables and figures; the file's name by default.

    Raises
    ------
    InputError
        Data that are missing, ragged, empty, constant, of objects or not finite, with count and first place.

    Examples
    --------
    >>> data([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]], name="two").array().shape
    (3, 2)
    >>> data(np.arange(24.0).reshape(2, 3, 2, 2), image=True).shape.text
    '3 × 2 × 2'
    """
    options: dict[str, Any] = {}
    if isinstance(source, str | os.PathLike):
        table = read_table(source, "path")
        rows, classes, axes = table.values, labels, table.axes
        options["path"] = str(Path(source))
        name = name or Path(source).name
        if isinstance(labels, str | int):
            options["labels"] = labels
            column = column_index(table, labels, "labels")
            rows, classes = np.delete(rows, column, axis=1), rows[:, column]
            if rows.size == 0:
                raise InputError("labels", labels, "a table with at least one other column")
    else:
        given = _as_array(source, "data")
        rows, classes, axes = rows_of(given, "data"), labels, given.shape[1:]
        name = name or f"array({rows.shape[1]}x{rows.shape[0]})"
    check_finite("data", rows)
    _check_varied(rows)
    mode = _standardizing(standardize)
    if mode:
        rows = _standardized(rows, mode)
        options["standardize"] = mode
    if classes is not None:
        classes = _as_array(classes, "labels")
    if batch is not None:
        options["batch"] = check_integer("batch", batch, minimum=1, maximum=len(rows))
        if classes is not None and classes.shape == (len(rows),):
            classes = classes[:batch]
        rows = rows[:batch]
    sizes = () if image is False else image_sizes(image, axes, rows.shape[1])
    if sizes:
        options["image"] = list(sizes)
    # Only what a file and plain options make can be made again from them; anything else is kept as numbers.
    again = "path" in options and (classes is None or "labels" in options)
    recipe = tuple(options.items()) if again else ()
    if not sizes:
        return Input(rows.T, name, classes, kind="data", recipe=recipe)
    return Input(image_columns(rows, sizes), name, classes, kind="data", recipe=recipe, positions=sizes[1:])


def _as_array(source: Any, field: str) -> np.ndarray:
    try:
        return np.asarray(source)
    except ValueError:
        raise InputError(field, described(f"ragged {type(source).__name__}"), "rows of one length") from None


def _check_varied(rows: np.ndarray) -> None:
    if rows.size > 1 and np.all(rows == rows.flat[0]):
        found = f"{rows.size} values that all equal {rows.flat[0]:g}, from row 1, column 1 on"
        raise InputError(
            "data", described(found), "data that vary (constant(n, value) is the input for that)"
        )


def _standardizing(standardize: bool | str) -> str:
    if isinstance(standardize, bool):
        return "columns" if standardize else ""
    return check_one_of("standardize", standardize, ("columns", "all"))


def _standardized(rows: np.ndarray, mode: str) -> np.ndarray:
    axis = 0 if mode == "columns" else None
    centred = rows - rows.mean(axis=axis)
    spread = np.sqrt(np.mean(np.square(centred), axis=axis))
    constant_columns = np.flatnonzero(np.ptp(rows, axis=0) == 0.0) if mode == "columns" else np.array([])
    if len(constant_columns):
        found = (
            f"{len(constant_columns)} of {rows.shape[1]} columns constant, the first is column "
            f"{constant_columns[0] + 1} ({rows[0, constant_columns[0]]:g})"
        )
        allowed = 'columns that vary (drop these, or standardize="all" for one mean and deviation)'
        raise InputError("standardize", described(found), allowed)
    return np.asarray(centred / spread)
