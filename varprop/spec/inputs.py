"""The input of a network: a fixed batch of examples, vectors, images or tokens.

It is part of the spec, so that every engine sees the same data.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from varprop._validation import InputError, check_integer, described
from varprop.spec._contents import content_digest, frozen_array
from varprop.spec.labels import check_label
from varprop.spec.ops import Shape
from varprop.spec.widths import WIDEST

Recipe = tuple[tuple[str, Any], ...]


@dataclass(frozen=True, eq=False, repr=False)
class Input:
    """A fixed batch of inputs, one example per column; with positions, one column for each of an example's T positions.

    Two inputs are equal when their numbers, positions and labels are; name and recipe do not count.

    Parameters
    ----------
    values : array of shape (n_0, B) or (n_0,), or (n_0, B T) with positions
        Finite numbers; column ``b T + t`` is position t of example b. Copied and made read-only.
    name : str
        For tables and figures.
    labels : array of shape (B,), optional
        The class of each example, whole numbers of at least 0.
    kind : str
        How it was made: a key of the input table, ``"data"`` for numbers given as such.
    recipe : tuple of (key, value)
        The arguments with which `kind` makes it again; they go to the study file.
    positions : tuple of int
        ``()`` for vectors, ``(T,)`` for sequences, ``(H, W)`` for images (n_0 is the number of channels then).
    vocabulary : int
        For tokens, how many there are: `values` has one row, of whole numbers below it. 0 for numbers.

    Raises
    ------
    InputError
        If `values` is empty or has a value that is not finite, or labels, positions or tokens do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> x = Input(np.eye(3), name="one-hot")
    >>> x.size, x.batch
    (3, 3)
    """

    values: np.ndarray
    name: str = "data"
    labels: np.ndarray | None = None
    kind: str = "data"
    recipe: Recipe = field(default=())
    positions: tuple[int, ...] = ()
    vocabulary: int = 0

    def __post_init__(self) -> None:
        values = np.asarray(self.values)
        if values.dtype.kind not in "biuf" or values.ndim not in (1, 2):
            given = described(f"{values.ndim}-dimensional array of {values.dtype}")
            raise InputError("values", given, "an array of real numbers of shape (n_0, B)")
        if values.size == 0:
            raise InputError("values", described(f"shape {values.shape}"), "at least one number")
        values = frozen_array(values.reshape(values.shape[0], -1), np.float64)
        check_finite("values", values.T)
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "positions", _checked_positions(self.positions, values.shape[1]))
        _check_tokens(values, self.vocabulary)
        object.__setattr__(self, "name", check_label("name", self.name))
        if self.labels is not None:
            object.__setattr__(self, "labels", _checked_labels(self.labels, self.batch))

    @property
    def size(self) -> int:
        """Number of inputs n_0 (of channels, where there are positions)."""
        return int(self.values.shape[0])

    @property
    def shape(self) -> Shape:
        """Shape of one example."""
        return Shape(self.size, self.positions, self.vocabulary)

    @property
    def batch(self) -> int:
        """Number of examples B."""
        return int(self.values.shape[1]) // self.shape.count

    @property
    def columns(self) -> int:
        """Number of columns B T: examples times positions."""
        return int(self.values.shape[1])

    def array(self) -> np.ndarray:
        """Return the data, shape (n_0, B T), float64, read-only."""
        return self.values

    @cached_property
    def _digest(self) -> str:
        content: dict[str, Any] = {"values": self.values, "labels": self.labels}
        if self.positions or self.vocabulary:
            content |= {"positions": list(self.positions), "vocabulary": self.vocabulary}
        return content_digest(content)

    def digest(self) -> str:
        """Return the SHA-256 of numbers, positions and labels."""
        return self._digest

    def __eq__(self, other: object) -> bool:
        return self.digest() == other.digest() if isinstance(other, Input) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.digest())

    def __repr__(self) -> str:
        own = self.shape.text if self.positions or self.vocabulary else f"{self.size} inputs"
        return f"<Input {self.name}: {own} × {self.batch} examples>"

    def __reduce__(self) -> tuple[Any, ...]:
        # By construction, so that the arrays are read-only on the other side too.
        own = (self.values, self.name, self.labels, self.kind, self.recipe, self.positions, self.vocabulary)
        return (type(self), own)


def check_finite(field_name: str, rows: np.ndarray) -> None:
    """Raise `InputError` with the count and first place of what is not finite in `rows` (row = example)."""
    bad = ~np.isfinite(rows)
    count = int(np.count_nonzero(bad))
    if count:
        row, column = (int(i) for i in np.unravel_index(np.argmax(bad), bad.shape))
        found = (
            f"{count} of {rows.size} values not finite, the first ({rows[row, column]}) "
            f"in row {row + 1}, column {column + 1}"
        )
        raise InputError(field_name, described(found), "finite numbers only")


def image_sizes(image: Any, axes: tuple[int, ...], count: int) -> tuple[int, ...]:
    """Return (channels, height, width) of images given as rows of `count` numbers.

    Parameters
    ----------
    image : tuple of int or True
        (channels, height, width), (height, width) for one channel, or True for the array's own `axes`.
    axes : tuple of int
        Shape of one example in the array or file.
    count : int
        Numbers of one example.

    Raises
    ------
    InputError
        Other sizes, or sizes whose product is not `count`.
    """
    sizes = axes if image is True else image
    if not isinstance(sizes, tuple | list) or len(sizes) not in (2, 3):
        found = image if image is not True else described(f"examples of shape {axes}")
        raise InputError("image", found, "(channels, height, width) or (height, width)")
    whole = tuple(check_integer("image", n, minimum=1, maximum=WIDEST) for n in (1, *sizes)[-3:])
    if math.prod(whole) != count:
        raise InputError("image", list(sizes), f"sizes whose product is {count}, the numbers of an example")
    return whole


def image_columns(rows: np.ndarray, sizes: tuple[int, ...]) -> np.ndarray:
    """Return images, one a row, as columns: channels × (examples × height × width)."""
    examples, (channels, height, width) = len(rows), sizes
    split = rows.reshape(examples, channels, height * width)
    return np.asarray(split.transpose(1, 0, 2).reshape(channels, -1))


def _checked_positions(positions: Any, columns: int) -> tuple[int, ...]:
    given = tuple(positions) if isinstance(positions, tuple | list) else None
    if given is None or len(given) > 3 or not all(type(n) is int and n >= 1 for n in given):
        raise InputError("positions", positions, "up to three whole numbers of at least 1")
    if columns % math.prod(given):
        raise InputError("positions", list(given), f"sizes whose product divides the {columns} columns")
    return given


def _check_tokens(values: np.ndarray, vocabulary: int) -> None:
    if type(vocabulary) is not int or not 0 <= vocabulary <= 2**31:
        raise InputError("vocabulary", vocabulary, "a whole number, the number of tokens")
    if vocabulary and (len(values) != 1 or np.any((values < 0) | (values >= vocabulary) | (values % 1 != 0))):
        raise InputError(
            "values",
            described("other numbers"),
            f"one row of tokens, whole numbers from 0 to {vocabulary - 1}",
        )


def _checked_labels(labels: Any, batch: int) -> np.ndarray:
    given = np.asarray(labels)
    if given.shape != (batch,):
        raise InputError(
            "labels", described(f"shape {given.shape}"), f"one label for each of {batch} examples"
        )
    if given.dtype.kind not in "biuf" or not np.all(np.isfinite(given)):
        raise InputError("labels", described(str(given.dtype)), "whole numbers of at least 0")
    bad = np.flatnonzero((given < 0) | (given != np.floor(given)) | (given > 2**31))
    if len(bad):
        found = f"{given[bad[0]]} (example {bad[0] + 1})"
        raise InputError("labels", described(found), "whole numbers of at least 0")
    return frozen_array(given, np.int64)
