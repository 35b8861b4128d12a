"""One batch: from what the user gave to the arguments of one call, and the call itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from varprop._validation import InputError, described
from varprop.adapters.torch.draws import one_line
from varprop.adapters.torch.names import ROOT, names_of
from varprop.adapters.torch.trace import Tracer, tensors


@dataclass(frozen=True)
class Batch:
    """Inputs as they are given to the model: positional and keyword arguments, and the leaves to differentiate."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    examples: int
    leaves: tuple[torch.Tensor, ...]


def prepare(inputs: Any, model: nn.Module, axis: int, note: Callable[[str], None]) -> Batch:
    """Turn what the user gave into one call's arguments, in the model's own precision and on its device."""
    sample = floating(model)
    leaves: list[torch.Tensor] = []

    def convert(value: Any) -> Any:
        if isinstance(value, np.ndarray | np.generic):
            value = torch.from_numpy(np.array(value))
        if isinstance(value, list | tuple):
            return type(value)(convert(v) for v in value)
        if not isinstance(value, torch.Tensor):
            return value
        if value.is_floating_point():
            if (value.dtype, value.device) != (sample.dtype, sample.device):
                note(f"inputs converted from {value.dtype} on {value.device} to the model's own")
            leaf = value.detach().to(sample).clone().requires_grad_(True)
            leaves.append(leaf)
            return leaf.clone()  # an in-place first layer may overwrite this one, not the leaf
        return value.detach().to(sample.device).clone()

    if hasattr(inputs, "array") and callable(inputs.array):
        inputs = np.ascontiguousarray(inputs.array().T)
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    if isinstance(inputs, dict):
        kwargs = {name: convert(value) for name, value in inputs.items()}
    elif isinstance(inputs, tuple):
        args = tuple(convert(value) for value in inputs)
    else:
        args = (convert(inputs),)
    first = next(tensors((args, kwargs)), None)
    if first is None or first.dim() <= axis:
        raise InputError(
            "inputs", described(type(inputs).__name__), f"a batch of tensors with an axis {axis}"
        )
    return Batch(args, kwargs, first.shape[axis], tuple(leaves))


def floating(model: nn.Module) -> torch.Tensor:
    """Return the parameter that tells the model's precision and device (whole-numbered state does not)."""
    every = list(model.parameters())
    return next((parameter for parameter in every if parameter.is_floating_point()), every[0])


def run_forward(model: nn.Module, batch: Batch, tracer: Tracer) -> Any:
    """Call the model under the tracer; a failure is one line that names the innermost module."""
    try:
        with tracer:
            return model(*batch.args, **batch.kwargs)
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        where = tracer.stack[-1] if tracer.stack else ROOT
        shapes = ", ".join(str(tuple(t.shape)) for t in tensors((batch.args, dict(batch.kwargs))))
        kind = type(names_of(model).module(where)).__name__
        raise InputError(
            f"{where} ({kind})",
            described(one_line(error)),
            f"a forward pass that accepts inputs of shape {shapes}",
        ) from error
