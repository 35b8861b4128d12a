"""Rules of the graph against simulation or closed forms worked out here."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from tests.auditing.models import chain  # noqa: E402
from varprop.analytic.rules.pools import maximum_moments  # noqa: E402
from varprop.analytic.rules.windows import spread_back, window_sum  # noqa: E402
from varprop.auditing import audit  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.agreement]


def row(table, module, quantity, parameter=""):
    chosen = table[
        (table["module"] == module) & (table["quantity"] == quantity) & (table["parameter"] == parameter)
    ]
    return chosen.iloc[0]


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize("dilation", [1, 2])
def test_windows_are_a_convolution_of_ones(stride, padding, dilation):
    profile = np.random.default_rng(0).random((2, 9, 11))
    at = {
        "kernel": (3, 2),
        "stride": (stride, 1),
        "dilation": (dilation, 1),
        "padding": ((padding, padding), (1, 1)),
    }
    x = torch.tensor(profile[:, None], requires_grad=True)
    y = nn.functional.conv2d(
        x,
        torch.ones(1, 1, 3, 2, dtype=torch.float64),
        stride=(stride, 1),
        padding=(padding, 1),
        dilation=(dilation, 1),
    )
    summed = window_sum(profile, at)
    np.testing.assert_allclose(summed, y[:, 0].detach().numpy(), rtol=1e-12)
    back = np.random.default_rng(1).random(summed.shape)
    y.backward(torch.tensor(back[:, None]))
    np.testing.assert_allclose(spread_back(back, (9, 11), at), x.grad[:, 0].numpy(), rtol=1e-12)


def test_zero_padding_loses_the_edges():
    """He, circular would keep the second moment; with zeros an edge keeps 2/3, a corner 4/9, on constant input.

    No row differs: false alarms 1e-3 for each sequence of random numbers. A second moment off by a third at the first
    layer and by a factor of 2 at the second would, or a gradient by a tenth (predictions scaled so were caught).
    """

    def build():
        layers = [nn.Conv2d(64, 64, 3, padding=1, bias=False) for _ in range(2)]
        for layer in layers:
            nn.init.kaiming_normal_(layer.weight)
        return nn.Sequential(layers[0], nn.ReLU(), layers[1])

    table = audit(build, torch.ones(1, 64, 6, 6), draws=30, alpha=0.001)
    one = (16 + 16 * 2 / 3 + 4 * 4 / 9) / 36
    assert row(table, "0", "preactivation_second_moment")["predicted"] == pytest.approx(2 * one)
    assert row(table, "0", "preactivation_second_moment")["order"] == "exact"
    inner = np.ones(6)
    inner[[0, -1]] = 2 / 3
    profile = np.outer(inner, inner)
    padded = np.pad(profile, 1)
    two = np.mean([[padded[i : i + 3, j : j + 3].sum() / 9 for j in range(6)] for i in range(6)])
    found = row(table, "2", "preactivation_second_moment")
    assert found["predicted"] == pytest.approx(2 * two)
    assert not (table["verdict"] == "differs").any()
    assert found["measured"] == pytest.approx(2 * two, rel=0.1)


RMS = pytest.param(
    "rms", marks=pytest.mark.skipif(not hasattr(nn, "RMSNorm"), reason="torch has RMSNorm from 2.4 on")
)


@pytest.mark.parametrize("kind", ["layer", RMS, "group"])
def test_backward_through_normalisations(kind):
    """E|g|² = |delta|² (1 - 2/n)/variance, (1 - 1/n)/rms² for RMSNorm: exact for an isotropic gradient."""
    width = 24
    norm = {
        "layer": lambda: nn.LayerNorm(width),
        "rms": lambda: nn.RMSNorm(width),
        "group": lambda: nn.GroupNorm(3, width),
    }[kind]
    table = audit(
        lambda: nn.Sequential(nn.Linear(40, width, bias=False), norm()), torch.ones(2, 40), draws=400
    )
    found = row(table, "0", "gradient_preactivation")
    assert found["order"] == "infinite"
    # The mean of 1/variance exceeds the inverse of the mean by about 2/n (8 features a group: a third).
    assert found["predicted"] == pytest.approx(found["measured"], rel=0.5 if kind == "group" else 0.15)
    forward = row(table, "1", "preactivation_second_moment")
    assert forward["predicted"] == pytest.approx(forward["measured"], rel=1e-3)


def test_maxima_of_normals():
    """Reference values of four independent normals from the literature on order statistics, of two in closed form."""
    assert maximum_moments(2) == pytest.approx((1 / math.sqrt(math.pi), 1.0), rel=1e-10)
    assert maximum_moments(4) == pytest.approx((1.0293753730, 1.5513288954), rel=1e-9)


def test_max_pool_of_white_noise():
    model = lambda: nn.Sequential(nn.Conv2d(3, 48, 1, bias=False), nn.MaxPool2d(2))  # noqa: E731
    inputs = torch.randn(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    table = audit(model, inputs, draws=40)
    found = row(table, "1", "preactivation_second_moment")
    assert found["predicted"] == pytest.approx(found["measured"], rel=0.05)
    back = row(table, "0", "gradient_preactivation")
    assert back["predicted"] == pytest.approx(0.25)
    assert back["measured"] == pytest.approx(0.25, rel=0.02)


@pytest.mark.parametrize(("shared", "kept"), [(False, 1 / 4), (True, 1.0)])
def test_average_pool_keeps_what_its_sites_share(shared, kept):
    """Of 2 × 2 independent sites an average keeps a quarter of the second moment, of equal ones all of it."""
    noise = torch.randn(64, 3, 8, 8, generator=torch.Generator().manual_seed(3))
    inputs = noise[:, :, ::2, ::2].repeat_interleave(2, 2).repeat_interleave(2, 3) if shared else noise
    model = lambda: nn.Sequential(nn.Conv2d(3, 48, 1, bias=False), nn.AvgPool2d(2))  # noqa: E731
    table = audit(model, inputs, draws=40)
    rows = table[table["quantity"].isin(["preactivation_second_moment", "activation_second_moment"])]
    pooled = rows[rows["module"] == "1"].iloc[0]
    level = float(inputs.square().mean()) * 3 / (3 * 3)  # default bound 1/sqrt(fan_in): variance 1/(3 fan_in)
    assert pooled["predicted"] == pytest.approx(level * kept, rel=0.03)
    assert pooled["measured"] == pytest.approx(pooled["predicted"], rel=0.1)
    assert pooled["order"] == "approximate"


def test_dropout_in_training():
    """False alarms: 1e-3 for each sequence of random numbers, which change with torch. Standard errors are about
    3 %, so a second moment off by a fifth is found; the factor 2 of dropout is compared exactly.
    """
    table = audit(
        lambda: nn.Sequential(nn.Linear(64, 64), nn.Dropout(0.5), nn.Linear(64, 64)),
        torch.ones(8, 64),
        draws=60,
        alpha=0.001,
    )
    before = row(table, "0", "preactivation_second_moment")["predicted"]
    assert row(table, "1", "preactivation_second_moment")["predicted"] == pytest.approx(2 * before)
    assert not (table["verdict"] == "differs").any()


def test_data_variance_through_relu():
    """Distinct inputs at correlation c: Var over data of relu is q/2 minus the arc-cosine kernel of order one.

    No row differs: false alarms 1e-3 for each sequence of random numbers. A gradient of one layer that is off by a
    fifth would, or a second moment by a third (predictions scaled so were caught in six of six layers).
    """
    inputs = torch.randn(16, 256, generator=torch.Generator().manual_seed(5))
    table = audit(chain(6, 256, gain=math.sqrt(2)), inputs, draws=40, order="auto", alpha=0.001)
    rows = table[(table["quantity"] == "data_variance") & (table["op"] == "linear")]
    assert rows["predicted"].notna().all()
    np.testing.assert_allclose(rows["predicted"], rows["measured"], rtol=0.1)
    assert not (table["verdict"] == "differs").any()


@pytest.mark.parametrize("act", [nn.ReLU, nn.Tanh])
def test_full_theory_and_rules_agree_on_a_chain(act):
    inputs = torch.randn(6, 48, generator=torch.Generator().manual_seed(6))
    factory = chain(4, 48, act, 1.2)
    rules = audit(factory, inputs, draws=2, order="infinite")
    from varprop.auditing import join

    limit, join.FULL_THEORY = join.FULL_THEORY, 0
    try:
        plain = audit(factory, inputs, draws=2)
    finally:
        join.FULL_THEORY = limit
    both = rules["predicted"].notna() & plain["predicted"].notna()
    assert both.sum() > 60
    # What the full theory knows exactly at this width the rules may only know for wide layers.
    both &= ~((rules["order"] == "exact") & (plain["order"] != "exact"))
    # Rules average over examples before they multiply, and take one correlation for all pairs.
    loose = rules["quantity"].isin(["data_variance", "saturated_fraction"])
    for rows, tolerance in ((both & ~loose, 2e-4), (both & loose, 0.02)):
        np.testing.assert_allclose(
            rules["predicted"][rows], plain["predicted"][rows], rtol=tolerance, atol=1e-12
        )


def test_no_rule_is_said_and_prediction_starts_again():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(32, 32), nn.Linear(32, 32)

        def forward(self, x):
            return self.b(torch.fft.fft(self.a(x)).real)

    table = audit(Odd, torch.randn(4, 32), draws=10)
    assert (table[table["reason"].str.contains("no rule for")]["verdict"] == "unpredicted").all()
    last = row(table, "b", "preactivation_second_moment")
    assert last["order"] == "approximate"
    assert "from the measured output of" in last["reason"] or last["predicted"] > 0


def test_unseen_code_is_named():
    class Hidden(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(8, 8), nn.Linear(8, 8)

        def forward(self, x):
            return self.b(torch.from_numpy(self.a(x).detach().numpy() + 0))

    table = audit(Hidden, torch.randn(4, 8), draws=3)
    assert table["reason"].str.contains("code that was not seen").any()
