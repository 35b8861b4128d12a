"""The compiled kernels: the same numbers from the same bits as the NumPy transforms."""

import dataclasses

import numpy as np
import pytest

pytest.importorskip("numba")

from varprop.montecarlo.estimates import estimates, layer_histograms
from varprop.montecarlo.execution import run_block
from varprop.montecarlo.histograms import KEY_SHIFT, KEYS, count, from_keys
from varprop.montecarlo.normals import Noise, kernels_available
from varprop.montecarlo.planning import make_plan
from varprop.spec import gaussian, half_on, mlp


def noise(compiled):
    return Noise(np.random.Generator(np.random.SFC64(1)), compiled=compiled)


@pytest.mark.parametrize("size", [1, 2, 9, 32768, 1_000_001])
def test_same_normals_up_to_rounding(size):
    one, two = (noise(compiled).normal((size,), 1.5) for compiled in (False, True))
    assert kernels_available()
    assert np.abs(one - two).max() < 3e-6
    assert np.isfinite(two).all()


def test_extreme_words():
    """The smallest and greatest words give the ends of the range, and nothing that is not a number."""
    from varprop.montecarlo.kernels import box_muller

    words = np.array([0, 0, 2**32 - 1, 2**32 - 1, 1, 2**31, 0, 2**31, 2**30, 3 * 2**30, 2**29, 1], np.uint32)
    out = np.empty(12, np.float32)
    box_muller(words, words.view(np.int32), out, np.float32(1.0))
    radius = np.sqrt(-2 * np.log((words[:6].astype(float) + 0.5) * 2.0**-32))
    angle = 2 * np.pi * words[6:].astype(float) * 2.0**-32
    # u next to 1 rounds to 1 in single precision: a radius of 1.5e-5 becomes 0, as in the NumPy transform.
    np.testing.assert_allclose(out[:6], radius * np.cos(angle), rtol=1e-6, atol=2e-5)
    np.testing.assert_allclose(out[6:], radius * np.sin(angle), rtol=1e-6, atol=2e-5)
    assert np.abs(out).max() < 6.8


def test_the_same_words_and_the_same_place_afterwards():
    """Many words at a time are stepped in the kernel, few by NumPy; in any order they are one stream."""
    one, two = noise(True), np.random.Generator(np.random.SFC64(1))
    for size in (200_000, 10, 70_000, 65_537):
        one.normal((size,))
        two.bit_generator.random_raw(-(-size // 2))
    assert one.rng.bit_generator.random_raw() == two.bit_generator.random_raw()


def test_one_look_sees_what_numpy_sees():
    from varprop.montecarlo.kernels import survey

    z = np.random.default_rng(0).standard_cauchy((7, 3333)).astype(np.float32)
    tables, sums = np.zeros((4, KEYS), np.int64), np.empty((7, 3))
    low, high = np.float32(-1.5), np.float32(2.0)
    survey(z, z.view(np.uint32), low, high, np.uint32(KEY_SHIFT), tables, sums)
    wide = z.astype(np.float64)
    np.testing.assert_allclose(sums[:, 0], wide.sum(axis=1), rtol=1e-5, atol=1e-6 * np.abs(wide).sum())
    np.testing.assert_allclose(sums[:, 1], (wide**2).sum(axis=1), rtol=1e-6)
    np.testing.assert_array_equal(sums[:, 2], ((z <= low) | (z >= high)).sum(axis=1))
    np.testing.assert_array_equal(from_keys(tables.sum(axis=0), 2), count(z, 2))
    tables[:] = 0
    survey(z, z.view(np.uint32), low, high, np.uint32(0), tables, sums)
    assert not tables.any()


@pytest.mark.parametrize("shared", [False, True])
def test_reflection(shared):
    """Wᵀ delta = std |delta| (noise - q q·noise) + q (W q)·delta with q = h/|h|, and std |delta| noise if h = 0."""
    from varprop.montecarlo.kernels import reflect

    rng = np.random.default_rng(1)
    h = rng.normal(size=(1 if shared else 5, 30))
    if not shared:
        h[2] = 0.0
    product, delta, fresh = (rng.normal(size=(5, n)) for n in (20, 20, 30))
    length, size = (np.broadcast_to(np.linalg.norm(a, axis=1), 5).copy() for a in (h, delta))
    got = fresh.astype(np.float32)
    reflect(*(a.astype(np.float32) for a in (h, product, delta)), got, length, size, 0.3)
    for r in range(5):
        own = h[0 if shared else r]
        q = own / max(np.linalg.norm(own), 1e-300)
        known = q * (product[r] @ delta[r]) / max(np.linalg.norm(own), 1e-300)
        expected = 0.3 * size[r] * (fresh[r] - q * (q @ fresh[r])) + known
        np.testing.assert_allclose(got[r], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("histogram", [True, False])
@pytest.mark.parametrize(
    "network",
    [
        mlp("200x3", "tanh", "lecun_normal", input=half_on(200)),
        mlp("200x3", "relu", "he_normal", "normal(std=0.1)", input=gaussian(200, 5)),
        mlp("200x3", "relu", "he_normal", "constant(value=0.1)", input=half_on(200)),
        mlp("200x3", "hardtanh", "he_normal", input=gaussian(150, 2)),
        mlp("60x3", "linear", "orthogonal", input=half_on(40)),
    ],
    ids=[
        "tanh",
        "relu, five inputs, biases",
        "relu, constant biases",
        "hardtanh, two inputs",
        "linear, orthogonal",
    ],
)
def test_same_table(network, histogram):
    """From the same bits the tables agree; a fraction may differ by a unit of 20 × 60 that sits at a threshold."""
    plan = make_plan(network, draws=20, histogram=histogram)
    frames, counted = [], []
    for compiled in (False, True):
        own = dataclasses.replace(plan, compiled=compiled)
        blocks = [run_block(own, block) for block in own.blocks()]
        total = blocks[0]
        for block in blocks[1:]:
            total = total.merge(block)
        frames.append(estimates(own, total))
        counted.append([h.counts for h in layer_histograms(own, total)])
    np.testing.assert_allclose(frames[0]["value"], frames[1]["value"], rtol=1e-4, atol=1e-3)
    one, two = counted
    assert len(one) == len(two) == 3 * histogram
    for counts, others in zip(one, two, strict=True):
        assert counts.sum() == others.sum()
        assert np.abs(counts - others).sum() <= 0.01 * counts.sum()
