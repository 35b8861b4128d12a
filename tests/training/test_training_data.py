"""Circles, moons, spirals and the split."""

from __future__ import annotations

import numpy as np
import pytest

import varprop as vp
from varprop.training import circles, moons, spirals, split


@pytest.mark.parametrize("make", [circles, moons, spirals])
def test_shapes_labels_and_seeds(make):
    data = make(301)
    assert (data.size, data.batch) == (2, 301)
    assert np.bincount(data.labels).tolist() in ([150, 151], [151, 150])
    assert make(301) == data
    assert make(301, seed=1) != data
    assert "seed=1" in make(301, seed=1).name


def test_circles_without_noise():
    radius = np.linalg.norm(circles(300, noise=0, factor=0.8).array(), axis=0)
    np.testing.assert_allclose(radius, np.repeat([1.0, 0.8], 150), rtol=1e-15)


@pytest.mark.parametrize(("make", "theirs"), [(circles, "make_circles"), (moons, "make_moons")])
def test_without_noise_the_points_are_scikit_learn_s(make, theirs):
    sklearn = pytest.importorskip("sklearn.datasets")
    options = {"factor": 0.8} if make is circles else {}
    rows, labels = getattr(sklearn, theirs)(101, shuffle=False, noise=None, **options)
    ours = make(101, noise=0, **options)
    np.testing.assert_allclose(ours.array().T, rows, atol=1e-15)
    np.testing.assert_array_equal(ours.labels, labels)


@pytest.mark.agreement
def test_noise_has_its_size():
    """10,000 numbers, standard error 0.7 %; bound 5 errors, false-alarm rate 6e-7."""
    clean, noisy = circles(5000, noise=0), circles(5000, noise=0.3)
    assert (noisy.array() - clean.array()).std() == pytest.approx(0.3, rel=0.036)


def test_spirals_have_their_arms():
    data = spirals(300, noise=0, turns=1, arms=3)
    radius, angle = np.linalg.norm(data.array(), axis=0), np.arctan2(*data.array()[::-1])
    offset = np.exp(1j * (angle - 2 * np.pi * (radius + data.labels / 3)))
    np.testing.assert_allclose(offset, 1, atol=1e-12)
    assert radius.min() == pytest.approx(0.1)
    assert radius.max() == pytest.approx(1.0)


def test_split_keeps_every_example_once():
    data = vp.data(np.arange(20.0).reshape(10, 2), labels=np.arange(10))
    train, test = split(data, test=0.3, seed=4)
    assert (train.batch, test.batch) == (7, 3)
    assert sorted([*train.labels, *test.labels]) == list(range(10))
    np.testing.assert_array_equal(test.array()[0], 2 * test.labels)
    assert split(data, test=0.3, seed=5)[1] != test
    assert split(data, test=0.001)[1].batch == 1


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda: circles(1), "n"),
        (lambda: circles(noise=-1.0), "noise"),
        (lambda: circles(factor=1.5), "factor"),
        (lambda: moons(seed=-1), "seed"),
        (lambda: spirals(3, arms=4), "n"),
        (lambda: spirals(arms=1), "arms"),
        (lambda: split(circles(10), test=1.0), "test"),
        (lambda: split(vp.half_on(3)), "data.batch"),
    ],
)
def test_bad_arguments(call, field):
    with pytest.raises(vp.InputError) as caught:
        call()
    assert caught.value.field == field
