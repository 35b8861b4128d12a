"""An audit looks and leaves no trace."""

from __future__ import annotations

import copy
import random

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from tests.auditing.models import CATALOGUE, chain, convolutions  # noqa: E402
from varprop._validation import InputError  # noqa: E402
from varprop.adapters.torch.trace import Tracer  # noqa: E402
from varprop.auditing import audit  # noqa: E402

pytestmark = pytest.mark.torch


def state(model):
    tensors = {name: value.clone() for name, value in model.state_dict().items()}
    hooks = [
        (len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks)) for m in model.modules()
    ]
    return tensors, [m.training for m in model.modules()], hooks, [id(p.grad) for p in model.parameters()]


@pytest.mark.parametrize("fail", [False, True])
def test_instance_is_as_it_was(fail):
    model = convolutions(norm=True)()
    model[1].eval()
    model(torch.randn(2, 3, 12, 12)).sum().backward()
    gradients = [p.grad.clone() for p in model.parameters()]
    before = state(model)
    random_before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    if fail:
        with pytest.raises(InputError):
            audit(model, torch.randn(2, 5, 12, 12), draws=2)
    else:
        audit(model, torch.randn(2, 3, 12, 12), draws=2, mode="train")
    after = state(model)
    assert all(torch.equal(after[0][name], value) for name, value in before[0].items())
    assert after[1:] == before[1:]
    assert all(torch.equal(p.grad, g) for p, g in zip(model.parameters(), gradients, strict=True))
    # The inputs of this test were drawn before the states were noted, those of the audit within its own seeds.
    assert np.array_equal(np.random.get_state()[1], random_before[1])  # noqa: NPY002
    assert random.getstate() == random_before[2]


def test_global_random_state_is_as_it_was():
    inputs = torch.randn(4, 32)
    before = torch.get_rng_state()
    audit(CATALOGUE["mlp"][0], inputs, draws=2)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", CATALOGUE)
def test_tracing_changes_no_output_and_no_gradient(name):
    factory, batch = CATALOGUE[name]
    torch.manual_seed(3)
    model, inputs = factory(), batch()
    inputs = inputs.to(next(model.parameters()).dtype) if inputs.is_floating_point() else inputs
    twin = copy.deepcopy(model)
    with Tracer(model, lambda node, output, inputs: None):
        traced = model(inputs.clone())
    plain = twin(inputs.clone())
    traced, plain = (r[0] if isinstance(r, tuple) else r for r in (traced, plain))
    assert torch.equal(traced, plain)
    traced.square().sum().backward()
    plain.square().sum().backward()
    for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        assert (ours.grad is None) == (theirs.grad is None)
        assert ours.grad is None or torch.equal(ours.grad, theirs.grad)


def test_user_gradient_hooks_do_not_run_an_optimizer():
    """A hook that steps an optimizer as gradients accumulate must not fire: the audit accumulates nothing."""
    model, fired = chain(2, 8)(), []
    for parameter in model.parameters():
        parameter.register_post_accumulate_grad_hook(lambda p: fired.append(p))
    audit(model, torch.randn(3, 8), draws=2)
    assert not fired


def test_same_seed_same_table_other_seed_another():
    factory, inputs = CATALOGUE["mlp"][0], torch.ones(4, 32)
    first, again, other = (audit(factory, inputs, draws=3, seed=s)["measured"] for s in (1, 1, 2))
    assert first.equals(again)
    assert not first.equals(other)


def test_modes_are_stated_and_used():
    model = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.5), nn.Linear(8, 8))
    trained = audit(model, torch.ones(4, 8), draws=2)
    evaluated = audit(model, torch.ones(4, 8), draws=2, mode="eval")
    assert "mode: training" in trained.attrs["notes"]
    assert "mode: evaluation" in evaluated.attrs["notes"]
    rows = evaluated[evaluated["quantity"] == "preactivation_second_moment"].set_index("module")["measured"]
    assert rows["0"] == rows["1"]
    assert model.training
