"""What is to be known of a model's parameters besides their values."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from varprop.adapters.torch.fans import fans
from varprop.adapters.torch.names import ROOT, Names
from varprop.adapters.torch.trace import Tracer, is_closed


def copies(names: Names) -> list[tuple[str, ...]]:
    """Return groups of parameters with the same random values: nn.TransformerEncoder copies one layer, for example."""
    groups: dict[tuple[Any, ...], list[str]] = {}
    for name, parameter in names.parameters:
        values = parameter.detach().reshape(-1)[:64].double()
        if values.numel() > 1 and float(values.std()) > 0:
            key = (
                tuple(parameter.shape),
                float(parameter.detach().double().sum()),
                tuple(values[:4].tolist()),
            )
            groups.setdefault(key, []).append(name)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def uncalled(model: nn.Module, called: set[str]) -> list[str]:
    """Return the leaf modules that did not run; what stands inside a closed module runs unseen."""
    closed = [f"{name}." for name, module in model.named_modules() if name and is_closed(module)]
    return [
        name or ROOT
        for name, module in model.named_modules()
        if (name or ROOT) not in called
        and next(module.children(), None) is None
        and not isinstance(module, nn.ModuleList | nn.ModuleDict | nn.ParameterList | nn.ParameterDict)
        and not name.startswith(tuple(closed))
    ]


def fans_of_bias(model: nn.Module, name: str) -> Any:
    """Return the fans of the weight that a bias belongs to."""
    path, _, own = name.rpartition(".")
    module = model.get_submodule(path)
    partner = getattr(module, own.replace("bias", "weight"), None)
    return fans(module, own.replace("bias", "weight"), partner) if isinstance(partner, torch.Tensor) else None


def tracer_linear(tracer: Tracer, index: int) -> bool:
    """Whether the per-example gradient of a node's weight was measured exactly at the node itself."""
    node = list(tracer.nodes.values())[index - 1]
    return node.op == "linear" and len(node.shape) == 2 and not node.attributes.get("function")
