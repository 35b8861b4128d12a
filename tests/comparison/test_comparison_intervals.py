"""Student's t, bent for skewed draws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from varprop.comparison.intervals import critical_value, half_widths, two_sided_p

ONE = np.ones(1)


@pytest.mark.parametrize("draws", [2, 50, 200, 100_000])
@pytest.mark.parametrize("tests", [1, 100, 3600])
def test_critical_value_is_students(draws: int, tests: int) -> None:
    from scipy import stats

    found = critical_value(0.05, tests, draws * ONE)
    assert found == pytest.approx(stats.t.isf(0.05 / tests / 2, draws - 1), rel=1e-9)


def test_critical_values_of_the_textbook() -> None:
    # Student (1908) and every table since: two-sided 5 % with 9 and with 120 degrees of freedom
    assert critical_value(0.05, 1, np.array([10.0, 121.0])) == pytest.approx([2.262, 1.980], abs=5e-4)


def test_without_skewness_it_is_students_test() -> None:
    from scipy import stats

    t = np.array([-4.0, -1.0, 0.0, 0.5, 6.0])
    p = two_sided_p(t, np.zeros(5), np.full(5, 30.0))
    assert p == pytest.approx(2 * stats.t.sf(np.abs(t), 29), rel=1e-12)


@given(
    st.floats(-60, 60).filter(lambda g: abs(g) > 1e-3 or g == 0),
    st.integers(5, 5000),
    st.floats(0.1, 12),
)
def test_interval_and_test_agree(skewness: float, draws: int, quantile: float) -> None:
    """A hypothesis at the end of the interval has the p-value of the quantile, on either side."""
    g, r, q = skewness * ONE, draws * ONE, quantile * ONE
    down, up = half_widths(q, g, r)
    level = two_sided_p(q, 0.0 * ONE, r)
    # The truth at measured - down has t = down, at measured + up it has t = -up.
    assert two_sided_p(down, g, r) == pytest.approx(level, rel=1e-6)
    assert two_sided_p(-up, g, r) == pytest.approx(level, rel=1e-6)
    assert down >= q
    assert up >= q


def test_the_long_side_is_where_the_tail_hides_the_truth() -> None:
    q, r = 4.0 * ONE, 200.0 * ONE
    down, up = half_widths(q, 3.0 * ONE, r)
    assert (down[0], up[0] > 5.0) == (4.0, True)
    assert half_widths(q, -3.0 * ONE, r) == (up, down)


@pytest.mark.agreement
@pytest.mark.parametrize("log_variance", [0.1, 0.4, 0.8])
def test_log_normal_draws_keep_their_level(log_variance: float) -> None:
    """Log-normal draws, 200 to a mean, 40,000 means, tested at level 1e-3 with their estimated skewness.

    Student's t would reject up to 6e-3 of them. At the promised level 40 are expected; 65 are exceeded with
    probability 1e-4. A rate of twice the level would be noticed with probability 0.96.
    """
    rng = np.random.default_rng(5)
    rejected = plain = 0
    for _ in range(20):
        x = np.exp(np.sqrt(log_variance) * rng.standard_normal((2000, 200)) - log_variance / 2)
        mean, error = x.mean(axis=1), x.std(axis=1, ddof=1) / np.sqrt(200)
        varied = error * np.sqrt(200) / mean
        t = (mean - 1.0) / error
        rejected += int(np.sum(two_sided_p(t, varied * (3 + varied**2), np.full(2000, 200.0)) <= 1e-3))
        plain += int(np.sum(two_sided_p(t, np.zeros(2000), np.full(2000, 200.0)) <= 1e-3))
    assert rejected <= 65
    if log_variance >= 0.4:
        assert plain > 100
