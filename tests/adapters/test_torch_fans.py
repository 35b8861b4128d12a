"""Fans by experiment: with all weights and inputs 1, an output counts its terms and an input's gradient its uses."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from varprop.adapters.torch.fans import fans, stated  # noqa: E402
from varprop.auditing import audit  # noqa: E402

pytestmark = pytest.mark.torch

LAYERS = {
    "dense": (lambda: nn.Linear(12, 20), (1, 12)),
    "plain": (lambda: nn.Conv2d(4, 6, 3), (1, 4, 40, 40)),
    "grouped": (lambda: nn.Conv2d(8, 16, 3, groups=4), (1, 8, 40, 40)),
    "depthwise": (lambda: nn.Conv2d(8, 8, 5, groups=8), (1, 8, 40, 40)),
    "strided": (lambda: nn.Conv2d(4, 6, 4, stride=2), (1, 4, 40, 40)),
    "transposed": (lambda: nn.ConvTranspose2d(16, 4, 4, stride=2), (1, 16, 30, 30)),
    "transposed_grouped": (lambda: nn.ConvTranspose2d(16, 8, 2, stride=2, groups=4), (1, 16, 30, 30)),
    "one_dimensional": (lambda: nn.Conv1d(6, 10, 9), (1, 6, 100)),
}


def middle(tensor):
    """The inner part, in whole periods of any stride used here."""
    for axis in range(2, tensor.dim()):
        tensor = tensor.narrow(axis, tensor.shape[axis] // 4 // 2 * 2, tensor.shape[axis] // 2 // 2 * 2)
    return tensor


@pytest.mark.parametrize("name", LAYERS)
def test_fans_by_counting(name):
    build, shape = LAYERS[name]
    layer = build()
    nn.init.ones_(layer.weight)
    nn.init.zeros_(layer.bias)
    x = torch.ones(shape, requires_grad=True)
    y = layer(x)
    y.sum().backward()
    terms, uses = middle(y), middle(x.grad)
    found = fans(layer, "weight", layer.weight)
    assert found.fan_in == pytest.approx(terms.mean().item())
    assert found.fan_out == pytest.approx(uses.mean().item())
    assert (found.stated_in, found.stated_out) == tuple(
        map(float, nn.init._calculate_fan_in_and_fan_out(layer.weight))
    )


def test_discrepancies_are_reported():
    """Depthwise: fan-out 8 times too large. Transposed: fan-in wrong. Packed projections: fan-out three times."""

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
            self.up = nn.ConvTranspose2d(8, 4, 4, stride=2, padding=1)
            self.attention = nn.MultiheadAttention(4, 2, batch_first=True)

        def forward(self, x):
            x = self.up(self.depthwise(x)).flatten(2).transpose(1, 2)
            return self.attention(x, x, x)[0]

    table = audit(Model, torch.randn(2, 8, 6, 6), draws=2)
    rows = table[table["quantity"].str.startswith("fan_")].set_index(["module", "parameter", "quantity"])[
        "measured"
    ]
    assert rows["depthwise", "weight", "fan_out_factor"] == pytest.approx(1 / 8)
    assert rows["depthwise", "weight", "fan_in_factor"] == 1
    assert rows["up", "weight", "fan_in_stated"] == 4 * 16
    assert rows["up", "weight", "fan_in"] == 8 * 16 / 4
    assert rows["up", "weight", "fan_in_factor"] == pytest.approx(0.5)
    assert rows["attention", "in_proj_weight", "fan_out_factor"] == pytest.approx(1 / 3)


def test_matrix_stored_the_other_way_round():
    class Times(nn.Module):
        def __init__(self):
            super().__init__()
            self.matrix = nn.Parameter(torch.randn(64, 16) / 8)

        def forward(self, x):
            return x @ self.matrix

    table = audit(Times, torch.randn(3, 64), draws=2)
    rows = table.set_index(["parameter", "quantity"])["measured"].sort_index()
    assert rows["matrix", "fan_in"] == 64
    assert rows["matrix", "fan_in_stated"] == stated(torch.zeros(64, 16))[0] == 16
