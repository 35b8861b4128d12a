"""Histograms: counts on exact float edges, merging by addition, coarse versions that keep every count."""

import json

import numpy as np
import pandas as pd
import pytest

from varprop.montecarlo.histograms import BINS, SIDE, Histogram, count, grid
from varprop.montecarlo.simulation import measure_networks, simulate_network
from varprop.spec import gaussian, mlp


@pytest.mark.parametrize("exponent", [0, 7, -9, 90, -100])
def test_counts_are_numpys(exponent):
    z = (np.random.default_rng(0).standard_cauchy((5, 2000)) * 2.0**exponent).astype(np.float32)
    z[0, :4] = 0.0
    counts = count(z, exponent)
    assert counts.shape == (BINS,)
    assert counts.sum() == z.size
    expected, _ = np.histogram(np.abs(z[z > 0]).astype(float), grid(exponent)[SIDE + 2 :])
    np.testing.assert_array_equal(counts[SIDE + 2 :], expected)
    expected, _ = np.histogram(np.abs(z[z < 0]).astype(float), grid(exponent)[SIDE + 2 :])
    np.testing.assert_array_equal(counts[SIDE::-1], expected)


def test_shifted_draws_count_at_their_true_size():
    z = np.random.default_rng(1).normal(size=(3, 500)).astype(np.float32)
    shift = np.array([0, 3, -2])
    true = (z * 2.0 ** shift[:, None]).astype(np.float32)
    np.testing.assert_array_equal(count(z, 1, shift), count(true, 1))


def test_far_sizes_do_not_fail():
    z = np.ones((1, 10), np.float32)
    assert count(z, 500)[SIDE + 1] == 10
    assert count(z, -500)[-1] == 10


def test_coarse_keeps_bounded_counts_and_unit_area():
    z = np.random.default_rng(2).normal(size=(10, 5000)).astype(np.float32)
    fine = Histogram("case", 1, grid(0), count(z, 0))
    coarse = fine.coarse()
    assert coarse.counts.sum() == fine.counts[1:-1].sum() == z.size
    assert len(coarse.counts) < 150
    np.testing.assert_allclose((coarse.density() * np.diff(coarse.edges)).sum(), 1.0)
    inside = np.abs(coarse.edges[:-1]) < 1
    density = np.exp(-((coarse.edges[:-1] + coarse.edges[1:]) ** 2) / 8) / np.sqrt(2 * np.pi)
    np.testing.assert_allclose(coarse.density()[inside], density[inside], rtol=0.2)


def test_they_come_beside_the_table():
    network = mlp("30x3", "relu", "he_normal", input=gaussian(20, 4))
    found = measure_networks([network], draws=10)
    layers = found.histograms
    assert [h.layer for h in layers] == [1, 2, 3]
    assert all(h.counts.sum() == 10 * 30 * 4 for h in layers)
    assert measure_networks([network], draws=10, histogram=False).histograms == ()
    frame = simulate_network(network, draws=10)
    pd.testing.assert_frame_equal(found.table, frame, check_flags=False)
    assert json.loads(json.dumps(found.table.attrs)) == found.table.attrs
