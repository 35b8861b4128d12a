"""What finite width adds: whole layers with explicit weights in plain NumPy, and algebra for the growth of c."""

import numpy as np
import pytest

from tests.analytic.attention.explicit import estimate, layer_moments
from tests.analytic.attention.tokens import alike
from varprop.analytic.attention import (
    AttentionShape,
    advance_fluctuation_attention,
    advance_fluctuation_mlp,
    attend,
    causal,
    unmasked,
)

WIDTH, HEAD, DRAWS = 128, 16, 200

LAYERS = {
    "unmasked": (alike(24, 0.1), (1.0, 1.0, 1.0), unmasked(24), 1, None),
    "grouped, two sequences": (alike(12, 0.1, 2), (0.5, 2.0, 3.0), causal(12, 2), 4, None),
    "rotary": (alike(24, 0.1), (1.0, 1.0, 1.0), causal(24), 2, np.arange(24.0)),
}


def weight_squares(tokens, scales, mask, groups, positions, width):
    """Predicted numbers of a layer: mean squares of weights' gradients, traces of second moments."""
    shape = AttentionShape(HEAD, mask, groups, positions)
    found = attend(*(scale * tokens for scale in scales), shape, width=width)
    back = found.backward(np.eye(len(tokens)) + 0.1)
    return {
        "output": np.trace(found.output),
        "weight_query": np.sum(back.query * tokens),
        "weight_key": (np.sum(back.key * scales[1] * tokens) + back.key_excess) / scales[1],
        "weight_value": np.sum(back.value * tokens),
        "query": np.trace(back.query),
        "query_excess": np.trace(back.query_excess),
    }


@pytest.mark.parametrize("name", LAYERS)
def test_layer_of_explicit_weights(name):
    """Random tokens of 128 features, explicit weights, 200 networks; mean squares of weights' gradients, and outputs.

    Within 5 % (what is of size 1/n, not T/n, is not modelled) plus 4 standard errors of about 1.5 %: false alarms below
    1e-4 a number. Leaving out the term of size T/n lowers the gradients of Wq and Wk by 2 to 15 %; the negative control
    is the layer without a mask, where that is far beyond the noise: without the term it must miss by over 8 %.
    """
    tokens, scales, mask, groups, positions = LAYERS[name]
    drawn = layer_moments(
        tokens, np.eye(len(tokens)) + 0.1, HEAD, mask, WIDTH, scales, DRAWS, 7, groups, positions
    )
    found = weight_squares(tokens, scales, mask, groups, positions, WIDTH)
    without = weight_squares(tokens, scales, mask, groups, positions, None)
    for quantity in ("weight_query", "weight_key", "weight_value", "output", "query"):
        values = drawn[quantity]
        mean, error = estimate(np.trace(values, axis1=1, axis2=2) if values.ndim == 3 else values)
        assert abs(found[quantity] - mean) < 0.05 * mean + 4.0 * error, quantity
        if quantity in ("weight_query", "weight_key"):
            assert without[quantity] < (0.92 * mean if name == "unmasked" else 0.99 * found[quantity])
    assert found["query"] - found["query_excess"] == pytest.approx(without["query"], rel=1e-12)


def test_what_values_and_keys_have_in_common():
    """Proportional second moments are the default; what reads other tokens gains nothing; c and 1/n scale the gain."""
    s, shape = alike(8, 0.2), AttentionShape(8, unmasked(8))
    plain, whole, apart, doubled = (
        attend(0.5 * s, 4.0 * s, s, shape, **options).backward(s)
        for options in (
            {"width": 64},
            {"width": 64, "key_value_gram": 2.0 * s},
            {"width": 64, "key_value_gram": 0.0 * s},
            {"width": 32},
        )
    )
    np.testing.assert_allclose(whole.query, plain.query, rtol=1e-12)
    assert whole.key_excess == pytest.approx(plain.key_excess, rel=1e-12)
    assert apart.key_excess == 0.0
    assert not apart.query_excess.any()
    np.testing.assert_allclose(doubled.query_excess, 2.0 * plain.query_excess, rtol=1e-12)
    still = attend(0.5 * s, 4.0 * s, s, shape, width=64, fluctuation=0.0).backward(s)
    assert still.key_excess == 0.0


@pytest.mark.parametrize("engine", ["resummed", "sampled"])
def test_double_trace_of_zero_queries(engine):
    """Uniform attention over T independent tokens: tr(J0 S) = 1 - 1/T, so the excess is Ga (c/n) s_k² (1 - 1/T)²."""
    shape = AttentionShape(8, unmasked(5))
    back = attend(np.zeros((5, 5)), 3.0 * np.eye(5), np.eye(5), shape, width=50, engine=engine).backward(
        np.ones((5, 5))
    )
    np.testing.assert_allclose(back.query_excess, 3.0 / 50.0 * 0.8**2, rtol=1e-12)


def test_growth_of_the_fluctuation():
    """Without a stream each random projection adds one Gaussian draw; a branch of no size changes nothing; T = 1."""
    s = alike(4, 0.3, 2)
    nothing = np.zeros_like(s)
    assert advance_fluctuation_attention(1.0, nothing, s, examples=2) == pytest.approx(3.0, rel=1e-14)
    assert advance_fluctuation_attention(1.7, s, nothing, examples=2) == pytest.approx(1.7, rel=1e-14)
    assert advance_fluctuation_attention(1.7, np.ones((4, 4)), np.ones((4, 4))) == 1.7
    one = np.ones((1, 1))
    assert advance_fluctuation_attention(0.0, one, one) == pytest.approx((4.0 - 1.0 + 1.0) / 4.0)
    # A linear hidden layer passes spreads on as they are: lam = 1; it draws n/m of a Gaussian anew.
    linear = (2.0 * s, 2.0 * s, np.ones_like(s))
    found = advance_fluctuation_mlp(1.0, nothing, s, linear, 64, 256, examples=2)
    assert found == pytest.approx(1.0 + 1.0 + 0.25, rel=1e-14)
    assert advance_fluctuation_mlp(1.0, s, nothing, linear, 64, 256, examples=2) == pytest.approx(1.0)
    # Hidden units that answer to nothing forget what was there.
    deaf = (2.0 * s, s, np.zeros_like(s))
    assert advance_fluctuation_mlp(5.0, nothing, s, deaf, 64, 64, examples=2) == pytest.approx(2.0)


def test_fluctuation_of_explicit_projections():
    """c of the Gram matrix behind random values and output projection: 1 + 1 + 1, from 4000 explicit draws.

    Attention passes each token its own value. c = n Var(Y_ab) / (Y_aa Y_bb) for independent tokens; at n = 48 it is
    3 + 3/n + 3/n² = 3.064 by E (x.y)² → (1 + 1/n) (x.y)² + |x|² |y|² / n. Its standard error 3 sqrt(2 / 4000) = 0.07,
    widened by tails to 0.1: within 4.5 of them, false alarm 1e-5; catches a projection left out (2 in place of 3).
    """
    rng, n = np.random.default_rng(3), 48
    products = []
    for _ in range(4000):
        x = rng.standard_normal((n, 2))
        for _ in range(2):
            x = rng.standard_normal((n, n)) @ x / np.sqrt(n)
        products.append(x[:, 0] @ x[:, 1] / n)
    c = n * np.var(products)
    expected = advance_fluctuation_attention(1.0, np.zeros((2, 2)), np.eye(2))
    assert abs(c - expected - 3.0 / n - 3.0 / n**2) < 4.5 * 0.1
