"""Loss and gradient at every position against explicit logits; the tied embedding's own logit."""

import numpy as np
import pytest

from tests.analytic.attention.tokens import alike
from varprop import InputError
from varprop.analytic.attention import position_losses, tied_loss


def explicit(covariance, classes, draws, seed):
    """Per draw: loss at each position, (p - e).(p' - e') between positions, uniform labels."""
    rng = np.random.default_rng(seed)
    n = len(covariance)
    logits = rng.standard_normal((draws, classes, n)) @ np.linalg.cholesky(covariance).T
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    labels = rng.integers(classes, size=(draws, 1, n))
    loss = -np.log(np.take_along_axis(p, labels, axis=1))[:, 0]
    error = p - (np.arange(classes)[None, :, None] == labels)
    return loss, np.einsum("dvt,dvs->dts", error, error)


@pytest.mark.parametrize(("classes", "variance", "seed"), [(12, 1.0, 1), (200, 0.5, 2), (30, 6.0, 3)])
def test_explicit_logits(classes, variance, seed):
    """Loss and diagonal within 4.5 standard errors over 20,000 draws, three positions (false alarm 4e-5 a case).

    Between positions the formula is said to be approximate: within 0.01 of the diagonal as well.
    """
    covariance = variance * alike(3, 0.5)
    found = position_losses(covariance, classes)
    loss, gradient = explicit(covariance, classes, 20_000 if classes < 100 else 5_000, seed)
    for matrix, drawn in ((found.loss, loss), (found.gradient, gradient)):
        error = drawn.std(axis=0) / np.sqrt(len(drawn))
        allowance = 0.0 if matrix.ndim == 1 else 0.01 * (1.0 - np.eye(3))
        assert np.all(np.abs(matrix - drawn.mean(axis=0)) < 4.5 * error + allowance)


def test_many_classes():
    """ln V + s²/2 - (e^{s²} - 1)/(2V) and 1 - 2/V + e^{s²}/V for V = 50257, s = 1: next order 1/V²."""
    found = position_losses(np.eye(2), 50257)
    assert found.loss[0] == pytest.approx(np.log(50257) + 0.5 - np.expm1(1.0) / (2 * 50257), abs=1e-7)
    assert found.gradient[0, 0] == pytest.approx(1.0 - 2.0 / 50257 + np.e / 50257, abs=1e-7)
    assert found.gradient[0, 1] == pytest.approx(0.0, abs=1e-15)


def test_labels_in_common():
    """The same label everywhere adds 1 - 1/V between positions; equal positions have equal entries."""
    same = position_losses(np.full((2, 2), 0.7), 9, same_label=1.0)
    np.testing.assert_allclose(same.gradient, same.gradient[0, 0], rtol=1e-12)
    independent = position_losses(0.7 * np.eye(2), 9, same_label=np.eye(2) + 0.25 * (1.0 - np.eye(2)))
    assert independent.gradient[0, 1] == pytest.approx(0.25 - 1.0 / 9.0, rel=1e-12)


def test_extreme_logits():
    """No logits, tiny and enormous ones: finite, no overflow, limits known."""
    for size in (0.0, 1e-300, 1e-12, 1e6):
        found = position_losses(size * alike(3, 0.9), 5)
        assert np.isfinite(found.loss).all()
        assert np.isfinite(found.gradient).all()
    np.testing.assert_allclose(position_losses(np.zeros((2, 2)), 5).gradient, 0.8 * np.eye(2), atol=1e-15)
    tiny = position_losses(1e-6 * alike(2, 0.5), 5).gradient
    # E p.p' - 1/V = (1 - 1/V) Sl / V to first order.
    assert tiny[0, 1] == pytest.approx(0.8 * 0.5e-6 / 5.0, rel=1e-4)


@pytest.mark.parametrize(("own", "seed"), [(0.0, 1), (1.0, 2)])
def test_tied_embedding(own, seed):
    """One logit of 1000 with mean 2: loss against explicit logits, within 4.5 standard errors and 1e-3 (1/V terms)."""
    rng, classes, draws, mean = np.random.default_rng(seed), 1000, 8000, 2.0
    logits = rng.standard_normal((draws, classes))
    logits[:, 0] += mean
    label = 0 if own else 1
    loss = np.log(np.exp(logits).sum(axis=1)) - logits[:, label]
    expected = position_losses(np.eye(1), classes).loss[0] + tied_loss(mean, classes, own_label=own)
    assert abs(loss.mean() - expected) < 4.5 * loss.std() / np.sqrt(draws) + 1e-3


def test_tied_extremes_and_refusals():
    """A huge mean gives the token itself: -ln(share) of others; V = 2 by hand."""
    assert tied_loss(0.0, 7) == pytest.approx(0.0, abs=1e-15)
    assert tied_loss(1000.0, 10, own_label=0.0) == pytest.approx(1000.0 - np.log(10.0), rel=1e-12)
    assert tied_loss(np.log(3.0), 2, own_label=0.0) == pytest.approx(np.log(2.0), rel=1e-12)
    for field, call in (
        ("classes", lambda: position_losses(np.eye(2), 1)),
        ("covariance", lambda: position_losses(np.ones((2, 3)), 5)),
        ("covariance", lambda: position_losses(np.full((2, 2), np.nan), 5)),
        ("own_label", lambda: tied_loss(1.0, 5, own_label=2.0)),
    ):
        with pytest.raises(InputError, match=f"^{field}: "):
            call()
