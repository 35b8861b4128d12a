"""Our spelling of a torch activation is the same function, and has the same derivative."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402

import varprop as vp  # noqa: E402
from varprop.adapters.torch.activation_names import of_function, of_module  # noqa: E402

pytestmark = pytest.mark.torch

MODULES = [
    nn.ReLU(), nn.ReLU6(), nn.Tanh(), nn.Sigmoid(), nn.SELU(), nn.SiLU(), nn.Mish(), nn.Softsign(), nn.Hardswish(),
    nn.Hardsigmoid(), nn.LeakyReLU(), nn.LeakyReLU(0.2), nn.PReLU(), nn.ELU(), nn.ELU(0.7), nn.CELU(), nn.CELU(1.3),
    nn.GELU(), nn.GELU(approximate="tanh"), nn.Softplus(), nn.Hardtanh(),
]  # fmt: skip
POINTS = np.concatenate([np.linspace(-8, 8, 401) + 0.003, [-25.0, 25.0]])


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_module_is_the_function_of_its_spelling(module):
    phi = vp.activation(of_module(module))
    z = torch.tensor(POINTS, requires_grad=True)
    value = module.double()(z)
    (slope,) = torch.autograd.grad(value.sum(), z)
    np.testing.assert_allclose(phi(POINTS), value.detach().numpy(), rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(phi.derivative(POINTS), slope.numpy(), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    ("function", "args", "kwargs"),
    [
        (F.leaky_relu, (0.3,), {}), (F.elu, (), {"alpha": 2.0}), (F.gelu, (), {"approximate": "tanh"}),
        (torch.sin, (), {}), (torch.cos, (), {}), (torch.erf, (), {}), (torch.arctan, (), {}), (F.softplus, (), {}),
        (F.hardtanh, (), {}), (F.relu6, (), {}),
    ],
)  # fmt: skip
def test_function_is_the_function_of_its_spelling(function, args, kwargs):
    z = torch.tensor(POINTS)
    phi = vp.activation(of_function(function.__name__, (z, *args), kwargs))
    np.testing.assert_allclose(phi(POINTS), function(z, *args, **kwargs).numpy(), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(
    "module", [nn.Softplus(beta=2), nn.Hardtanh(-2, 3), nn.RReLU(), nn.PReLU(4), nn.Linear(2, 2)]
)
def test_what_the_table_lacks_has_no_spelling(module):
    assert of_module(module) is None
