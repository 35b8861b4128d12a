"""Tables from outside, validated."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest

from varprop._validation import InputError
from varprop.results.frames import validate
from varprop.results.schema import PREDICTED_COLUMNS, table, tidy

ROW = {"case": "he", "layer": 1, "width": 9, "quantity": "activation_mean", "value": 1.5, "order": "exact"}


def predicted(**change: object) -> pd.DataFrame:
    return tidy([ROW | {"layer": 1}, ROW | {"layer": 2} | change], PREDICTED_COLUMNS)


def test_a_csv_file_comes_back_as_it_was() -> None:
    frame = predicted()
    again = pd.read_csv(io.StringIO(frame.to_csv(index=False)))
    assert again["reason"].isna().all()
    pd.testing.assert_frame_equal(table(validate(again, PREDICTED_COLUMNS), PREDICTED_COLUMNS), frame)


def test_types_of_the_contract() -> None:
    columns = validate(predicted(), PREDICTED_COLUMNS)
    assert tuple(columns) == PREDICTED_COLUMNS
    assert columns["layer"].dtype == np.int64
    assert columns["value"].dtype == np.float64
    assert columns["case"].tolist() == ["he", "he"]


@pytest.mark.parametrize(
    ("frame", "pattern"),
    [
        (None, "frame: NoneType"),
        (predicted().drop(columns=["value", "order"]), "without value, order"),
        (predicted().assign(quantity="activation_maen"), r"frame.quantity: 'activation_maen' .*did you mean"),
        (predicted(layer=1), r"'he', layer 1, activation_mean twice"),
        (predicted().assign(value="x"), r"frame.value: .* numbers"),
        (predicted().assign(layer=[1.0, np.nan]), r"frame.layer\[1\]: nan .* a whole number"),
        (predicted().assign(width=[1.0, 2.5]), r"frame.width\[1\]: 2.5 .* a whole number"),
        (predicted().assign(case="x" * 5000, layer=1), "twice"),
    ],
)
def test_refused(frame: object, pattern: str) -> None:
    with pytest.raises(InputError, match=pattern) as caught:
        validate(frame, PREDICTED_COLUMNS)  # type: ignore[arg-type]
    assert len(str(caught.value)) < 500
