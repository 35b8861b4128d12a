"""The compiled kernels: the same numbers from the same bits as the NumPy transforms."""

import dataclasses

import numpy as np
import pytest

pytest.importorskip("numba")

from varprop.montecarlo.estimates import estimates
from varprop.montecarlo.execution import run_block
from varprop.montecarlo.histograms import count
from varprop.montecarlo.normals import Noise, kernels_available
from varprop.montecarlo.planning import make_plan
from varprop.spec import half_on, mlp


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


def test_same_counts():
    z = np.random.default_rng(0).standard_cauchy((7, 333)).astype(np.float32)
    np.testing.assert_array_equal(count(z, 2), count(z, 2, compiled=True))
    shift = np.arange(7)
    np.testing.assert_array_equal(count(z, 2, shift), count(z, 2, shift, compiled=True))


def test_same_table():
    network = mlp("200x3", "tanh", "lecun_normal", input=half_on(200))
    plan = make_plan(network, draws=20)
    frames = []
    for compiled in (False, True):
        own = dataclasses.replace(plan, compiled=compiled)
        blocks = [run_block(own, block) for block in own.blocks()]
        total = blocks[0]
        for block in blocks[1:]:
            total = total.merge(block)
        frames.append(estimates(own, total))
    np.testing.assert_allclose(frames[0]["value"], frames[1]["value"], rtol=1e-4, atol=1e-4)
