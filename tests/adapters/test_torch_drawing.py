"""Which modules of an instance are drawn afresh, and what is said of the others."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from tests.auditing.models import chain, encoder  # noqa: E402
from varprop.auditing import audit  # noqa: E402

pytestmark = pytest.mark.torch


def notes(table):
    return " | ".join(table.attrs["notes"])


def test_default_instance_is_redrawn():
    table = audit(chain(3, 64)(), torch.randn(8, 64), draws=6)
    rows = table[table["quantity"] == "preactivation_second_moment"]
    assert (rows["n_draws"] == 6).all()
    assert (rows["std_error"] > 0).all()
    assert "not drawn afresh" not in notes(table)


def test_foreign_law_is_kept_as_one_draw():
    model = chain(3, 64, gain=1.0)()
    table = audit(model, torch.randn(8, 64), draws=6)
    assert "a single draw" in notes(table)
    assert "another law" in notes(table)
    rows = table[table["quantity"] == "preactivation_second_moment"]
    assert (rows["n_draws"] == 1).all()
    assert rows["std_error"].isna().all()
    assert not rows["verdict"].isin(["agrees", "differs"]).any()


def test_one_module_of_another_law_is_held_and_named():
    model = chain(3, 64)()
    nn.init.normal_(model[2].weight, std=3.0)
    table = audit(model, torch.randn(8, 64), draws=5)
    assert "another law than the model has: 2" in notes(table)
    std = table[(table["quantity"] == "parameter_std") & (table["parameter"] == "weight")].set_index("module")
    assert std.loc["2", "measured"] == pytest.approx(3.0, rel=0.1)
    assert std.loc["2", "std_error"] == pytest.approx(0.0, abs=1e-7)
    assert std.loc["0", "std_error"] > 0


def test_parameter_without_reset_is_named():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.line, self.scale = nn.Linear(16, 16), nn.Parameter(torch.randn(16))

        def forward(self, x):
            return self.line(x) * self.scale

    assert "for want of reset_parameters: (model)" in notes(audit(Own(), torch.randn(4, 16), draws=3))


def test_attention_is_redrawn_with_its_zero_biases():
    table = audit(encoder(True)(), torch.randn(4, 5, 32), draws=4)
    stds = table[table["quantity"] == "parameter_std"].set_index(["module", "parameter"])["measured"]
    assert stds["layers.0.self_attn", "out_proj.bias"] == 0
    assert stds["layers.0.self_attn", "in_proj_weight"] == pytest.approx(math.sqrt(2 / (32 + 96)), rel=0.02)


def test_copied_layers_of_a_transformer_are_found():
    """nn.TransformerEncoder makes its layers by copying one: at birth they are all the same."""
    table = audit(encoder(True), torch.randn(4, 5, 32), draws=2)
    assert "born with the same weights: layers.0.self_attn.in_proj_weight = layers.1" in notes(table)


def test_frozen_parameters_are_named_and_have_no_gradient():
    model = chain(2, 16)()
    model[0].weight.requires_grad_(False)
    table = audit(model, torch.randn(4, 16), draws=2)
    assert "frozen (no gradient): 0.weight" in notes(table)
    mine = table[(table["module"] == "0") & (table["parameter"] == "weight")]
    assert not mine["quantity"].str.contains("batch").any()
    assert not model[0].weight.requires_grad


def test_parametrized_layer_is_measured_and_not_guessed():
    def build():
        return nn.Sequential(
            nn.utils.parametrizations.weight_norm(nn.Linear(8, 8)), nn.ReLU(), nn.Linear(8, 4)
        )

    table = audit(build, torch.randn(4, 8), draws=3)
    assert (table[table["module"] == "0"]["kind"] == "Linear").all()
    row = table[(table["module"] == "0") & (table["quantity"] == "preactivation_second_moment")].iloc[0]
    assert row["verdict"] == "unpredicted"
    assert row["measured"] > 0


@pytest.mark.filterwarnings("ignore:`torch.jit.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:`torch.jit.*:FutureWarning")  # from 2.14 on
def test_scripted_part_is_unseen_and_said_so():
    def build():
        inner = torch.jit.script(nn.Sequential(nn.Linear(8, 8), nn.ReLU()))
        return nn.Sequential(nn.Linear(8, 8), inner, nn.Linear(8, 4))

    table = audit(build, torch.randn(4, 8), draws=2)
    rows = table[(table["module"] == "2") & (table["quantity"] == "preactivation_second_moment")]
    assert "code that was not seen" in rows["reason"].item()


def test_sequence_first_models():
    class First(nn.Module):
        def __init__(self):
            super().__init__()
            self.cells, self.out = nn.GRU(8, 16), nn.Linear(16, 3)

        def forward(self, x):
            return self.out(self.cells(x)[0])

    inputs = torch.randn(5, 4, 8)
    table = audit(First, inputs, draws=2, batch_axis=1)
    found = table[(table["module"] == "out") & (table["quantity"] == "data_variance")]["measured"].item()
    from varprop.adapters.torch.draws import draw_seed

    wanted = []
    for draw in range(2):
        torch.manual_seed(draw_seed(0, draw))
        wanted.append(First()(inputs).detach().double().var(dim=1).mean().item())
    assert found == pytest.approx(sum(wanted) / 2, rel=1e-5)
