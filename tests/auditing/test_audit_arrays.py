from __future__ import annotations

import math

import numpy as np
import pytest

from varprop._validation import InputError
from varprop.auditing import audit_arrays, diagnose_one


def deep(rate, draws=6):
    rng = np.random.default_rng(0)
    return {
        f"z{layer}": [rate ** (layer / 2) * rng.normal(size=(8, 300)) for _ in range(draws)]
        for layer in range(20)
    }


def test_moments_and_verdict():
    arrays = deep(0.5)
    gradients = {name: [g[::-1] for g in values] for name, values in reversed(list(arrays.items()))}
    table = audit_arrays(arrays, gradients=gradients, functions={"z0": "relu"})
    rows = table[table["module"] == "z3"].set_index("quantity")
    wanted = [np.mean(a**2) for a in arrays["z3"]]
    assert rows.loc["preactivation_second_moment", "measured"] == pytest.approx(np.mean(wanted), rel=1e-12)
    error = np.std(wanted, ddof=1) / math.sqrt(6)
    assert rows.loc["preactivation_second_moment", "std_error"] == pytest.approx(error, rel=1e-9)
    wanted = np.mean([a.var(axis=0, ddof=1).mean() for a in arrays["z3"]])
    assert rows.loc["data_variance", "measured"] == pytest.approx(wanted, rel=1e-12)
    found = diagnose_one(table)
    assert found.forward.health == "vanishing"
    assert found.forward.typical == pytest.approx(0.5, rel=0.05)
    off = table[table["quantity"] == "inactive_fraction"]["measured"].item()
    assert off == pytest.approx(0.5, abs=0.03)


def test_single_array_has_no_interval():
    table = audit_arrays({"z": np.ones((3, 4))})
    assert table["std_error"].isna().all()
    assert table["reason"].str.contains("single draw").all()


@pytest.mark.parametrize(
    ("arrays", "options", "field"),
    [
        ({}, {}, "activations"),
        ([1], {}, "activations"),
        ({"a": np.array(["x"])}, {}, "activations.a"),
        ({"a": np.array([np.nan])}, {}, "activations.a"),
        ({"a": [np.ones((2, 2)), np.ones((2, 3))]}, {}, "activations.a"),
        ({"a": np.ones((2, 2))}, {"gradients": {"b": np.ones((2, 2))}}, "gradients.b"),
        ({"a": np.ones((2, 2))}, {"functions": {"a": "rleu"}}, "activation"),
    ],
)
def test_refusals(arrays, options, field):
    with pytest.raises(InputError) as caught:
        audit_arrays(arrays, **options)
    assert caught.value.field.startswith(field)
