"""Every row against plain torch: the same draws, with forward hooks and autograd written out here."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

import varprop as vp  # noqa: E402
from tests.auditing.models import CATALOGUE  # noqa: E402
from varprop.adapters.torch.draws import draw_seed  # noqa: E402
from varprop.auditing import audit  # noqa: E402

pytestmark = pytest.mark.torch
DRAWS = 3


def by_hand(factory, inputs):
    """Per (module, call): moments and gradients of the output, averaged over draws; and of the parameters."""
    outputs, parameters = {}, {}
    for draw in range(DRAWS):
        torch.manual_seed(draw_seed(0, draw))
        model = factory()
        kept, calls = [], {}

        def keep(name, calls=calls, kept=kept):
            def hook(module, args, result):
                while isinstance(result, tuple):
                    result = result[0]
                calls[name] = calls.get(name, 0) + 1
                alias = result.view_as(
                    result
                )  # a node of its own: in-place functions may overwrite the output
                values = result.detach().double().clone()
                holder = {}
                result.register_hook(lambda g: holder.update(grad=g.detach().double().clone()))
                del alias
                kept.append(((name, calls[name]), values, holder))

            return hook

        for name, module in model.named_modules():
            leaf = isinstance(module, nn.MultiheadAttention) or not list(module.children())
            if leaf and not name.endswith("out_proj"):
                module.register_forward_hook(keep(name))
        first = next(model.parameters())
        x = inputs.to(first.dtype).requires_grad_() if inputs.is_floating_point() else inputs
        result = model(x)
        result = result[0] if isinstance(result, tuple) else result
        cotangent = torch.randn(result.shape, generator=torch.Generator().manual_seed(draw_seed(0, draw) ^ 1))
        (result * cotangent.to(result)).sum().backward()
        for key, values, holder in kept:
            rows = values.reshape(len(inputs), -1)
            found = outputs.setdefault(key, {})
            found.setdefault("second_moment", []).append((rows**2).mean().item())
            found.setdefault("mean", []).append(rows.mean().item())
            found.setdefault("data_variance", []).append(rows.var(dim=0, unbiased=True).mean().item())
            if "grad" in holder:
                found.setdefault("gradient", []).append((holder["grad"] ** 2).mean().item())
        for name, parameter in model.named_parameters():
            if parameter.grad is not None:
                square = (parameter.grad.double() ** 2).mean().item()
                found = parameters.setdefault(name, {"square": [], "std": []})
                found["square"].append(square / len(inputs) ** 2)
                found["std"].append(parameter.detach().double().std(unbiased=False).item())
    return outputs, parameters


@pytest.mark.parametrize("name", CATALOGUE)
def test_rows_match_plain_torch(name):
    factory, batch = CATALOGUE[name]
    torch.manual_seed(7)
    inputs = batch()
    outputs, parameters = by_hand(factory, inputs)
    table = audit(factory, inputs, draws=DRAWS)
    rows = {
        (r["module"], r["call"], r["quantity"]): r["measured"]
        for r in table.to_dict("records")
        if r["parameter"] == "" and _is_module(r, outputs)
    }
    checked = 0
    for (module, call), expected in outputs.items():
        active = (module, call, "activation_mean") in rows
        names = {
            "second_moment": "activation_second_moment" if active else "preactivation_second_moment",
            "mean": "activation_mean" if active else "preactivation_mean",
            "data_variance": None if active else "data_variance",
            "gradient": "gradient_activation" if active else "gradient_preactivation",
        }
        for what, quantity in names.items():
            if quantity is not None and what in expected:
                wanted = float(np.mean(expected[what]))
                assert rows[module, call, quantity] == pytest.approx(wanted, rel=2e-5, abs=1e-9), (
                    module,
                    what,
                )
                checked += 1
    assert checked >= 3 * len(outputs)
    table = table[table["parameter"] != ""]
    for full, expected in parameters.items():
        own = table[[_full(r) == full for r in table.to_dict("records")]]
        batch_rows = own[own["quantity"].str.match(r"gradient_(weight|bias)_batch")]
        # Gradients that are zero but for rounding (a bias before a batch normalisation) have no digits to compare.
        wanted, floor = float(np.mean(expected["square"])), 1e-13
        assert batch_rows["measured"].item() == pytest.approx(wanted, rel=1e-4, abs=floor), full
        std = own[own["quantity"] == "parameter_std"]["measured"].item()
        assert std == pytest.approx(float(np.mean(expected["std"])), rel=1e-6, abs=1e-12), full


def _is_module(row, outputs):
    return (row["module"], row["call"]) in outputs and row["kind"][0].isupper()


def _full(row):
    return row["parameter"] if row["module"] == "(model)" else f"{row['module']}.{row['parameter']}"


def test_single_functions_are_rows_too():
    """Functional activations, additions and products between modules are seen, with the module they ran in."""
    table = audit(CATALOGUE["branching"][0], torch.randn(5, 20), draws=2)
    found = {
        (r["module"], r["kind"]): r["activation"] for r in table.to_dict("records") if r["op"] == "activation"
    }
    assert found == {("(model)", "gelu"): "gelu", ("(model)", "tanh"): "tanh"}
    calls = table[(table["module"] == "first") & (table["quantity"] == "preactivation_mean")]["call"]
    assert sorted(calls) == [1, 2]
    assert any("never called: idle" in note for note in table.attrs["notes"])


def test_fractions_are_those_of_the_activation_table():
    factory = CATALOGUE["mlp"][0]
    inputs = torch.randn(6, 32)
    table = audit(factory, inputs, draws=1)
    torch.manual_seed(draw_seed(0, 0))
    model = factory()
    z = model[0](inputs).detach().double().numpy()
    relu = vp.activation("relu")
    rows = table[table["module"] == "1"].set_index("quantity")["measured"]
    assert rows["inactive_fraction"] == np.mean(relu.is_inactive(z))
    assert rows["saturated_fraction"] == np.mean(relu.is_saturated(z))
    assert rows["dead_fraction"] == np.mean(relu.is_inactive(z).all(0))
    assert rows["derivative_second_moment"] == pytest.approx(np.mean(relu.derivative(z) ** 2), rel=1e-12)


def test_variance_pools_moments_over_draws():
    """Var[z] at a fixed input includes the spread of the draws' own means: here all of it comes from a shared bias."""

    class Shift(nn.Module):
        def __init__(self):
            super().__init__()
            self.shift = nn.Parameter(torch.randn(1))
            self.line = nn.Linear(4, 50)
            nn.init.zeros_(self.line.weight)
            nn.init.constant_(self.line.bias, float(torch.randn(())))

        def forward(self, x):
            return self.line(x) * self.shift

    table = audit(Shift, torch.ones(2, 4), draws=200)
    rows = table[(table["module"] == "line") & (table["parameter"] == "")].set_index("quantity")
    found = rows.loc["preactivation_variance"]
    means = []
    for draw in range(200):
        torch.manual_seed(draw_seed(0, draw))
        means.append(Shift().line.bias[0].item())
    assert found["measured"] == pytest.approx(np.var(means, ddof=1), rel=1e-5)
    assert math.isfinite(found["std_error"])


