"""One head against explicit queries, keys, values and gradients in plain NumPy, in the limit of infinite width.

Three numbers of each second moment are compared: its trace, its sum, and its product with a fixed random matrix of
signs. The allowance is a share of the trace that the engine is said to keep, plus 4.5 standard errors of the referee
(4000 heads): the false-alarm rate is below 1e-5 a number, 13 numbers a case. An error of the allowance plus 5 % is
caught; a transposed rotation (off by 25 to 100 %), a mean Gram matrix in place of the head's own (10 % at s = 5), or a
missing group factor are far beyond it.
"""

import numpy as np
import pytest

from tests.analytic.attention.explicit import estimate, head_moments
from tests.analytic.attention.tokens import alike, repeated, uneven
from varprop.analytic.attention import AttentionShape, attend, causal, unmasked

HEADS = 4000


def check(found, drawn, allowance):
    """Compare numbers of second moments; `allowance` by name, as a share of the trace."""
    n = len(found["output"])
    signs = np.sign(np.random.default_rng(99).standard_normal((n, n)))
    signs = np.triu(signs) + np.triu(signs, 1).T
    for name, matrix in found.items():
        if name == "concentration":
            mean, error = estimate(drawn[name])
            assert abs(matrix - mean) < allowance["output"] * mean + 4.5 * error, name
            continue
        size = np.trace(drawn[name].mean(axis=0))
        for probe in (np.eye(n), np.ones((n, n)), signs):
            mean, error = estimate(np.einsum("hts,ts->h", drawn[name], probe))
            # Sums and signs weigh N times as many entries as the trace.
            extent = max(size, abs(mean), np.sum(np.abs(drawn[name].mean(axis=0))) / 3.0)
            assert abs(np.sum(matrix * probe) - mean) < allowance[name] * extent + 4.5 * error, (
                name,
                probe[0],
            )


def predicted(attended, gradient):
    back = attended.backward(gradient)
    return {
        "output": attended.output,
        "query": back.query,
        "key": back.key,
        "value": back.value,
        "concentration": attended.concentration,
    }


RESUMMED = {"output": 0.01, "query": 0.02, "key": 0.02, "value": 0.02}
SAMPLED = {"output": 0.01, "query": 0.03, "key": 0.03, "value": 0.03}

