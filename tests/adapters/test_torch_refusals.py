"""What cannot be audited is refused in one line that names the module."""

from __future__ import annotations

import warnings

import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from tests.auditing.models import chain  # noqa: E402
from varprop._validation import InputError  # noqa: E402
from varprop.auditing import audit  # noqa: E402

pytestmark = pytest.mark.torch


class Bad(nn.Module):
    def __init__(self, value):
        super().__init__()
        self.line, self.log = nn.Linear(4, 4), Log(value)

    def forward(self, x):
        return self.log(self.line(x))


class Log(nn.Module):
    def __init__(self, value):
        super().__init__()
        self.value, self.inner = value, nn.Identity()

    def forward(self, x):
        return self.inner(x * self.value)


def raising():
    raise RuntimeError("no weights\nhere")


def lazy_layer() -> nn.Module:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Lazy modules", UserWarning)  # PyTorch before 2.7
        return nn.LazyLinear(3)


@pytest.mark.parametrize(
    ("model", "inputs", "said"),
    [
        (raising, torch.ones(2, 4), "factory raising: RuntimeError: no weights"),
        (lambda: Bad(float("inf")), torch.ones(2, 4), "log.inner (Identity): an output with"),
        (lambda: Bad(float("nan")), torch.ones(2, 4), "log.inner (Identity): an output with nan"),
        (nn.Sequential(nn.ReLU()), torch.ones(2, 4), "without parameters"),
        (chain(2, 8), torch.ones(2, 9), "0 (Linear): RuntimeError"),
        (nn.Sequential(lazy_layer()), torch.ones(2, 4), "lazy parameters"),
        (lambda: 3, torch.ones(2, 4), "int is not allowed"),
        ("model", torch.ones(2, 4), "str is not allowed"),
        (chain(2, 8), "text", "a batch of tensors"),
        (chain(2, 8), torch.tensor(1.0), "a batch of tensors"),
        (nn.Embedding(4, 4), torch.tensor([[9]]), "IndexError"),
    ],
)
def test_refusal_is_one_line(model, inputs, said):
    with pytest.raises(InputError) as caught:
        audit(model, inputs, draws=2)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "options", [{"draws": 0}, {"seed": -1}, {"mode": "test"}, {"loss": 3}, {"share": 2}, {"batch_axis": -1}]
)
def test_bad_options_are_refused(options):
    with pytest.raises(InputError):
        audit(chain(1, 4), torch.ones(2, 4), **options)


@pytest.mark.parametrize(
    "loss", [lambda y: 3.0, lambda y: y.detach().sum(), lambda y: y.sum() * float("nan")]
)
def test_bad_losses_are_refused(loss):
    with pytest.raises(InputError, match="loss"):
        audit(chain(1, 4), torch.ones(2, 4), loss=loss, draws=1)
