"""Layer-2 distances of pairs: right where Mehler's series does not converge, and labelled by what is in doubt."""

import csv
from pathlib import Path

import numpy as np
import pytest

import varprop as vp
from tests.reference.close_pairs_extended import CASES, FUNCTIONS
from varprop.analytic import predict_network
from varprop.analytic.batch_moments import pair_averages
from varprop.analytic.unit_law import UnitLaw, bias_mixture
from varprop.initializers import initializer
from varprop.spec import Layer, Network

with (Path(__file__).parents[1] / "reference" / "close_pairs.csv").open(newline="") as stream:
    ROWS = list(csv.DictReader(stream))
FIRST, SECOND = np.array([0]), np.array([1])


def test_the_table_is_what_its_generator_makes():
    """Every function at every case, in order: a run that was cut short is no table."""
    keys = [(row["activation"], *(float(row[key]) for key in ("q1", "q2", "eps"))) for row in ROWS]
    assert keys == [(name, *case) for name in FUNCTIONS for case in CASES]


POINT = bias_mixture(initializer("zeros").law(4, 4), 1.0)


@pytest.mark.parametrize("row", ROWS, ids=lambda r: f"{r['activation']}-{r['q1']}-{r['eps']}")
def test_against_extended_precision(row):
    """Distances of one pair; what is left in doubt must be said, and is nothing here but rounding at eps = 1e-16."""
    q1, q2, eps, expected = (float(row[key]) for key in ("q1", "q2", "eps", "squared_difference"))
    law = UnitLaw(np.zeros(2), np.log([q1, q2]), POINT, 0.0, np.zeros(2))
    found = pair_averages(vp.activation(row["activation"]), law, np.array([eps]), FIRST, SECOND)
    close = eps < 1e-12
    assert found.distance[0] == pytest.approx(0.5 * expected, rel=1e-6 if close else 1e-9)
    assert found.doubt < (1e-5 if close else 1e-9)


def two_inputs(q, eps, n=8):
    """Two inputs with |x|² = q and correlation 1 - eps."""
    turn = np.arccos(1.0 - eps)
    x = np.zeros((2, n))
    x[0, 0], x[1, 0], x[1, 1] = 1.0, np.cos(turn), np.sin(turn)
    return vp.data(np.sqrt(q) * x, name="pair")


def rows(activation, source, weights="standard_normal", biases="zeros"):
    network = Network(source, (Layer(6, activation, weights, biases), Layer(4, "linear", "normal(std=0.5)")))
    return predict_network(network).set_index(["layer", "quantity"])


def sine(q, eps, m=0.0):
    """E (sin(m + u) - sin(m + v))² of equal variances: 1 + cos 2m e^{-q(2 - eps)} - e^{-q eps} - cos 2m e^{-2q}."""
    even = np.cos(2.0 * m)
    return -np.expm1(-q * eps) - even * np.exp(-2.0 * q) * (1.0 - np.exp(q * eps) if q < 300 else 0.0)


@pytest.mark.parametrize("q", [1e-4, 1.0, 1e2, 1e4, 1e6])
@pytest.mark.parametrize("eps", [1e-9, 1e-5, 1e-2, 0.7])
@pytest.mark.parametrize("bias", [0.0, 0.4])
def test_waves_in_closed_form(q, eps, bias):
    table = rows("sin", two_inputs(q, eps), biases=f"constant(value={bias})" if bias else "zeros")
    row = table.loc[(2, "data_variance")]
    x = two_inputs(q, eps).array()
    own = 0.5 * float(np.square(x[:, 0] - x[:, 1]).sum()) / q  # eps as the inputs have it
    assert row["order"] == "exact"
    assert row["value"] == pytest.approx(0.5**2 * 6 * 0.5 * sine(q, own, bias), rel=1e-8)


def test_sine_of_large_weights():
    """Two independent phases: E (sin u - sin v)²/2 = 1/2, so the correlation is 0 and the data variance 6/8."""
    table = rows("sin", two_inputs(1e4, 1.0))
    assert table.loc[(2, "data_variance"), "value"] == pytest.approx(0.75, rel=1e-12)
    assert abs(table.loc[(2, "correlation"), "value"]) < 1e-12


def test_what_no_route_resolves_is_not_called_exact():
    """A sharp wave among random phases: neither the series nor the panels resolve it, and the rows say so."""
    wave = vp.activation(lambda z: np.sin(3.0 * z) / (1.0 + np.exp(-40.0 * np.sin(29.0 * z))), name="saw")
    table = rows(wave, two_inputs(400.0, 0.01))
    for quantity in ("data_variance", "correlation"):
        assert table.loc[(2, quantity), "order"] != "exact"
        assert table.loc[(2, quantity), "reason"]


def test_more_close_pairs_than_quadrature_has_time_for_are_approximate():
    """Hardtanh of 24 close inputs at q = 1e4: 276 pairs, of which the series leaves most in doubt."""
    rng = np.random.default_rng(4)
    x = 100.0 * np.eye(8)[0] + 0.3 * rng.standard_normal((24, 8))
    table = rows("hardtanh", vp.data(x, name="close"))
    row = table.loc[(2, "data_variance")]
    z = rng.standard_normal((4000, 8)) @ x.T
    h = np.clip(z, -1.0, 1.0)
    explicit = 0.25 * 6 * np.var(h, axis=1, ddof=1)
    assert row["order"] == "approximate"
    assert "distances of pairs" in row["reason"]
    # 4000 draws: 4.5 standard errors are 12 %
    assert abs(row["value"] - explicit.mean()) < 4.5 * explicit.std() / np.sqrt(explicit.size)
