"""Intervals and p-values of means over draws: textbook values, consistency, and levels on laws of known mean."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from varprop.results.intervals import (
    QUADRATIC,
    Means,
    critical_value,
    is_heavy,
    one_sign,
    p_values,
    positive_skewness,
    reaches,
)

ONE = np.ones(1)


def made(
    value=1.0, error=0.1, draws=200.0, skewness=0.0, both=False, log_variance=0.0, fraction=False
) -> Means:
    numbers = (value, error, draws, skewness)
    return Means(
        *(np.atleast_1d(np.asarray(n, dtype=float)) for n in numbers),
        both=np.atleast_1d(both),
        log_variance=np.atleast_1d(np.asarray(log_variance, dtype=float)),
        fraction=np.atleast_1d(fraction),
    )


def of(x: np.ndarray) -> Means:
    """Return the means over the last axis of positive draws."""
    draws = x.shape[1]
    value, error = x.mean(axis=1), x.std(axis=1, ddof=1) / np.sqrt(draws)
    skewness, log_variance = positive_skewness(error * np.sqrt(draws) / value, np.log(x).std(axis=1, ddof=1))
    no = np.zeros(len(x), bool)
    return Means(value, error, np.full(len(x), float(draws)), skewness, no, log_variance, no)


@pytest.mark.parametrize("draws", [2, 50, 200, 100_000])
@pytest.mark.parametrize("tests", [1, 100, 3600])
def test_critical_value_is_students(draws: int, tests: int) -> None:
    from scipy import stats

    found = critical_value(0.05 / tests, draws * ONE)
    assert found == pytest.approx(stats.t.isf(0.05 / tests / 2, draws - 1), rel=1e-9)


def test_critical_values_of_the_textbook() -> None:
    # Student (1908) and every table since: two-sided 5 % with 9 and with 120 degrees of freedom
    assert critical_value(0.05, np.array([10.0, 121.0])) == pytest.approx([2.262, 1.980], abs=5e-4)


def test_without_skewness_it_is_students_test() -> None:
    from scipy import stats

    t = np.array([-4.0, -1.0, 0.0, 0.5, 6.0])
    p = [p_values(made(value=1.0 + 0.1 * each, draws=30.0), ONE)[0] for each in t]
    assert p == pytest.approx(2 * stats.t.sf(np.abs(t), 29), rel=1e-9)


@example(1.0, 5, 1e-6, False, 0.5)  # a limit of 1e218 standard errors is no nearer than one of a million
@given(
    st.floats(-20, 20),
    st.integers(5, 5000),
    st.floats(1e-6, 0.2),
    st.booleans(),
    st.floats(0.0, 2.0).map(lambda v: v if v > 0.01 else 0.0),
)
def test_interval_and_test_agree(
    skewness: float, draws: int, level: float, both: bool, log_variance: float
) -> None:
    """A hypothesis at an end of the interval has the level as its p-value, on either side."""
    means = made(draws=draws, skewness=skewness, both=both, log_variance=log_variance)
    down, up = reaches(means, level)
    assert down >= 0.1 * critical_value(level, draws * ONE) - 1e-12
    assert up >= 0.1 * critical_value(level, draws * ONE) - 1e-12
    # Beyond the range of the expansion the p-value of the shorter limit is a little smaller than the level.
    for end in (1.0 - down, 1.0 + up):
        if np.isfinite(end).all():
            assert p_values(means, end) == pytest.approx(level, rel=1e-3)


def test_the_long_side_is_where_the_tail_hides_the_truth() -> None:
    down, up = reaches(made(skewness=3.0), 1e-4)
    assert (down < 0.41, up > 0.5) == (True, True)
    assert reaches(made(skewness=-3.0), 1e-4) == (up, down)
    assert reaches(made(skewness=QUADRATIC, both=True), 1e-4)[0] > 0.45


LAWS = {
    "log-normal, deviation 0.5": lambda rng, shape: np.exp(0.5 * rng.standard_normal(shape) - 0.125),
    "log-normal, deviation 0.9": lambda rng, shape: np.exp(0.9 * rng.standard_normal(shape) - 0.405),
    "gamma of shape 1": lambda rng, shape: rng.standard_gamma(1.0, shape),
    "gamma of shape 4": lambda rng, shape: rng.standard_gamma(4.0, shape) / 4.0,
}


@pytest.mark.agreement
@pytest.mark.parametrize("draws", [10, 50, 200])
@pytest.mark.parametrize("law", LAWS)
def test_positive_draws_keep_their_level(law: str, draws: int) -> None:
    """20,000 means of mean 1 tested at level 1e-3, and their 95 % intervals.

    20 rejections are expected; 38 are exceeded with probability 1e-4, a rate of three times the level is noticed with
    probability 0.998. Student's t alone rejects up to 800. Coverage 94 to 99 %: 0.93 would fail with certainty.
    """
    x = LAWS[law](np.random.default_rng(5), (20_000, draws))
    means = of(x)
    assert int((p_values(means, np.ones(len(x))) <= 1e-3).sum()) <= 38
    down, up = reaches(means, 0.05)
    covered = np.mean((means.value - down <= 1.0) & (means.value + up >= 1.0))
    assert 0.94 <= covered <= 0.99
    assert draws == 10 or covered <= 0.975


def test_an_unseen_event_is_counted_over_draws() -> None:
    """Clopper and Pearson (1934): 0 of 200 leaves 1 - 0.025^(1/200) = 0.01828; one-sided 95 % is 3/200."""
    down, up = reaches(made(value=0.0, error=0.005, draws=200.0, fraction=True), 0.05)
    assert (down[0], up[0]) == (0.0, pytest.approx(0.01828, abs=1e-5))
    down, up = reaches(made(value=1.0, error=0.005, draws=200.0, fraction=True), 0.05)
    assert (down[0], up[0]) == (pytest.approx(0.01828, abs=1e-5), 0.0)
    assert reaches(made(value=0.0, error=0.0, fraction=True), 0.1)[1][0] == pytest.approx(3 / 200, rel=0.02)
    # Of 200 draws none shows an event of probability 0.01 with probability 0.99^200 = 0.134.
    p = p_values(made(value=0.0, error=0.005, draws=200.0, fraction=True), np.array([0.01]))
    assert p[0] == pytest.approx(2 * 0.99**200, rel=1e-9)


@pytest.mark.agreement
@pytest.mark.parametrize(("probability", "size"), [(0.004, 1.0), (0.02, 1.0), (0.02, 0.1), (0.3, 1.0)])
def test_fractions_keep_their_level(probability: float, size: float) -> None:
    """Events of a probability and a size, 200 draws, 20,000 means at level 1e-3 and 95 %: bounds as above."""
    rng = np.random.default_rng(7)
    counts = rng.binomial(200, probability, 20_000)
    value = size * counts / 200
    error = size * np.sqrt(counts / 200 * (1 - counts / 200) / 199)
    no = np.zeros(len(value), bool)
    means = Means(value, error, np.full(len(value), 200.0), 0 * value, no, 0 * value, ~no)
    truth = np.full(len(value), size * probability)
    assert int((p_values(means, truth) <= 1e-3).sum()) <= 38
    down, up = reaches(means, 0.05)
    assert np.mean((value - down <= truth) & (value + up >= truth)) >= 0.93


def test_what_is_heavy() -> None:
    varied, log_std = np.array([1.0, 1.3, 5.0, 1.3]), np.array([0.8, 1.0, 1.0, 1.3])
    assert is_heavy(varied, log_std).tolist() == [False, False, True, True]
    # One squared normal number varies by sqrt(2), its logarithm by pi/sqrt(2): the long tail is the lower one.
    square = np.array([math.sqrt(2.0)]), np.array([math.pi / math.sqrt(2.0)])
    assert not is_heavy(*square, units=np.array([1.0]))[0]
    assert is_heavy(*square, units=np.array([16.0]))[0]
    assert is_heavy(np.array([1.0, 3.0]), np.array([math.nan, math.nan])).tolist() == [False, True]


def test_few_draws_of_a_wide_law_are_heavy() -> None:
    """Thirty draws of a log-normal law of deviation 2.5 vary far less than the law, whose mean they nearly always miss.

    Their logarithms show it: a sample deviation below 1.2 has probability 1e-6 (chi-square, 29 degrees of freedom).
    """
    draws = np.exp(2.5 * np.random.default_rng(1).standard_normal((1000, 30)))
    varied = draws.std(axis=1, ddof=1) / draws.mean(axis=1)
    assert is_heavy(varied, np.log(draws).std(axis=1, ddof=1), units=16.0).all()


def test_one_sign_is_seen_in_the_geometric_mean() -> None:
    rng = np.random.default_rng(0)
    for x, answer in (
        (rng.gamma(2.0, size=50), True),
        (-rng.gamma(2.0, size=50), True),
        (rng.normal(size=50), False),
    ):
        assert bool(one_sign(np.array([x.mean()]), np.array([np.log(np.abs(x)).mean()]))[0]) is answer
