"""Laws against independent numbers: textbook values, mpmath references, distribution functions."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import varprop as vp
from varprop.initializers import laws
from varprop.initializers.truncation import truncated_moments

REFERENCE = Path(__file__).parents[1] / "reference" / "initializers_truncated.csv"
FAN_IN, FAN_OUT = 500, 100


@pytest.mark.parametrize(
    "row", list(csv.DictReader(REFERENCE.read_text().splitlines())), ids=lambda r: f"{r['low']}_{r['high']}"
)
def test_truncated_moments_match_fifty_digit_references(row):
    mean, variance, kurtosis = truncated_moments(float(row["low"]), float(row["high"]))
    # The window (1.999, 2.001) is 2e-3 wide to 13 digits only: its width carries the rounding of its bounds.
    assert mean == pytest.approx(float(row["mean"]), rel=1e-14, abs=1e-15)
    assert variance == pytest.approx(float(row["variance"]), rel=1e-12)
    assert kurtosis == pytest.approx(float(row["excess_kurtosis"]), rel=1e-12, abs=1e-14)


def test_correction_of_the_frameworks():
    assert truncated_moments(-2.0, 2.0)[1] ** 0.5 == pytest.approx(laws.SPREAD_AT_TWO, rel=1e-15)


@pytest.mark.parametrize(
    ("spelling", "variance"),
    [
        ("lecun_normal", 1 / 500),
        ("glorot_normal", 2 / 600),
        ("xavier_uniform", 2 / 600),
        ("he_truncated", 2 / 500),
        ("he_normal(mode=fan_out)", 2 / 100),
        ("kaiming_normal(mode=fan_avg)", 2 / 300),
        ("he_uniform(slope=0.5)", 2 / 1.25 / 500),
        ("uniform_fan_in", 1 / 1500),
        ("orthogonal", 1 / 500),
        ("sparse(sparsity=0.75, std=2)", 1.0),
        ("uniform(low=0, high=1)", 1 / 12),
        ("keras.he_normal", 2 / 500),
        ("keras.lecun_uniform", 1 / 500),
        ("keras.dense_default", 2 / 600),
        ("keras.truncated_normal(stddev=1)", 0.7737413035499232),
        ("torch.kaiming_uniform_(a=2.23606797749979)", 1 / 1500),
        ("torch.kaiming_normal_(mode=fan_out, nonlinearity=tanh)", 25 / 9 / 100),
        ("torch.xavier_normal_(gain=2)", 8 / 600),
        ("torch.linear_default", 1 / 1500),
        # Absolute bounds: at ±2 with std 0.02 nothing is cut.
        ("torch.trunc_normal_(std=0.02)", 0.0004),
        # ceil(0.905·100) = 91 of 100 rows are zero in each column.
        ("torch.sparse_(sparsity=0.905, std=1)", 0.09),
    ],
)
def test_variances(spelling, variance):
    assert vp.initializer(spelling).variance(FAN_IN, FAN_OUT) == pytest.approx(variance, rel=1e-14)


@pytest.mark.parametrize(
    ("spelling", "kurtosis"),
    [
        ("he_normal", 0.0),
        ("he_uniform", -1.2),
        ("he_truncated", -0.6344632828703505),
        ("rademacher", -2.0),
        ("orthogonal", -6 / 502),
        ("sparse(sparsity=0.75)", 9.0),
        ("torch.sparse_(sparsity=0.9)", 27.0),
        ("constant(value=3)", 0.0),
    ],
)
def test_kurtoses(spelling, kurtosis):
    assert vp.initializer(spelling).excess_kurtosis(FAN_IN, FAN_OUT) == pytest.approx(kurtosis, rel=1e-13)


@pytest.mark.parametrize(
    ("spelling", "distribution"),
    [
        ("normal(std=2, mean=1)", stats.norm(1, 2)),
        ("uniform(low=-1, high=3)", stats.uniform(-1, 4)),
        ("truncated_normal(std=1)", stats.truncnorm(-2, 2)),
        ("truncated_normal(std=1, bound=0.5)", stats.truncnorm(-0.5, 0.5)),
        ("torch.trunc_normal_(a=3, b=4)", stats.truncnorm(3, 4)),
        ("torch.trunc_normal_(a=-9, b=-5)", stats.truncnorm(-9, -5)),
        ("torch.trunc_normal_(a=-1, b=6)", stats.truncnorm(-1, 6)),
    ],
)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.agreement
def test_samples_have_the_distribution(spelling, distribution, dtype):
    """Kolmogorov–Smirnov on 40,000 values; p below 1e-6 fails, so 1.4e-5 false alarms over the 14 cases.

    A distribution function off by 0.014 anywhere is seen.
    """
    values = vp.initializer(spelling).sample((200, 200), rng=np.random.default_rng(3), dtype=dtype)
    assert stats.kstest(values.ravel().astype(np.float64), distribution.cdf).pvalue > 1e-6


@pytest.mark.parametrize("shape", [(5, 5), (8, 3), (3, 8), (4, 7, 2), (4, 2, 7)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-14), (np.float32, 1e-6)])
def test_orthogonal_rows_or_columns(shape, dtype, tolerance):
    w = vp.initializer("orthogonal(gain=3)").sample(shape, rng=np.random.default_rng(0), dtype=dtype) / dtype(
        3
    )
    gram = w @ w.swapaxes(-1, -2) if shape[-2] <= shape[-1] else w.swapaxes(-1, -2) @ w
    np.testing.assert_allclose(gram, np.broadcast_to(np.eye(gram.shape[-1]), gram.shape), atol=5 * tolerance)


@pytest.mark.agreement
def test_orthogonal_is_haar():
    """The trace of a Haar matrix of order 4 has mean 0 and variance 1; without the sign fix it has not.

    20,000 draws, bounds at 5 standard errors (0.035 and 0.05): false-alarm rate 1e-6.
    """
    w = vp.initializer("orthogonal").sample((20_000, 4, 4), rng=np.random.default_rng(1))
    trace = np.trace(w, axis1=1, axis2=2)
    assert abs(trace.mean()) < 0.035
    assert abs(trace.var() - 1) < 0.05


def test_sparse_columns_have_their_fixed_count():
    w = vp.initializer("torch.sparse_(sparsity=0.33)").sample((50, 7, 9), rng=np.random.default_rng(0))
    np.testing.assert_array_equal((w == 0).sum(axis=1), math.ceil(0.33 * 7))
    # Which rows are zero changes from column to column and from draw to draw.
    assert len({tuple(column) for column in (w == 0).swapaxes(1, 2).reshape(-1, 7)}) == math.comb(7, 3)


DEGENERATE = [
    "normal(std=0)",
    "rademacher(std=0)",
    "sparse(sparsity=1)",
    "orthogonal(gain=0)",
    "torch.sparse_(sparsity=1)",
    "uniform(low=0, high=0)",
    "truncated_normal(std=0)",
]


@pytest.mark.parametrize("spelling", DEGENERATE)
def test_degenerate_parameters_are_zeros(spelling):
    assert vp.initializer(spelling).law(3, 4) == vp.initializer("zeros").law(3, 4)


def test_rectangular_identity():
    wide = vp.initializer("identity(gain=2)").sample((2, 3), rng=np.random.default_rng(0))
    np.testing.assert_array_equal(wide, [[2, 0, 0], [0, 2, 0]])
    grouped = vp.initializer("torch.dirac_(groups=2)").sample((4, 3), rng=np.random.default_rng(0))
    np.testing.assert_array_equal(grouped, [[1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 1, 0]])


def test_layer_presets_bring_their_bias():
    torch_bias = vp.initializers.bias_of(vp.initializer("torch.linear_default"))
    assert torch_bias.variance(500, 100) == pytest.approx(1 / 1500, rel=1e-14)
    assert abs(torch_bias.sample((100,), rng=np.random.default_rng(0), fan_in=500)).max() <= 500**-0.5
    assert vp.initializers.bias_of(vp.initializer("keras.dense_default")).law(None, None).deterministic
    assert vp.initializers.bias_of(vp.initializer("glorot_uniform")) is None


def test_truncation_to_bounds_that_no_double_tells_apart_is_refused():
    """At 1.8e16 standard deviations from the mean both bounds are one number, and moments would be 0/0."""
    with pytest.raises(vp.InputError, match="told apart"):
        laws.truncated_normal(1.8e16, 1.0, 0.0, 1e-3)
    assert laws.truncated_normal(40.0, 1.0, 0.0, 1e-3).variance > 0.0
