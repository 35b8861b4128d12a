"""Deep models that are known to go wrong, or not: verdict, place, rate, advice, and the dry run of the advice.

Rates are compared with infinite-width theory computed here by Gauss-Hermite or plain sums, never by the package.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")
import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402

from tests.auditing.models import Residual, Tied, chain, encoder, normalised  # noqa: E402
from varprop.auditing import assert_healthy, audit, diagnose_one, suggest  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.agreement]

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(80)
WEIGHTS = WEIGHTS / WEIGHTS.sum()
INPUTS = torch.randn(16, 128, generator=torch.Generator().manual_seed(0))


ALPHA = 0.001
"""False alarms of a whole table, of right theory, for each sequence of random numbers that torch may have."""


def examined(factory, inputs=INPUTS, draws=10, **options):
    table = audit(factory, inputs, draws=draws, alpha=ALPHA, **options)
    return table, diagnose_one(table)


def test_default_relu_vanishes_and_he_heals():
    """50 layers of nn.Linear's default: backward (1/6) a layer.

    No row differs: false alarms ALPHA. Ten draws of a heavy law say little: a second moment of layer 1 or 2 that is off
    by a half would differ, a gradient not even if it were off by 3; rates and ratios below are what sees those.
    """
    factory = chain(50, 128)
    table, found = examined(factory)
    assert not (table["verdict"] == "differs").any()
    judged = table[table["verdict"].isin(["agrees", "undecided"])]
    assert len(judged) > 500
    ratio = judged["measured"] / judged["predicted"]
    close = judged["quantity"].isin(["preactivation_second_moment", "activation_second_moment"])
    assert ratio[close].between(0.5, 2).all()
    assert (found.forward.health, found.backward.health) == ("vanishing", "vanishing")
    assert found.forward.where == "2 (Linear)"
    assert found.backward.where == "96 (Linear)"
    assert found.backward.typical == pytest.approx(1 / 6, rel=0.08)
    changes = suggest(table)
    weights = changes[changes["parameter"] == "weight"]
    assert len(weights) == 50
    hidden = weights[weights["rule"].str.startswith("He")]
    assert len(hidden) == 50
    assert hidden["suggested"].to_numpy() == pytest.approx(math.sqrt(2 / 128))
    after = diagnose_one(audit(factory, INPUTS, draws=10, changes=changes))
    assert after.healthy
    assert abs(after.backward.log_factor) < math.log(100) < abs(found.backward.log_factor)


@pytest.mark.parametrize(("gain", "rate"), [(5 / 3, None), (math.sqrt(3.58), 1.31)])
def test_tanh_is_stable_forward_and_explodes_backward(gain, rate):
    q = 1.0
    for _ in range(500):
        q = gain**2 * float(WEIGHTS @ np.tanh(math.sqrt(q) * NODES) ** 2)
    chi = gain**2 * float(WEIGHTS @ (1 - np.tanh(math.sqrt(q) * NODES) ** 2) ** 2)
    assert rate is None or chi == pytest.approx(rate, abs=0.01)
    table, found = examined(chain(50, 128, nn.Tanh, gain))
    assert found.forward.health == "healthy"
    assert found.backward.health == "exploding"
    assert found.backward.typical == pytest.approx(chi, rel=0.02)
    assert not found.healthy
    changes = suggest(table)
    after = diagnose_one(audit(chain(50, 128, nn.Tanh, gain), INPUTS, draws=10, changes=changes))
    assert after.healthy


@pytest.mark.parametrize("gain", [1.0, 0.75])
def test_selu_is_said_precisely(gain):
    """Gain 1: q = 1 is a fixed point forward and chi_1 = 1.0716 backward; 3/4 (torch's): both shrink."""
    _, found = examined(chain(50, 128, nn.SELU, gain))
    sharp, scale = 1.6732632423543772, 1.0507009873554805
    z = np.linspace(-12, 12, 400001)
    density = np.exp(-z * z / 2) / math.sqrt(2 * math.pi) * (z[1] - z[0])
    q, rates = 1.0, []
    for _ in range(50):
        at = math.sqrt(q) * z
        slope = scale * np.where(at > 0, 1.0, sharp * np.exp(np.minimum(at, 0)))
        value = scale * np.where(at > 0, at, sharp * np.expm1(np.minimum(at, 0)))
        rates.append(gain**2 * float(density @ slope**2))
        q = gain**2 * float(density @ value**2)
    assert found.healthy
    assert found.backward.typical == pytest.approx(float(np.median(rates)), rel=0.02)
    if gain == 1.0:
        assert found.backward.typical == pytest.approx(1.0716, rel=0.02)
        assert found.forward.typical == pytest.approx(1.0, abs=0.02)
    else:
        assert found.forward.typical < 0.99
        assert found.forward.log_factor < math.log(0.3)


def test_gelu_at_he_scale_shrinks_and_is_healed():
    table, found = examined(chain(50, 128, nn.GELU, math.sqrt(2)))
    assert (found.forward.health, found.backward.health) == ("vanishing", "vanishing")
    changes = suggest(table)
    assert len(changes)
    after = diagnose_one(audit(chain(50, 128, nn.GELU, math.sqrt(2)), INPUTS, draws=10, changes=changes))
    assert abs(after.forward.log_factor) < abs(found.forward.log_factor) / 3
    assert abs(after.backward.log_factor) < abs(found.backward.log_factor) / 1.5


def test_batch_normalisation_grows_by_pi_over_pi_minus_one():
    """Yang et al. 2019: 1.493063 a layer for 64 examples (eq. 25), pi/(pi - 1) = 1.467 for many.

    No row differs: false alarms ALPHA. A second moment of one layer that is off by a tenth would, or a gradient by a
    third (predictions scaled so were caught in six of six layers).
    """
    inputs = torch.randn(64, 192, generator=torch.Generator().manual_seed(1))
    table, found = examined(normalised(12), inputs, draws=20)
    assert found.backward.typical == pytest.approx(1.493063, rel=0.015)
    assert found.backward.typical == pytest.approx(math.pi / (math.pi - 1), rel=0.03)
    rows = table[(table["quantity"] == "gradient_preactivation") & (table["op"] == "linear")][
        "predicted"
    ].to_numpy()
    assert rows[2] / rows[3] == pytest.approx(1.493063, rel=2e-3)
    assert not (table["verdict"] == "differs").any()


def test_batch_normalisation_gets_no_weight_scale_as_advice():
    inputs = torch.randn(32, 64, generator=torch.Generator().manual_seed(1))
    table, found = examined(normalised(24, 64), inputs, draws=5)
    assert found.backward.health == "exploding"
    changes = suggest(table)
    assert changes["suggested"].isna().all()
    assert "no scale of a weight" in changes["rule"].iloc[0]


def test_residual_branches_with_and_without_scale():
    """W2 relu(W1 x), both He: the stream doubles twice... E|x + f|² = 3 |x|² a block; with 1/sqrt(L): (1 + 2/L)^L.

    No row of the scaled one differs: false alarms ALPHA. A second moment of one node that is off by a fifth would, or a
    gradient by a third (predictions scaled so were caught in six of six).
    """
    inputs = torch.randn(8, 96, generator=torch.Generator().manual_seed(2))
    table, found = examined(Residual, inputs, draws=20)
    growth = table[table["quantity"] == "residual_growth"]["measured"]
    assert len(growth) == 10
    assert float(np.mean(growth)) == pytest.approx(3.0, rel=0.05)
    assert (found.forward.health, found.backward.health) == ("exploding", "exploding")
    scaled, healthy = examined(lambda: Residual(scale=10**-0.5), inputs, draws=20)
    growth = scaled[scaled["quantity"] == "residual_growth"]["measured"]
    assert float(np.mean(growth)) == pytest.approx(1.2, rel=0.03)
    assert healthy.healthy
    assert not (scaled["verdict"] == "differs").any()
    changes = suggest(table)
    assert set(changes["module"]) == {f"blocks.{i}.2" for i in range(10)}
    assert diagnose_one(audit(Residual, inputs, draws=5, changes=changes)).healthy


@pytest.mark.parametrize("norm_first", [True, False])
def test_transformer_encoders_are_healthy(norm_first):
    inputs = torch.randn(4, 6, 32, generator=torch.Generator().manual_seed(3))
    table, found = examined(encoder(norm_first), inputs, draws=5)
    assert found.healthy
    assert any(finding.kind == "fans" and "in_proj_weight" in finding.text for finding in found.findings)
    without = table[table["reason"].str.contains("no rule for MultiheadAttention")]
    assert len(without) > 0
    assert (without["verdict"] == "unpredicted").all()


def test_first_loss_of_a_tied_language_model():
    """N(0, 1) embeddings that are also the output: the first loss is far above log K; 0.02 brings it down."""
    tokens = torch.randint(0, 400, (8, 8), generator=torch.Generator().manual_seed(4))

    def loss(logits):
        return F.cross_entropy(logits.flatten(0, 1), tokens.roll(1, 1).flatten())

    table, found = examined(Tied, tokens, draws=5, loss=loss)
    text = [finding for finding in found.findings if finding.kind == "loss"]
    assert text
    assert text[0].grave
    changes = suggest(table)
    embedding = changes[changes["kind"] == "Embedding"]
    assert embedding["suggested"].item() == 0.02
    after = audit(Tied, tokens, draws=5, loss=loss, changes=changes)
    row = after[after["quantity"] == "initial_loss"].iloc[0]
    assert row["measured"] == pytest.approx(math.log(400), rel=0.25)


def test_assert_healthy_speaks():
    with pytest.raises(AssertionError, match="vanishing") as caught:
        assert_healthy(chain(30, 64), INPUTS[:, :64], draws=5)
    assert "He (gain sqrt 2)" in str(caught.value)
    assert assert_healthy(chain(30, 64, gain=math.sqrt(2)), INPUTS[:, :64], draws=5).healthy
