"""Holm's procedure."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from varprop.comparison import holm


def test_worked_by_hand() -> None:
    # Ascending p and multipliers: 0.005·5, 0.01·4, 0.02·3, 0.04·2, 0.5·1 = 0.025, 0.04, 0.06, 0.08, 0.5
    assert holm([0.5, 0.01, 0.04, 0.005, 0.02]) == pytest.approx([0.5, 0.04, 0.08, 0.025, 0.06])


def test_an_adjusted_value_is_never_below_an_earlier_one() -> None:
    # 0.01·4 = 0.04, 0.02·3 = 0.06, then 0.03·2 = 0.06 and 0.04·1 = 0.04, raised to 0.06
    assert holm([0.01, 0.02, 0.03, 0.04]) == pytest.approx([0.04, 0.06, 0.06, 0.06])


def test_untested_rows_do_not_count() -> None:
    assert holm([0.01, np.nan, 0.03]) == pytest.approx([0.02, np.nan, 0.03], nan_ok=True)
    assert holm([]).shape == (0,)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.floats(0.001, 0.5))
def test_rejects_what_the_step_down_procedure_rejects(p: list[float], alpha: float) -> None:
    order = np.argsort(p, kind="stable")
    rejected = set()
    for k, i in enumerate(order):
        if p[i] * (len(p) - k) > alpha:
            break
        rejected.add(int(i))
    assert set(np.flatnonzero(holm(p) <= alpha).tolist()) == rejected
