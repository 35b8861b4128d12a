"""Put prediction and measurement of the same (case, layer, quantity) side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from varprop._validation import InputError, described
from varprop.results.frames import validate
from varprop.results.schema import KEY_COLUMNS, PREDICTED_COLUMNS, SIMULATED_COLUMNS

if TYPE_CHECKING:
    import pandas as pd

_DESCRIPTION = ("activation", "weights", "biases", "width")


def side_by_side(predicted: pd.DataFrame, simulated: pd.DataFrame) -> pd.DataFrame:
    """Return every row of either table once: those of `predicted` in order, then what only `simulated` has.

    Columns: keys and description, ``predicted, predicted_log, order, predicted_reason, allowance`` and
    ``measured, measured_log, measured_reason, std_error, median, n_draws, estimator``; NaN and ``""`` where
    a side is missing.

    Raises
    ------
    InputError
        Tables that are not what they should be, or that have no row in common.
    """
    import pandas as pd

    predicted = validate(predicted, PREDICTED_COLUMNS, "predicted")
    simulated = validate(simulated, SIMULATED_COLUMNS, "simulated")
    keys = list(KEY_COLUMNS)
    theirs = pd.MultiIndex.from_frame(simulated[keys])
    place = theirs.get_indexer(pd.MultiIndex.from_frame(predicted[keys]))
    if not (place >= 0).any():
        found = described("tables without a common row")
        raise InputError("simulated", found, "a simulation of the predicted cases and layers")
    rest = np.setdiff1d(np.arange(len(simulated)), place)
    take_p = np.concatenate([np.arange(len(predicted)), np.full(len(rest), -1)])
    take_s = np.concatenate([place, rest])

    described_by_p = predicted.reindex(take_p).reset_index(drop=True)
    described_by_s = simulated.reindex(take_s).reset_index(drop=True)
    joined = pd.DataFrame({key: described_by_p[key].where(take_p >= 0, described_by_s[key]) for key in keys})
    for column in _DESCRIPTION:
        joined[column] = described_by_p[column].where(take_p >= 0, described_by_s[column])
    joined[["layer", "width"]] = joined[["layer", "width"]].astype("int64")
    joined["predicted"] = described_by_p["value"]
    joined["predicted_log"] = described_by_p["log_value"]
    joined["order"] = described_by_p["order"].fillna("")
    joined["predicted_reason"] = described_by_p["reason"].fillna("")
    if "allowance" in predicted.columns:
        joined["allowance"] = pd.to_numeric(described_by_p["allowance"], errors="coerce")
    else:
        joined["allowance"] = np.nan
    joined["measured"] = described_by_s["value"]
    joined["measured_log"] = described_by_s["log_value"]
    joined["measured_reason"] = described_by_s["reason"].fillna("")
    for column in ("std_error", "median"):
        joined[column] = described_by_s[column]
    joined["n_draws"] = described_by_s["n_draws"].fillna(0).astype("int64")
    joined["estimator"] = described_by_s["estimator"].fillna("")
    return joined
