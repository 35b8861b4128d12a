"""Quadratic forms against their definition, one index at a time; blocks, centring, rotary nodes."""

import numpy as np
import pytest

from varprop import InputError
from varprop.analytic.attention.forms import Forms, centred, left, right
from varprop.analytic.attention.shape import AttentionShape, causal, unmasked


def attention(examples, tokens, seed=0):
    """Two causal attention matrices as blocks and in full."""
    rng = np.random.default_rng(seed)
    blocks = rng.random((2, examples, tokens, tokens)) * np.tri(tokens)
    blocks /= blocks.sum(axis=-1, keepdims=True)
    full = np.zeros((2, examples * tokens, examples * tokens))
    for b in range(examples):
        rows = slice(b * tokens, (b + 1) * tokens)
        full[:, rows, rows] = blocks[:, b]
    return blocks, full


def signed(n, sign, seed):
    x = np.random.default_rng(seed).standard_normal((n, n))
    return x + sign * x.T


@pytest.mark.parametrize(("examples", "tokens"), [(1, 5), (3, 3), (4, 1)])
@pytest.mark.parametrize("value_sign", [1, -1])
@pytest.mark.parametrize("sign", [1, -1])
def test_both_forms_by_definition(examples, tokens, value_sign, sign):
    """tr(J_t S J_t'^T M) and sum_tt' H J_t S J_t'^T with J_t written out, to rounding."""
    blocks, a = attention(examples, tokens)
    n = examples * tokens
    s, m = signed(n, value_sign, 1), signed(n, sign, 2)
    jacobian = np.einsum("pts,sr->ptsr", a, np.eye(n)) - np.einsum("pts,ptr->ptsr", a, a)
    between = np.einsum("ptab,bc,pucd->ptuad", jacobian, s, jacobian)
    forms = Forms(blocks, s)
    np.testing.assert_allclose(
        forms.over_keys(m, value_sign * sign), np.einsum("ptuad,ad->ptu", between, m), atol=1e-13
    )
    np.testing.assert_allclose(
        forms.over_queries(m, value_sign * sign), np.einsum("tu,ptuad->pad", m, between), atol=1e-13
    )
    np.testing.assert_allclose(left(blocks, s), a @ s, atol=1e-14)
    np.testing.assert_allclose(right(s, blocks), s @ a, atol=1e-14)


def test_nearly_identical_tokens_keep_their_digits():
    """With 1 - correlation = 1e-9 the form is (1e-9)² tr J², to the six digits that tokens of 1 leave of 1e-9."""
    blocks, a = attention(1, 6)
    s = np.full((6, 6), 1.0 - 1e-9)
    np.fill_diagonal(s, 1.0)
    jacobian = np.einsum("pts,sr->ptsr", a, np.eye(6)) - np.einsum("pts,ptr->ptsr", a, a)
    expected = 1e-18 * np.einsum("ptab,ptab->pt", jacobian, jacobian)
    found = np.diagonal(Forms(blocks, s).over_keys(s), axis1=1, axis2=2)
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-30)
    np.testing.assert_allclose(centred(np.ones((6, 6)), 2), 0.0, atol=1e-15)


@pytest.mark.parametrize(
    ("mask", "blocks"),
    [
        (causal(4, 3), 3),
        (unmasked(5), 1),
        (np.eye(6, dtype=bool), 6),
        (causal(1, 2), 2),
        (np.kron(np.diag([True, False]), np.ones((3, 3), bool)) | np.eye(6, dtype=bool), 2),
    ],
)
def test_blocks(mask, blocks):
    """The most equal blocks outside of which nothing is visible; a window of one key, unequal halves."""
    shape = AttentionShape(4, mask)
    assert shape.blocks == blocks
    assert shape.uniform.sum(axis=-1) == pytest.approx(np.ones((blocks, len(mask) // blocks)))


@pytest.mark.parametrize(("positions", "most", "error"), [(32, 24, 1e-3), (128, 40, 1e-3), (4, 24, 1e-3)])
def test_rotary_nodes(positions, most, error):
    """Nodes that keep all fast pairs give the average cos(angle u) over 32 pairs at every distance."""
    shape = AttentionShape(64, causal(positions), rotary=np.arange(float(positions)))
    angles, weights = shape.nodes(most)
    distance = np.arange(1.0 - positions, positions)
    every = 10000.0 ** (-np.arange(32) / 32.0)
    exact = np.cos(np.outer(distance, every)).mean(axis=1)
    assert weights.sum() == pytest.approx(1.0)
    assert np.max(np.abs(np.cos(np.outer(distance, angles)) @ weights - exact)) < error
    assert shape.nodes(6)[0].size <= 6
    np.testing.assert_allclose(shape.kernel()[0], exact[positions - 1 :], atol=1e-12)


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("mask", {"mask": np.tri(3, k=-1, dtype=bool)}),
        ("mask", {"mask": np.ones((2, 3), bool)}),
        ("mask", {"mask": np.ones((2, 2))}),
        ("head_size", {"head_size": 0}),
        ("head_size", {"head_size": 3, "rotary": np.arange(2.0)}),
        ("groups", {"groups": 0}),
        ("rotary", {"rotary": np.arange(3.0)}),
    ],
)
def test_refusals(field, arguments):
    with pytest.raises(InputError, match=f"^{field}: "):
        AttentionShape(**({"head_size": 4, "mask": causal(2)} | arguments))
