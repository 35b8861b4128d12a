"""Gaussian moments against mpmath (tests/reference/activations_mpmath.py), and the two routes against each other."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

import varprop as vp
from varprop._validation import InputError
from varprop.activations import registry
from varprop.moments import FIELDS

from .conftest import NAMES

ACCURACY = 1e-12
REFERENCE = Path(__file__).parents[1] / "reference" / "activations_moments.csv"
with REFERENCE.open(newline="") as stream:
    ROWS = list(csv.DictReader(stream))


def error(found: float, row: dict[str, str], field: str) -> float:
    """Return the relative error; E phi relative to at least 1e-3 of root E phi²."""
    true = float(row[field])
    scale = abs(true)
    if field == "mean":
        scale = max(scale, 1e-3 * float(row["second_moment"]) ** 0.5)
    return 0.0 if found == true else abs(found - true) / max(scale, 1e-30)


@pytest.mark.parametrize("method", ["auto", "formula", "quadrature"])
@pytest.mark.parametrize("name", sorted({row["activation"] for row in ROWS}))
def test_against_mpmath(name: str, method: str) -> None:
    activation = vp.activation(name)
    compared = 0
    for row in ROWS:
        if row["activation"] != name:
            continue
        for field in FIELDS:
            try:
                moments = activation.moments(float(row["q"]), float(row["m"]), method, (field,))
            except InputError:
                assert method != "auto", (row["q"], row["m"], field)
                continue
            value = float(getattr(moments, field))
            assert error(value, row, field) < ACCURACY, (row["q"], row["m"], field, value, row[field])
            compared += 1
    # quadrature: everything but the washed-out means of oscillating functions
    assert compared >= {"auto": 98, "formula": 0, "quadrature": 80}[method]


def test_every_activation_has_references() -> None:
    plain = {make().name for make in registry.values()}
    spelled = {row["activation"].split("(")[0] for row in ROWS}
    assert plain <= spelled


@pytest.mark.parametrize("name", NAMES)
def test_formula_and_quadrature_agree_between_the_reference_points(name: str) -> None:
    """A grid of variances that no reference has, formula by formula, element by element."""
    activation = vp.activation(name)
    q = 10.0 ** np.linspace(-6, 6, 97)
    known = set(activation.forms.centred) | set(activation.forms.general)
    for field in known:
        if name in ("sin", "cos"):
            q = q[q < 6]  # further up quadrature refuses where e^{-q} is lost in rounding
        exact = getattr(activation.moments(q, 0.0, "formula", (field,)), field)
        summed = getattr(activation.moments(q, 0.0, "quadrature", (field,)), field)
        scale = np.abs(exact)
        if field == "mean":
            scale = np.maximum(
                scale, 1e-3 * np.sqrt(activation.moments(q, fields=("second_moment",)).second_moment)
            )
        np.testing.assert_array_less(np.abs(exact - summed), ACCURACY * scale + 1e-300)


@pytest.mark.parametrize("name", NAMES)
def test_scalar_vector_and_broadcast_agree(name: str) -> None:
    activation = vp.activation(name)
    fields = ("second_moment", "derivative_second_moment")
    q = np.array([[1e-30, 0.0, 1e-6], [0.7, 42.0, 1e9]])
    whole = activation.moments(q, fields=fields)
    for index, variance in np.ndenumerate(q):
        one = activation.moments(float(variance), fields=fields)
        for field in fields:
            assert np.isclose(getattr(one, field), getattr(whole, field)[index], rtol=1e-13, atol=0)
    shifted = activation.moments(np.array([0.5, 2.0]), np.array([[0.0], [1.0], [-1.0]]), fields=fields)
    assert shifted.second_moment.shape == (3, 2)
    assert np.isclose(
        shifted.second_moment[0, 1], activation.moments(2.0, fields=fields).second_moment, rtol=1e-12
    )
    assert whole.mean is None


@pytest.mark.parametrize("name", NAMES)
def test_variance_zero_is_the_point(name: str) -> None:
    activation = vp.activation(name)
    for m in (0.0, -0.4, 1.7, 3.0):
        a, d = float(activation(m)), float(activation.derivative(m))
        found = activation.moments(0.0, m)
        expected = (a, a * a, 0.0, d, d * d, a**4, m * a * d)
        np.testing.assert_allclose([getattr(found, f) for f in FIELDS], expected, rtol=1e-14)


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "mish", "relu6"])
def test_tiny_and_huge_variances_are_defined(name: str) -> None:
    activation = vp.activation(name)
    for q in (1e-290, 1e-100, 1e20, 1e100):
        found = activation.moments(q, fields=("second_moment", "derivative_second_moment"))
        assert np.isfinite(found.second_moment)
        assert found.derivative_second_moment >= 0
    slope = float(activation.derivative(np.array([1e-30]))[0])
    if name != "relu6":  # smooth at 0: the second derivative there changes E phi'² by order q
        small = activation.moments(1e-40, fields=("derivative_second_moment",)).derivative_second_moment
        assert np.isclose(small, slope**2, rtol=1e-12)


def test_formula_is_refused_where_there_is_none() -> None:
    with pytest.raises(InputError, match="closed form"):
        vp.activation("tanh").moments(1.0, method="formula", fields=("second_moment",))
    with pytest.raises(InputError, match="mean other than 0"):
        vp.activation("gelu").moments(1.0, 0.5, method="formula", fields=("second_moment",))


def test_quadrature_says_where_it_cannot_reach() -> None:
    for name, q, field in (("sin", 100.0, "derivative_mean"), ("cos", 1e6, "z_phi_dphi")):
        with pytest.raises(InputError, match="oscillates"):
            vp.activation(name).moments(q, method="quadrature", fields=(field,))
    fast = vp.activation(lambda z: np.sin(1e5 * z), derivative=lambda z: 1e5 * np.cos(1e5 * z), kinks=())
    with pytest.raises(InputError, match="oscillates"):
        fast.moments(1.0, fields=("second_moment",))


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ((-1.0,), "variance"),
        ((np.nan,), "variance"),
        (([1.0, np.inf],), "variance"),
        ((1.0, np.nan), "mean"),
        (("one",), "variance"),
        (([1.0, 2.0], [1.0, 2.0, 3.0]), "mean"),
        ((1.0, 0.0, "gauss_hermite"), "method"),
        ((1.0, 0.0, "auto", ["secondmoment"]), "fields"),
    ],
)
def test_bad_arguments(arguments: tuple, match: str) -> None:
    with pytest.raises(InputError, match=match):
        vp.activation("tanh").moments(*arguments)
