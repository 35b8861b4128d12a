"""Jackknife pseudo-values against the jackknife done by hand."""

import numpy as np

from varprop.montecarlo.samplers.pseudo import pseudo_correlation, pseudo_variance


def test_variance_per_place_is_the_sample_variance():
    z = np.random.default_rng(0).normal(size=(7, 1, 5)) + np.arange(5)
    pseudo = pseudo_variance(z)
    np.testing.assert_allclose(pseudo.mean(), z[:, 0].var(axis=0, ddof=1).mean())
    without = [np.delete(z[:, 0], r, axis=0).var(axis=0, ddof=1).mean() for r in range(7)]
    np.testing.assert_allclose(pseudo, 7 * pseudo.mean() - 6 * np.array(without))


def test_variance_of_replicas_is_unbiased():
    """Replicas of one draw share a random shift, which must count: 40,000 groups, 5 sigma."""
    rng = np.random.default_rng(1)
    z = rng.normal(size=(40_000, 4, 3, 2)) + rng.normal(size=(40_000, 4, 1, 1)) + 5.0
    means = np.array([pseudo_variance(group).mean() for group in z])
    assert abs(means.mean() - 2.0) < 5 * means.std() / 200


def test_equal_draws_have_exactly_no_variance():
    z = np.broadcast_to(np.random.default_rng(2).normal(size=(1, 1, 40)), (6, 1, 40))
    np.testing.assert_array_equal(pseudo_variance(z), 0.0)


def test_two_draws_are_too_few():
    assert np.isnan(pseudo_variance(np.ones((2, 1, 3)))).all()


def test_correlation_is_of_pooled_moments():
    z = np.random.default_rng(3).normal(size=(50, 4, 3))
    gram = z.swapaxes(1, 2) @ z

    def pooled(g):
        total = g.sum(axis=0)
        size = np.sqrt(np.diag(total))
        return (total / np.outer(size, size))[np.triu_indices(3, 1)].mean()

    by_hand = [50 * pooled(gram) - 49 * pooled(np.delete(gram, r, axis=0)) for r in range(50)]
    np.testing.assert_allclose(pseudo_correlation(gram), by_hand, rtol=1e-9)


def test_correlation_of_zero_vectors_is_undefined():
    gram = np.zeros((5, 2, 2))
    gram[:, 0, 0] = 1.0
    assert np.isnan(pseudo_correlation(gram)).all()
    assert np.isnan(pseudo_correlation(np.zeros((2, 2, 2)))).all()
