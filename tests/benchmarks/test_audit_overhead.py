"""What an audit adds to a model's own construction and passes; the aim is 1.5 times and a second."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from tests.auditing.models import chain, encoder  # noqa: E402
from varprop.auditing import audit  # noqa: E402

DRAWS = 10


def resnet():
    layers, before = [], 3
    for channels, stride in ((32, 1), (64, 2), (64, 1), (128, 2), (128, 1)):
        layers += [nn.Conv2d(before, channels, 3, stride, 1), nn.BatchNorm2d(channels), nn.ReLU()]
        before = channels
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, 10))


MODELS = {
    "wide_relu": (chain(10, 1024), (128, 1024)),
    "wide_gelu": (chain(10, 1024, nn.GELU, 1.5), (128, 1024)),
    "deep_default": (chain(50, 256), (64, 256)),
    "convolutions": (resnet, (16, 3, 48, 48)),
    "encoder": (encoder(True, layers=4), (16, 48, 32)),
}


def own_passes(factory, inputs):
    for draw in range(DRAWS):
        torch.manual_seed(draw)
        model = factory()
        x = inputs.clone().requires_grad_()
        output = model(x)
        (output * torch.randn_like(output)).sum().backward()


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", ["the model alone", "audited"])
def test_overhead(benchmark, name, model):
    factory, shape = MODELS[model]
    inputs = torch.randn(shape)
    benchmark.group = f"audit of {model}"
    benchmark.extra_info.update(name=name, unit="draw", work=DRAWS)
    if name == "audited":
        benchmark.pedantic(audit, (factory, inputs), {"draws": DRAWS}, rounds=3, warmup_rounds=1)
    else:
        benchmark.pedantic(own_passes, (factory, inputs), rounds=3, warmup_rounds=1)
