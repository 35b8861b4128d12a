"""What every registered initializer promises, checked for each of them."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import varprop as vp
from tests.initializers.cases import EVERY_CASE, z_scores
from varprop.initializers import registry
from varprop.initializers.base import examples

FAN_IN, FAN_OUT, DRAWS = 30, 20, 400
LAWS = {spelling: vp.initializer(spelling).law(FAN_IN, FAN_OUT) for spelling in EVERY_CASE}
RANDOM_IID = [spelling for spelling, law in LAWS.items() if law.iid and not law.deterministic]


@pytest.fixture(params=EVERY_CASE)
def entry(request):
    return vp.initializer(request.param)


def draw(entry, seed=0, shape=(DRAWS, FAN_OUT, FAN_IN), dtype=np.float64):
    return entry.sample(shape, rng=np.random.default_rng(seed), dtype=dtype)


def test_flags_agree_with_the_moments(entry):
    law = entry.law(FAN_IN, FAN_OUT)
    assert np.isfinite([law.mean, law.variance, law.excess_kurtosis]).all()
    assert law.variance >= 0
    assert law.excess_kurtosis >= -2
    assert law.deterministic == (law.variance == 0)
    if law.gaussian:
        assert law.iid
        assert law.continuous
        assert law.excess_kurtosis == 0
    if law.symmetric:
        assert law.mean == 0
    if law.deterministic:
        assert not law.continuous
        assert law.excess_kurtosis == 0
    assert law.second_moment >= law.mean**2
    assert (entry.mean(FAN_IN, FAN_OUT), entry.variance(FAN_IN, FAN_OUT)) == (law.mean, law.variance)
    assert entry.excess_kurtosis(FAN_IN, FAN_OUT) == law.excess_kurtosis


@pytest.mark.agreement
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_sample_moments_follow_the_law(entry, dtype):
    """Mean, variance and fourth central moment over 400 draws of 600 entries, Student's t per statistic.

    The bound 5.2 has a false-alarm rate of 3e-7 a statistic, 1.5e-4 over the whole battery. A wrong variance
    is seen from 1.5 % (normal law: relative standard error sqrt(2/240000) = 0.29 %), a kurtosis from 0.1.
    """
    law = entry.law(FAN_IN, FAN_OUT)
    values = draw(entry, dtype=dtype).astype(np.float64)
    if law.deterministic:
        np.testing.assert_allclose(values.mean(axis=(1, 2)), law.mean, rtol=1e-7)
        np.testing.assert_allclose((values**2).mean(axis=(1, 2)), law.second_moment, rtol=1e-7)
        return
    spread = max(law.std, abs(law.mean))
    assert abs(z_scores(values.mean(axis=(1, 2)), law.mean, spread)) < 5.2
    centred = values - law.mean
    assert abs(z_scores((centred**2).mean(axis=(1, 2)), law.variance, spread**2)) < 5.2
    fourth = (law.excess_kurtosis + 3) * law.variance**2
    assert abs(z_scores((centred**4).mean(axis=(1, 2)), fourth, spread**4)) < 5.2


@pytest.mark.agreement
@pytest.mark.parametrize("spelling", RANDOM_IID)
def test_entries_flagged_iid_are_uncorrelated(spelling):
    """Neighbours in a row and in a column, values and squares: bound 5.2, false-alarm rate 3e-7 each.

    Correlations from 0.012 are seen (standard error 1/sqrt(400·580) = 0.0021).
    """
    entry = vp.initializer(spelling)
    law = entry.law(FAN_IN, FAN_OUT)
    values = draw(entry, seed=1) - law.mean
    for power in (values, values**2 - law.variance):
        for product in (power[:, 1:] * power[:, :-1], power[:, :, 1:] * power[:, :, :-1]):
            assert abs(z_scores(product.mean(axis=(1, 2)), 0.0, law.variance)) < 5.2


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_sample_has_the_shape_and_type_asked_for(entry, dtype):
    for shape in ((4, 6), (6, 4), (1, 1), (2, 4, 6), (3, 2, 4, 6)):
        if "groups" in entry.name and shape == (1, 1):
            continue
        values = draw(entry, shape=shape, dtype=dtype)
        assert values.shape == shape
        assert values.dtype == dtype
        assert np.isfinite(values).all()
        assert values.flags.writeable


def test_draws_of_one_batch_differ_exactly_when_the_law_is_random(entry):
    first, second = draw(entry, shape=(2, FAN_OUT, FAN_IN))
    assert np.array_equal(first, second) == entry.law(FAN_IN, FAN_OUT).deterministic


def test_same_seed_same_values(entry):
    np.testing.assert_array_equal(draw(entry, seed=5), draw(entry, seed=5))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_values_respect_the_bounds(entry, dtype):
    law = entry.law(FAN_IN, FAN_OUT)
    parameters = dict(law.parameters)
    if "low" not in parameters:
        return
    values = draw(entry, dtype=dtype)
    assert values.min() >= dtype(law["low"])
    assert values.max() <= dtype(law["high"])
    # The bounds are reached: the outer thousandth of the range on the likelier side is not empty.
    reach = max(values.max() - law["low"], law["high"] - values.min()) / (law["high"] - law["low"])
    assert reach > 0.999


def test_names_are_canonical(entry):
    again = vp.initializer(entry.name)
    assert again == entry
    assert hash(again) == hash(entry)
    assert again.name == entry.name == str(entry)
    assert vp.initializer(entry) is entry
    assert again.law(FAN_IN, FAN_OUT) == entry.law(FAN_IN, FAN_OUT)


def test_pickles(entry):
    copy = pickle.loads(pickle.dumps(entry))
    assert copy == entry
    assert copy.law(FAN_IN, FAN_OUT) == entry.law(FAN_IN, FAN_OUT)
    np.testing.assert_array_equal(draw(copy), draw(entry))


def test_facts_are_stated(entry):
    assert entry.preserves
    assert entry.suits
    assert entry.source


def test_examples_cover_the_registry():
    factories = {registry[name] for name in registry}
    assert {registry[name] for name in examples} == factories
    assert len(examples) == len(factories)
