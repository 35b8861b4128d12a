"""Put prediction and measurement of the same (case, layer, quantity) side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from varprop._validation import InputError, described
from varprop.results.frames import KNOWN_COLUMNS, Columns, validate
from varprop.results.schema import (
    BESIDE_COLUMNS,
    KEY_COLUMNS,
    LAYER_COLUMNS,
    PREDICTED_COLUMNS,
    QUANTITIES,
)

if TYPE_CHECKING:
    import pandas as pd

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Words = npt.NDArray[np.object_]


_LATER = (
    "fan_in",
    "depth",
    "depth_over_width",
    "sigma_w",
    "sigma_b",
    "second_moment",
    "allowance",
    *BESIDE_COLUMNS,
)
"""Columns that a table of another engine need not have."""

_PREDICTED = tuple(column for column in PREDICTED_COLUMNS if column not in _LATER)
_SIMULATED = (*_PREDICTED, "std_error", "median", "n_draws", "estimator")


@dataclass(frozen=True)
class Pairs:
    """Every row of either table once; NaN, 0 and ``""`` where a side is missing.

    `description` has the columns that both tables share. `allowance` is what the prediction says a finite width
    may do, NaN where it does not say; `second_moment`, what a mean or variance belongs to, predicted or else measured.
    `further` are columns of either table that the contract does not know, such as a sweep's variable.
    """

    description: Columns
    predicted: Array
    predicted_log: Array
    order: Words
    predicted_reason: Words
    allowance: Array
    second_moment: Array
    measured: Array
    measured_log: Array
    measured_reason: Words
    std_error: Array
    median: Array
    log_mean: Array
    log_std: Array
    draws: Array
    estimator: Words
    further: Mapping[str, pd.Series]
    plain_value: Array
    plain_std_error: Array
    plain_draws: Array
    innovation_p: Array
    look: Array

    def __len__(self) -> int:
        return len(self.predicted)

    @cached_property
    def kind(self) -> Words:
        """The kind of each row's quantity."""
        return np.array([QUANTITIES[name].kind for name in self.description["quantity"]], dtype=object)

    @cached_property
    def width(self) -> Array:
        """Units of each row's layer."""
        return self.description["width"].astype(np.float64)

    @cached_property
    def units(self) -> Array:
        """Least number of units that a row averages over: those of the layer or of the one below, if that is stated."""
        below = self.description["fan_in"].astype(np.float64)
        return np.where(below > 0, np.minimum(self.width, below), self.width)

    @cached_property
    def unpredicted(self) -> Flags:
        """Where there is no prediction, neither as a number nor as a logarithm."""
        return np.isnan(self.predicted) & np.isnan(self.predicted_log)


def side_by_side(predicted: pd.DataFrame, simulated: pd.DataFrame) -> Pairs:
    """Join the rows of `predicted`, in order, with those of `simulated`, then append what only it has.

    Raises
    ------
    InputError
        Tables that are not what they should be, or that have no row in common.
    """
    ours = validate(predicted, _PREDICTED, "predicted", optional=_LATER)
    theirs = validate(simulated, _SIMULATED, "simulated", optional=_LATER)
    place = {key: i for i, key in enumerate(_keys(theirs))}
    found = [place.pop(key, -1) for key in _keys(ours)]
    if all(i < 0 for i in found):
        raise InputError(
            "simulated",
            described("tables without a common row"),
            "a simulation of the predicted cases and layers",
        )
    both = np.array([i >= 0 for i in found])
    widths = ours["width"][both], theirs["width"][[i for i in found if i >= 0]]
    other = np.flatnonzero((widths[0] != widths[1]) & (widths[0] > 0) & (widths[1] > 0))
    if len(other):
        case, layer, _ = _keys(ours)[np.flatnonzero(both)[other[0]]]
        found_width = described(f"{widths[1][other[0]]} in {case[:80]!r}, layer {layer}")
        raise InputError(
            "simulated.width", found_width, f"{widths[0][other[0]]}, as predicted: the same network"
        )
    rest = list(place.values())
    left = np.array([*range(len(found)), *[-1] * len(rest)])
    right = np.array([*found, *rest])

    def ours_at(column: str, missing: Any) -> npt.NDArray[Any]:
        return _taken(ours[column], left, missing)

    def theirs_at(column: str, missing: Any) -> npt.NDArray[Any]:
        if column not in theirs:
            return np.full(len(right), missing)
        return _taken(theirs[column], right, missing)

    shared = ("case", *LAYER_COLUMNS, "quantity")
    description = {
        column: np.where(left >= 0, ours_at(column, ours[column][0]), theirs_at(column, theirs[column][0]))
        for column in shared
    }
    return Pairs(
        description,
        predicted=ours_at("value", np.nan),
        predicted_log=ours_at("log_value", np.nan),
        order=ours_at("order", ""),
        predicted_reason=ours_at("reason", ""),
        allowance=ours_at("allowance", np.nan),
        second_moment=np.where(
            np.isfinite(ours_at("second_moment", np.nan)),
            ours_at("second_moment", np.nan),
            theirs_at("second_moment", np.nan),
        ),
        measured=theirs_at("value", np.nan),
        measured_log=theirs_at("log_value", np.nan),
        measured_reason=theirs_at("reason", ""),
        std_error=theirs_at("std_error", np.nan),
        median=theirs_at("median", np.nan),
        log_mean=theirs_at("log_mean", np.nan),
        log_std=theirs_at("log_std", np.nan),
        draws=theirs_at("n_draws", 0).astype(np.float64),
        estimator=theirs_at("estimator", ""),
        further=_further(predicted, simulated, left, right),
        plain_value=theirs_at("plain_value", np.nan),
        plain_std_error=theirs_at("plain_std_error", np.nan),
        plain_draws=theirs_at("plain_draws", 0).astype(np.float64),
        innovation_p=theirs_at("innovation_p", np.nan),
        look=theirs_at("look", 0).astype(np.float64),
    )


def _further(
    predicted: pd.DataFrame, simulated: pd.DataFrame, left: npt.NDArray[np.int_], right: npt.NDArray[np.int_]
) -> dict[str, pd.Series]:
    """Return the columns that neither contract nor index knows; where both tables have one, the predicted rows' own."""
    found: dict[str, pd.Series] = {}
    for frame, places in ((simulated, right), (predicted, left)):
        for column in frame.columns:
            if column not in KNOWN_COLUMNS and list(frame.columns).count(column) == 1:
                own = frame[column].reset_index(drop=True).reindex(places).reset_index(drop=True)
                found[column] = own.where(places >= 0, found[column]) if column in found else own
    return found


def _keys(columns: Columns) -> list[tuple[Any, ...]]:
    return list(zip(*(columns[key].tolist() for key in KEY_COLUMNS), strict=True))


def _taken(column: npt.NDArray[Any], places: npt.NDArray[np.int_], missing: Any) -> npt.NDArray[Any]:
    """Return `column` at `places`, `missing` where the place is -1."""
    if not len(column):
        return np.full(len(places), missing)
    taken = column[places]
    taken[places < 0] = missing
    return taken
