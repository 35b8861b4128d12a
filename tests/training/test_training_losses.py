"""Losses from logits against arithmetic with 50 digits, where the naive formulas fail."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest

from varprop.training.losses import LOSSES

LOGITS = [-800.0, -40.0, -1.5, 0.0, 0.3, 36.0, 37.0, 720.0]


def exact_bce(z: float, y: float) -> tuple[float, float]:
    with mp.workdps(400):
        p = 1 / (1 + mp.e ** (-mp.mpf(z)))
        return float(-mp.log(p) if y else -mp.log(1 - p)), float(p - y)


@pytest.mark.parametrize("z", LOGITS)
@pytest.mark.parametrize("y", [0.0, 1.0])
def test_binary_cross_entropy(z, y):
    logits, targets = np.array([[[z]]]), np.array([[y]])
    with np.errstate(over="ignore", divide="ignore"):
        value = LOSSES["bce"].value(logits, targets)
        gradient = LOSSES["bce"].gradient(logits, targets, np.empty_like(logits))
    loss, slope = exact_bce(z, y)
    assert value[0, 0] == pytest.approx(loss, rel=1e-14, abs=1e-300)
    assert gradient[0, 0, 0] == pytest.approx(slope, rel=1e-14, abs=1e-16)


def test_naive_binary_formula_fails_where_the_sigmoid_rounds_to_0_or_1():
    # p rounds to 1 from log(2^53) = 36.74 on, to 0 only where exp(−z) overflows.
    logits = np.array(LOGITS)[None, None, :]
    with np.errstate(over="ignore"):
        fails = LOSSES["bce"].naive_fails(logits, np.zeros((1, len(LOGITS))))
    assert fails.tolist() == [[True, False, False, False, False, False, True, True]]


def exact_softmax(z: list[float], k: int) -> tuple[float, list[float]]:
    with mp.workdps(800):
        power = [mp.e ** mp.mpf(v) for v in z]
        p = [v / sum(power) for v in power]
        return float(-mp.log(p[k])), [float(v - (i == k)) for i, v in enumerate(p)]


@pytest.mark.parametrize("z", [[0.0, 0.0, 0.0], [1.0, -2.0, 0.5], [900.0, -900.0, 899.0], [-50.0, 0.0, 50.0]])
@pytest.mark.parametrize("k", [0, 1, 2])
def test_softmax_cross_entropy(z, k):
    logits, targets = np.array(z)[None, :, None], np.eye(3)[:, [k]]
    value = LOSSES["softmax_ce"].value(logits, targets)
    with np.errstate(under="ignore"):
        gradient = LOSSES["softmax_ce"].gradient(logits, targets, np.empty_like(logits))
    loss, slope = exact_softmax(z, k)
    assert value[0, 0] == pytest.approx(loss, rel=1e-14, abs=1e-15)
    np.testing.assert_allclose(gradient[0, :, 0], slope, rtol=1e-13, atol=1e-16)


def test_naive_softmax_fails_where_it_overflows_or_underflows():
    logits = np.array([[0.0, 710.0, 0.0], [1.0, 0.0, -800.0]])[None]
    targets = np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    with np.errstate(over="ignore", invalid="ignore"):
        assert LOSSES["softmax_ce"].naive_fails(logits, targets).tolist() == [[False, True, True]]


def test_accuracy_counts_ties_for_the_first_class():
    assert LOSSES["bce"].correct(np.zeros((1, 1, 2)), np.array([[0.0, 1.0]])).tolist() == [[True, False]]
    assert LOSSES["softmax_ce"].correct(np.zeros((1, 2, 2)), np.eye(2)).tolist() == [[True, False]]
    assert LOSSES["mse"].correct(np.zeros((1, 2, 2)), np.eye(2)) is None


def test_squared_error():
    z, y = np.array([[[1.0, 2.0], [0.0, -1.0]]]), np.array([[0.0, 2.0], [2.0, 1.0]])
    assert LOSSES["mse"].value(z, y).tolist() == [[2.5, 2.0]]
    assert LOSSES["mse"].gradient(z, y, np.empty_like(z)).tolist() == [[[1.0, 0.0], [-2.0, -2.0]]]
