"""Statistics: merging parts is the whole, numbers of any size keep their digits, bytes come back."""

import math

import numpy as np
import pytest

from varprop.montecarlo.cells import Moments
from varprop.montecarlo.scaled import logarithm, normalized, shifted
from varprop.montecarlo.sketch import CAPACITY, Sketch, ranked
from varprop.montecarlo.statistics import NAMES, Statistics

DRAWS, DEPTH = 301, 3


@pytest.fixture(scope="module")
def values():
    rng = np.random.default_rng(0)
    value = np.exp(2 * rng.normal(size=(DRAWS, DEPTH, len(NAMES))))
    value[:, :, 0] = rng.normal(size=(DRAWS, DEPTH))
    value[:, :, 1] = 0.3
    value[:, :, 2] = 0.0
    value[:, :, 3] = np.nan
    value[::7, 0, 4] = 0.0
    exponent = np.zeros(value.shape, np.int64)
    exponent[:, 1] = -3000
    exponent[:, 2] = 3000
    return value, exponent


def cut(values, edges):
    value, exponent = values
    parts = [Statistics.of(value[a:b], exponent[a:b], np.full((DEPTH, 2), b - a)) for a, b in edges]
    whole = parts[0]
    for part in parts[1:]:
        whole = whole.merge(part)
    return whole


def test_merging_is_the_whole(values):
    one, many = cut(values, [(0, DRAWS)]), cut(values, [(0, 1), (1, 80), (80, 81), (81, DRAWS)])
    assert one.draws == many.draws == DRAWS
    for name, array in one.cells.arrays().items():
        np.testing.assert_allclose(array, many.cells.arrays()[name], rtol=1e-11, atol=0, err_msg=name)
    np.testing.assert_array_equal(many.histogram, DRAWS)


def test_moments_are_numpys(values):
    moments = cut(values, [(0, 100), (100, DRAWS)]).cells.moments
    flat = values[0][:, 0]
    known = ~np.isnan(flat).all(axis=0)
    np.testing.assert_allclose(moments.value()[: len(NAMES)][known], flat.mean(0)[known], rtol=1e-13)
    error = flat.std(0, ddof=1)[known] / math.sqrt(DRAWS)
    # NumPy finds a rounding error where all draws are equal; here it is 0.
    np.testing.assert_allclose(moments.std_error()[: len(NAMES)][known], error, rtol=1e-12, atol=1e-15)
    assert np.isnan(moments.value()[3])


def test_sizes_beyond_the_range_of_a_double(values):
    moments = cut(values, [(0, 100), (100, DRAWS)]).cells.moments
    logs = moments.log_value().reshape(DEPTH, -1)
    np.testing.assert_allclose(logs[1, 5] + 3000 * math.log(2), np.log(values[0][:, 1, 5].mean()), rtol=1e-10)
    assert moments.value().reshape(DEPTH, -1)[1, 5] == 0.0
    assert moments.value().reshape(DEPTH, -1)[2, 5] == math.inf


def test_equal_draws_have_no_spread(values):
    moments = cut(values, [(0, 3), (3, 10), (10, DRAWS)]).cells.moments
    assert moments.value()[1] == 0.3
    assert moments.spread[1] == 0.0
    assert moments.value()[2] == 0.0
    assert cut(values, [(0, 9), (9, DRAWS)]).cells.medians()[1] == 0.3


def test_bytes_come_back(values):
    whole = cut(values, [(0, 100), (100, DRAWS)])
    data = whole.to_bytes()
    assert Statistics.from_bytes(data).to_bytes() == data
    assert cut(values, [(0, 100), (100, DRAWS)]).to_bytes() == data


def test_overflow_is_counted(values):
    value = values[0].copy()
    value[5, 0, 7] = np.inf
    cells = Statistics.of(value).cells
    assert cells.overflows[7] == 1
    assert cells.overflows.sum() == 1
    assert np.isfinite(cells.moments.mean).all()


def test_medians(values):
    medians = cut(values, [(0, 100), (100, DRAWS)]).cells.medians().reshape(DEPTH, -1)
    np.testing.assert_allclose(medians[0, 4:], np.median(values[0][:, 0, 4:], axis=0), rtol=0.02)
    assert abs(medians[0, 0] - np.median(values[0][:, 0, 0])) < 0.02


def test_sketch_is_bounded_and_independent_of_order():
    rng = np.random.default_rng(1)
    parts = [rng.normal(size=(400, 2)) * 10.0 ** rng.uniform(-100, 100, size=(400, 2)) for _ in range(5)]
    sketches = [Sketch.of(ranked(*normalized(part, 0))) for part in parts]

    def merged(order):
        whole = sketches[order[0]]
        for i in order[1:]:
            whole = whole.merge(sketches[i])
        return whole

    one, two = merged([0, 1, 2, 3, 4]), merged([3, 4, 1, 0, 2])
    for name in ("cell", "key", "count", "level"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    assert np.bincount(one.cell).max() <= CAPACITY
    assert one.count.sum() == 4000


def test_scaled_numbers():
    value, power = normalized(np.array([3.0, 0.0, -0.25, np.inf]), np.array([5, 5, 5, 5]))
    np.testing.assert_array_equal(shifted(value, power), [96.0, 0.0, -8.0, np.inf])
    np.testing.assert_allclose(logarithm(np.array([3.0]), 5), math.log(96))


def test_empty_moments():
    none = Moments.of(np.full((4, 1), np.nan))
    some = Moments.of(np.array([[2.0], [4.0]]))
    for both in (none.merge(some), some.merge(none)):
        assert both.value()[0] == 3.0
        assert both.count[0] == 2