CASES = {
    "small logits": (alike(10, 0.2), 0.09, 16, causal(10), None),
    "unmasked": (alike(10, 0.3), 1.4, 16, unmasked(10), None),
    "two sequences": (alike(6, 0.3, 2, 0.2), 1.0, 8, causal(6, 2), None),
    "rotary": (alike(10, 0.2), 0.8, 16, causal(10), np.arange(10.0)),
    "uneven tokens": (uneven(10, 24), 0.1, 16, unmasked(10), None),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("coherent", [0.0, 1.0])
def test_resummed_head(name, coherent):
    """The expansion: 1 % forward, 2 % backward, where `auto` takes it; gradients alike and apart."""
    s, variance, d, mask, positions = CASES[name]
    gradient = alike(len(s), 0.1) + coherent
    drawn = head_moments(variance * s, s, s, gradient, d, mask, HEADS, 1, positions)
    attended = attend(variance * s, s, s, AttentionShape(d, mask, rotary=positions))
    assert (attended.engine, attended.order, attended.reason.text != "") == ("resummed", "infinite", True)
    check(predicted(attended, gradient), drawn, RESUMMED)


SAMPLES = {
    "uneven tokens": (uneven(10, 24), 1.0, 16, causal(10), None),
    "large logits": (alike(10, 0.2), 9.0, 16, causal(10), None),
    "very large logits": (uneven(8, 24), 400.0, 8, unmasked(8), None),
    "repeated tokens": (repeated(5, 20), 2.0, 8, causal(10), None),
    "two sequences": (uneven(12, 20), 4.0, 8, causal(6, 2), None),
    "rotary": (uneven(10, 24), 2.0, 16, causal(10), np.arange(10.0)),
    "rotary of two sequences": (uneven(10, 24), 2.0, 8, unmasked(5, 2), np.tile(3.0 * np.arange(5), 2)),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_sampled_head(name):
    """Explicit heads: 1 % forward, 3 % backward, for any tokens and logits."""
    s, variance, d, mask, positions = SAMPLES[name]
    gradient = alike(len(s), 0.1) + 0.3
    drawn = head_moments(variance * s, s, s, gradient, d, mask, HEADS, 2, positions)
    attended = attend(variance * s, s, s, AttentionShape(d, mask, rotary=positions))
    assert attended.engine == "sampled"
    check(predicted(attended, gradient), drawn, SAMPLED)


def test_different_second_moments():
    """Queries, keys and values of three different token sets (a decoder's biases, a scaled key): nothing is swapped."""
    q, k, v = (uneven(8, 40, seed) for seed in (1, 2, 3))
    gradient = uneven(8, 12, 4)
    drawn = head_moments(0.25 * q, k, 5.0 * v, gradient, 8, causal(8), HEADS, 3)
    attended = attend(0.25 * q, k, 5.0 * v, AttentionShape(8, causal(8)), engine="resummed")
    check(predicted(attended, gradient), drawn, dict.fromkeys(RESUMMED, 0.03))


@pytest.mark.parametrize("positions", [None, np.arange(8.0)])
def test_both_engines_agree(positions):
    """Where both hold, entry by entry: 2 % of the roots of the diagonals, plus 7 standard errors over 12 seeds.

    A t value of 7 with 11 degrees of freedom has probability 2e-5; with 4 x 36 entries, and the seeds fixed, a false
    alarm would be seen once, when the engine changes. Catches entries exchanged, transposed, or off by 10 %.
    """
    s = alike(8, 0.3)
    shape = AttentionShape(16, causal(8), rotary=positions)
    expanded = predicted(attend(0.6 * s, s, s, shape, engine="resummed"), s + 0.2)
    drawn = [
        predicted(attend(0.6 * s, s, s, shape, engine="sampled", seed=seed), s + 0.2) for seed in range(12)
    ]
    for name in ("output", "query", "key", "value"):
        mean, error = estimate([d[name] for d in drawn])
        own = np.sqrt(np.maximum(np.diagonal(mean), 0.0))
        assert np.all(np.abs(expanded[name] - mean) <= 0.02 * np.outer(own, own) + 7.0 * error + 1e-12), name


def test_groups_and_scales():
    """Keys and values gather what their query heads send; the seed moves only the sampled heads, a little."""
    s = uneven(6, 30)
    one, four = (attend(s, s, s, AttentionShape(8, causal(6), groups), engine="sampled") for groups in (1, 4))
    a, b = one.backward(s), four.backward(s)
    np.testing.assert_allclose(b.query, a.query, rtol=1e-12)
    np.testing.assert_allclose(b.key, 4.0 * a.key, rtol=1e-12)
    np.testing.assert_allclose(b.value, 4.0 * a.value, rtol=1e-12)
    again = attend(s, s, s, AttentionShape(8, causal(6)), engine="sampled")
    assert np.array_equal(again.output, one.output)
    other = attend(s, s, s, AttentionShape(8, causal(6)), engine="sampled", seed=1)
    assert 0.0 < np.max(np.abs(other.output - one.output)) < 0.05
    scaled = attend(s, s, 1e-60 * s, AttentionShape(8, causal(6)), engine="sampled").backward(1e-40 * s)
    np.testing.assert_allclose(scaled.query, 1e-100 * a.query, rtol=1e-9)
    assert not a.query[0].any()
    assert not a.query[:, 0].any()


def test_sums_that_hold_whatever_the_logits():
    """A shift of all keys changes nothing: their gradients sum to 0; values pass on what rows of weights 1 bring."""
    s = uneven(7, 30)
    gradient = uneven(7, 9, 5)
    for engine in ("resummed", "sampled"):
        back = attend(s, s, s, AttentionShape(8, unmasked(7)), engine=engine).backward(gradient)
        assert abs(back.key.sum()) < 1e-12 * np.abs(back.key).sum()
        assert back.value.sum() == pytest.approx(gradient.sum(), rel=1e-10)
        for matrix in (back.query, back.key, back.value):
            np.testing.assert_allclose(matrix, matrix.T, atol=1e-12)
