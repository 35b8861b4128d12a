"""The variance of a tied output layer over weights, at a fixed unit."""

from __future__ import annotations

import pytest

import varprop as vp


def test_the_own_tokens_mean_is_no_variance() -> None:
    """Post-LN: E y² = 1, so that a logit of another token has variance n s² = 256 · 0.02² = 0.1024.

    The own token's logit has a mean of about 3.5 beside it, in which the second moment rightly is 60 % larger: taken
    for variance, it would be refuted by this test and by drawn networks (0.1019 with an error of 0.4 %).
    """
    network = vp.transformer(
        depth=2, width=256, heads=4, tokens=16, vocabulary=200, norm="post", causal=False
    )
    table = vp.predict(network).set_index(["node", "quantity"])["value"]["unembedding"]
    assert table["preactivation_variance"] == pytest.approx(0.1024, rel=0.01)
    assert table["preactivation_second_moment"] > 1.3 * table["preactivation_variance"]