def test_loss_and_its_expected_start():
    tokens = torch.randint(0, 400, (4, 6), generator=torch.Generator().manual_seed(1))

    def loss(logits):
        return nn.functional.cross_entropy(logits.flatten(0, 1), tokens.roll(1, 1).flatten())

    table = audit(CATALOGUE["tied"][0], tokens, loss=loss, draws=2)
    row = table[table["quantity"] == "initial_loss"].iloc[0]
    assert row["predicted"] == pytest.approx(math.log(400))
    values = []
    for draw in range(2):
        torch.manual_seed(draw_seed(0, draw))
        values.append(loss(CATALOGUE["tied"][0]()(tokens)).item())
    assert row["measured"] == pytest.approx(np.mean(values), rel=1e-6)


def test_attention_logits_by_hand():
    factory, inputs = CATALOGUE["pre_ln"][0], torch.randn(3, 6, 32)
    table = audit(factory, inputs, draws=1)
    torch.manual_seed(draw_seed(0, 0))
    layer = factory().layers[0]
    x = layer.norm1(inputs)
    attention = layer.self_attn
    q, k, _ = nn.functional.linear(x, attention.in_proj_weight, attention.in_proj_bias).chunk(3, -1)
    q, k = (t.reshape(3, 6, 4, 8).transpose(1, 2) for t in (q, k))
    logits = (q @ k.transpose(-1, -2) / 8**0.5).double()
    found = table[table["quantity"] == "attention_logit_variance"].iloc[0]
    assert found["module"] == "layers.0.self_attn"
    assert found["measured"] == pytest.approx(logits.var(-1).mean().item(), rel=1e-5)
