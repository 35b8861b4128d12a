"""Tables from outside: validated and conformed."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest

from varprop._validation import InputError
from varprop.results.frames import validate
from varprop.results.schema import PREDICTED_COLUMNS, tidy

ROW = {"case": "he", "layer": 1, "width": 9, "quantity": "activation_mean", "value": 1.5, "order": "exact"}


def table(**change: object) -> pd.DataFrame:
    return tidy([ROW | {"layer": 1}, ROW | {"layer": 2} | change], PREDICTED_COLUMNS)


def test_a_csv_file_comes_back_as_it_was() -> None:
    frame = table()
    again = pd.read_csv(io.StringIO(frame.to_csv(index=False)))
    assert again["reason"].isna().all()
    pd.testing.assert_frame_equal(validate(again, PREDICTED_COLUMNS), frame)


def test_further_columns_stay_and_provenance_goes() -> None:
    frame = table().assign(allowance=0.1)
    frame.attrs["large"] = np.zeros(3)
    checked = validate(frame, PREDICTED_COLUMNS)
    assert checked["allowance"].tolist() == [0.1, 0.1]
    assert checked.attrs == {}
    assert "large" in frame.attrs


@pytest.mark.parametrize(
    ("frame", "pattern"),
    [
        (None, "frame: NoneType"),
        (table().drop(columns=["value", "order"]), "without value, order"),
        (table().assign(quantity="activation_maen"), "frame.quantity: 'activation_maen' .*did you mean"),
        (table(layer=1), r"'he', layer 1, activation_mean twice"),
        (table().assign(value="x"), "frame.value"),
        (table().assign(layer=np.nan), "frame.layer"),
        (table().assign(case="x" * 5000, layer=1), "twice"),
    ],
)
def test_refused(frame: object, pattern: str) -> None:
    with pytest.raises(InputError, match=pattern) as caught:
        validate(frame, PREDICTED_COLUMNS)  # type: ignore[arg-type]
    assert len(str(caught.value)) < 500
