"""Cases in which attention needs no average: labels, and values known by algebra."""

import numpy as np
import pytest

from tests.analytic.attention.tokens import alike, repeated, uneven
from varprop import InputError
from varprop.analytic.attention import AttentionReason, AttentionShape, attend, causal, unmasked

ENGINES = ("auto", "resummed", "sampled")


@pytest.mark.parametrize("engine", ENGINES)
def test_one_visible_key(engine):
    """Each row passes its value on: output S, value gradient Ga, none at queries and keys, whatever the logits."""
    s, gradient = uneven(5, 9), uneven(5, 7, 1)
    found = attend(1e6 * s, s, s, AttentionShape(8, np.eye(5, dtype=bool), 2), width=16, engine=engine)
    back = found.backward(gradient)
    assert (found.order, back.order, found.reason) == ("exact", "exact", AttentionReason.NONE)
    np.testing.assert_allclose(found.output, s, rtol=1e-14)
    np.testing.assert_allclose(back.value, 2.0 * gradient, rtol=1e-14)
    assert not any(matrix.any() for matrix in (back.query, back.key, back.query_excess))
    assert back.key_excess == 0.0
    assert np.isnan(found.logit_variance)
    assert found.concentration == found.uniform_concentration == 1.0


@pytest.mark.parametrize("positions", [None, np.arange(3.0)])
def test_one_token(positions):
    """A single column: as above, with rotation too."""
    found = attend(
        np.ones((1, 1)), np.ones((1, 1)), np.full((1, 1), 3.0), AttentionShape(4, unmasked(1)), width=8
    )
    assert found.order == "exact"
    assert found.output[0, 0] == pytest.approx(3.0, rel=1e-14)
    three = AttentionShape(4, np.eye(3, dtype=bool), rotary=positions)
    found = attend(alike(3, 0.5), alike(3, 0.5), alike(3, 0.5), three, width=8)
    assert (found.order, found.backward(np.eye(3)).order) == ("exact", "exact")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("size", [1.0, 1e-150, 1e150])
def test_identical_tokens(engine, size):
    """Every logit of a row is the same number in every draw: uniform attention, identical outputs, zero gradients.

    Gradients at queries and keys are exactly 0; a Cholesky root would fail on these second moments of rank 1.
    """
    s = np.full((6, 6), size)
    found = attend(s, s, s, AttentionShape(8, causal(3, 2)), width=16, engine=engine)
    back = found.backward(np.eye(6))
    assert (found.order, back.order) == ("exact", "exact")
    np.testing.assert_allclose(found.output, s, rtol=1e-13)
    assert not any(matrix.any() for matrix in (back.query, back.key))
    uniform = np.kron(np.eye(2), np.tri(3) / np.arange(1.0, 4.0)[:, None])
    np.testing.assert_allclose(back.value, uniform.T @ uniform, rtol=1e-13)
    assert found.logit_variance == 0.0
    assert found.concentration == pytest.approx((1.0 + 1.0 / 2.0 + 1.0 / 3.0) / 3.0, rel=1e-13)


@pytest.mark.parametrize("engine", ENGINES)
def test_zero_queries(engine):
    """Zero queries: uniform attention for certain; queries do have a gradient, Ga tr(J0 S J0 Kk), and not an exact one.

    T identical and independent keys and values without a mask: tr(J0 J0) = (T - 1)/T².
    """
    s, gradient = np.eye(4), alike(4, 0.5)
    found = attend(0.0 * s, s, s, AttentionShape(8, unmasked(4)), engine=engine)
    back = found.backward(gradient)
    assert (found.order, back.order) == ("exact", "infinite")
    np.testing.assert_allclose(found.output, 0.25, rtol=1e-13)
    np.testing.assert_allclose(back.query, gradient * 3.0 / 16.0, rtol=1e-12)
    assert np.abs(back.key).max() < 1e-15


def test_zero_keys():
    """Zero keys: keys have a gradient, sum_tt' Ga Kq (J0 S J0) = 1'Kq*Ga 1 (I - 11'/T)/T² for independent values."""
    q, gradient = alike(4, 0.25), alike(4, 0.5)
    back = attend(q, 0.0 * q, np.eye(4), AttentionShape(10**6, unmasked(4))).backward(gradient)
    expected = np.sum(q * gradient) * (np.eye(4) - 0.25) / 16.0
    np.testing.assert_allclose(back.key, expected, rtol=1e-5)
    assert back.order == "infinite"
    assert not back.query.any()


def test_one_repeated_token_among_others():
    """Pairs of equal tokens under no mask: equal rows and columns in everything, to rounding, and nothing exact."""
    s = repeated(4, 12)
    for engine in ("resummed", "sampled"):
        found = attend(s, s, s, AttentionShape(8, unmasked(8)), engine=engine)
        back = found.backward(np.kron(uneven(4, 9, 1), np.ones((2, 2))))
        assert "exact" not in (found.order, back.order)
        for matrix in (found.output, back.query, back.value):
            np.testing.assert_allclose(matrix[::2], matrix[1::2], rtol=1e-7, atol=1e-10)


def test_reasons():
    """Outside of its range the expansion says why; `auto` leaves it."""
    shape = AttentionShape(16, unmasked(12))
    large = attend(9.0 * np.eye(12), np.eye(12), np.eye(12), shape, engine="resummed")
    assert (large.order, large.reason) == ("approximate", AttentionReason.LARGE_LOGITS)
    assert large.backward(np.eye(12)).reason is AttentionReason.LARGE_LOGITS
    few = np.kron(np.eye(2), np.ones((6, 6)))
    alone = attend(0.9 * few, few, few, shape, engine="resummed")
    assert (alone.order, alone.reason) == ("approximate", AttentionReason.FEW_KEYS)
    assert attend(0.9 * few, few, few, shape).engine == "sampled"
    assert attend(0.05 * few, few, few, shape).engine == "resummed"


def test_summaries_by_algebra():
    """Independent tokens: the variance within a row is s² for any number of keys; at correlation c it is s² (1 - c)."""
    for correlation in (0.0, 0.4):
        s = alike(6, correlation)
        found = attend(0.5 * s, 2.0 * s, s, AttentionShape(8, causal(6)))
        assert found.logit_variance == pytest.approx(1.0 - correlation, rel=1e-12)
    assert found.uniform_concentration == pytest.approx(np.mean(1.0 / np.arange(1.0, 7.0)), rel=1e-14)
    assert found.uniform_concentration < found.concentration < 1.0


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("query", {"query": np.eye(3)}),
        ("key", {"key": np.full((2, 2), np.nan)}),
        ("value", {"value": np.full((2, 2), np.inf)}),
        ("key_value_gram", {"key_value_gram": np.eye(1)}),
        ("engine", {"engine": "exact"}),
        ("width", {"width": 0}),
        ("fluctuation", {"fluctuation": -1.0}),
        ("seed", {"seed": -1}),
    ],
)
def test_refusals(field, change):
    given = {
        "query": np.eye(2),
        "key": np.eye(2),
        "value": np.eye(2),
        "shape": AttentionShape(2, unmasked(2)),
    }
    with pytest.raises(InputError, match=f"^{field}: "):
        attend(**(given | change))


def test_refused_gradient():
    found = attend(np.eye(2), np.eye(2), np.eye(2), AttentionShape(2, unmasked(2)))
    with pytest.raises(InputError, match=r"^gradient: "):
        found.backward(np.eye(3))
