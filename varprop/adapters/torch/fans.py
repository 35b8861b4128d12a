"""How many terms make one output of a layer, and how many torch's initializers think there are.

``torch.nn.init`` reads both fans off the tensor's shape: size(1) and size(0) times the kernel's size. For a plain
dense layer or convolution that is right for the fan-in; for grouped, strided and transposed convolutions,
for projections packed into one matrix, and for matrices stored the other way round it is not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class Fans:
    """Fans of one weight: as they are, and as torch states them."""

    fan_in: float
    fan_out: float
    stated_in: float
    stated_out: float


def stated(weight: torch.Tensor) -> tuple[float, float]:
    """Return (fan_in, fan_out) as ``torch.nn.init`` counts them.

    Examples
    --------
    >>> stated(torch.zeros(8, 4, 3, 3))
    (36.0, 72.0)
    """
    kernel = math.prod(weight.shape[2:])
    return float(weight.shape[1] * kernel), float(weight.shape[0] * kernel)


def fans(module: nn.Module, name: str, weight: torch.Tensor) -> Fans | None:
    """Return the fans of `weight`, the parameter `name` of `module`; None where it makes no weighted sum.

    With stride s per axis an input site enters k/s windows per axis, so a convolution's fan-out is
    (c_out/groups)·k^d/s^d; a transposed convolution is the same thing read backwards. Each gate of a recurrent
    layer and each of the three projections of an attention is a matrix of its own.

    Examples
    --------
    >>> depthwise = nn.Conv2d(32, 32, 3, groups=32)
    >>> fans(depthwise, "weight", depthwise.weight)
    Fans(fan_in=9.0, fan_out=9.0, stated_in=9.0, stated_out=288.0)
    >>> up = nn.ConvTranspose2d(64, 16, 4, stride=2)
    >>> fans(up, "weight", up.weight)
    Fans(fan_in=256.0, fan_out=256.0, stated_in=256.0, stated_out=1024.0)
    """
    if weight.dim() < 2:
        return None
    if isinstance(module, nn.modules.conv._ConvNd):
        kernel, stride = math.prod(module.kernel_size), math.prod(module.stride)
        inputs, outputs = module.in_channels // module.groups, module.out_channels // module.groups
        if module.transposed:
            return Fans(inputs * kernel / stride, float(outputs * kernel), *stated(weight))
        return Fans(float(inputs * kernel), outputs * kernel / stride, *stated(weight))
    if isinstance(module, nn.MultiheadAttention):
        rows = weight.shape[0] // 3 if name == "in_proj_weight" else weight.shape[0]
        return Fans(float(weight.shape[1]), float(rows), *stated(weight)) if "weight" in name else None
    if isinstance(module, nn.RNNBase):
        gates = {"LSTM": 4, "GRU": 3}.get(module.mode, 1) if "weight_hr" not in name else 1
        return Fans(float(weight.shape[1]), weight.shape[0] / gates, *stated(weight))
    if isinstance(module, nn.Embedding):
        return Fans(1.0, float(weight.shape[1]), *stated(weight))
    if isinstance(module, nn.Linear):
        return Fans(float(weight.shape[1]), float(weight.shape[0]), *stated(weight))
    return None


def dense_fans(weight: torch.Tensor, transposed: bool) -> Fans:
    """Return the fans of a matrix used as ``x @ W.T`` (`transposed` False) or ``x @ W`` (True)."""
    rows, columns = float(weight.shape[-2]), float(weight.shape[-1])
    both = (rows, columns) if transposed else (columns, rows)
    return Fans(*both, *stated(weight)) if weight.dim() == 2 else Fans(*both, *both)
