"""Products that are cut into stretches or halves are the products; factors and inverses multiply back."""

import numpy as np
import pytest

from varprop.montecarlo.samplers.factors import factor
from varprop.montecarlo.samplers.products import diagonal, gram, inner, times
from varprop.montecarlo.samplers.reductions import Columns

# Whole, halved, in two uneven stretches, in many, and too wide to cut.
SHAPES = [(3, 7, 2), (2, 300, 30), (2, 1000, 32), (1, 1001, 33), (2, 5003, 40), (1, 700, 80)]


def standard(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("draws", "units", "batch"), SHAPES)
def test_products(draws, units, batch, dtype):
    """A sum of n products is off by 32 roundings of n at most; a lost stretch is hundreds of times that."""
    one, two = (standard(seed, draws, units, batch).astype(dtype) for seed in (0, 1))
    three = standard(2, draws, batch, batch - 1).astype(dtype)
    a, b, r = (x.astype(np.float64) for x in (one, two, three))
    close = {"rtol": 0, "atol": 32 * np.finfo(dtype).eps * units}
    np.testing.assert_allclose(inner(one, two), np.einsum("rna,rnb->rab", a, b), **close)
    np.testing.assert_allclose(gram(one), np.einsum("rna,rnb->rab", a, a), **close)
    close["atol"] = 16 * np.finfo(dtype).eps * max(batch, 10)
    np.testing.assert_allclose(times(one, three), np.einsum("rnb,rbc->rnc", a, r), **close)
    np.testing.assert_allclose(times(one[:1], three), np.einsum("nb,rbc->rnc", a[0], r), **close)
    np.testing.assert_array_equal(diagonal(gram(one)), np.einsum("raa->ra", gram(one)))
    assert inner(one, two).dtype == times(one, three).dtype == dtype


@pytest.mark.parametrize(("draws", "units", "batch"), [s for s in SHAPES if s[1] > s[2]])
def test_factors(draws, units, batch):
    """X = Q R; Q is orthonormal but for the zero column of X, which is a zero column of R."""
    x = standard(3, draws, units, batch)
    x[0, :, 1] = 0.0
    found = factor(Columns(x))
    eye = np.broadcast_to(np.eye(batch), (draws, batch, batch))
    q = found.expand(eye)
    np.testing.assert_allclose(q @ found.r, x, atol=1e-12)
    own = np.ones((draws, batch))
    own[0, 1] = 0.0
    if found.q is None:
        np.testing.assert_allclose(found.project(x), found.r, atol=1e-9)
        np.testing.assert_allclose(gram(q), eye * own[:, None, :], atol=1e-10)
    assert not found.r[0, :, 1].any()


def test_nearly_equal_columns_go_by_householder():
    """Distances of 1e-9, which a Gram matrix in double precision cannot see, are kept."""
    x = standard(4, 1, 50, 2)
    x[0, :, 1] = x[0, :, 0] * (1 + 1e-9 * standard(5, 50))
    found = factor(Columns(x))
    assert found.q is not None
    gap = found.r[0, :, 1] - found.r[0, :, 0]
    np.testing.assert_allclose(np.linalg.norm(gap), np.linalg.norm(x[0, :, 1] - x[0, :, 0]), rtol=1e-5)
