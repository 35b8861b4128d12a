"""The registered activations, every one with its defaults and some with other arguments."""

from __future__ import annotations

import pytest

import varprop as vp
from varprop.activations import registry

OTHERS = ("leaky_relu(slope=0.2)", "leaky_relu(slope=-0.5)", "elu(alpha=0.5)", "celu(alpha=2.0)")
NAMES = [*dict.fromkeys(make().name for make in registry.values()), *OTHERS]


@pytest.fixture(params=NAMES)
def activation(request):
    return vp.activation(request.param)
