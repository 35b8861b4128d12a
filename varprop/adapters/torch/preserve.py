"""Leave everything as found: parameters, buffers, gradients, modes, hooks and every global random state."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn


@contextlib.contextmanager
def random_state() -> Iterator[None]:
    """Put back the global random states of torch (every device), NumPy and Python afterwards.

    A user's factory may draw from any of them, so all are put back.
    """
    python, numpy_state, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    mps = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy_state)  # noqa: NPY002
        torch.set_rng_state(cpu)
        if cuda:
            torch.cuda.set_rng_state_all(cuda)
        if mps is not None:
            torch.mps.set_rng_state(mps)


def seed_everything(seed: int) -> None:
    """Seed torch, NumPy's global generator and Python's, for a factory to draw from."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    random.seed(seed)


class Snapshot:
    """A model's values at one moment, which `restore` writes back into the very same tensors.

    Gradients are set aside (the objects themselves), so that the audit's own backward pass meets none.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._modes = [(module, module.training) for module in model.modules()]
        self._grads = [(parameter, parameter.grad) for parameter in model.parameters()]
        self._values = [(tensor, tensor.detach().clone()) for tensor in _tensors(model)]
        self._buffers = [(m, dict(m._buffers)) for m in model.modules()]

    def restore_values(self) -> None:
        """Write parameters and buffers back."""
        for module, buffers in self._buffers:
            # A forward pass may have replaced a buffer (self.count = self.count + 1), so the object is put back too.
            module._buffers.update(buffers)
        with torch.no_grad():
            for tensor, value in self._values:
                tensor.copy_(value)

    def restore(self) -> None:
        """Write everything back."""
        self.restore_values()
        for module, training in self._modes:
            module.training = training
        for parameter, gradient in self._grads:
            parameter.grad = gradient


@contextlib.contextmanager
def as_found(model: nn.Module) -> Iterator[Snapshot]:
    """Give back `model` as it was, whatever happens inside."""
    snapshot = Snapshot(model)
    try:
        for parameter in model.parameters():
            parameter.grad = None
        yield snapshot
    finally:
        snapshot.restore()


def _tensors(model: nn.Module) -> Iterator[torch.Tensor]:
    yield from model.parameters()
    yield from (buffer for buffer in model.buffers() if buffer is not None)
