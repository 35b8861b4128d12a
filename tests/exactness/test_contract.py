"""What theory says exactly or to order 1/n of about 75 networks is frozen: values to 1e-9, and labels."""

import math

import pytest

from tests.exactness.contract import cases, frozen, rows
from tests.exactness.networks import describe

FROZEN = frozen()


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_predictions_are_those_of_the_contract(case):
    held = {tuple(row[1:3]): row[3:] for row in FROZEN[case.name]}
    now = {tuple(row[1:3]): row[3:] for row in rows(case)}
    labels = {key: order for key, (order, *_) in now.items()}
    assert labels == {key: order for key, (order, *_) in held.items()}, describe(case)
    for key, (_, value, log_value) in held.items():
        expected, found = float(value), float(now[key][1])
        assert math.isclose(found, expected, rel_tol=1e-9, abs_tol=1e-15), (key, describe(case))
        if math.isfinite(float(log_value)):
            assert math.isclose(float(now[key][2]), float(log_value), rel_tol=1e-9, abs_tol=1e-9), key
