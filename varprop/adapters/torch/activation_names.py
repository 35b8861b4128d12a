"""PyTorch's activation modules and functions under our names.

A module or function that is not here has no entry in the activation table; it is then reported by its own
name, measured, and not predicted through.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from varprop._registry import spell

_PLAIN = {
    nn.ReLU: "relu",
    nn.ReLU6: "relu6",
    nn.Tanh: "tanh",
    nn.Sigmoid: "sigmoid",
    nn.SELU: "selu",
    nn.SiLU: "silu",
    nn.Mish: "mish",
    nn.Softsign: "softsign",
    nn.Hardswish: "hardswish",
    nn.Hardsigmoid: "hard_sigmoid",
}

_WITH_ARGUMENTS: Mapping[type, Callable[[Any], str | None]] = {
    nn.LeakyReLU: lambda m: _leaky(m.negative_slope),
    nn.PReLU: lambda m: _leaky(float(m.weight.detach())) if m.weight.numel() == 1 else None,
    nn.ELU: lambda m: _spell("elu", alpha=(m.alpha, 1.0)),
    nn.CELU: lambda m: _spell("celu", alpha=(m.alpha, 1.0)),
    nn.GELU: lambda m: "gelu" if m.approximate == "none" else "gelu_tanh",
    nn.Softplus: lambda m: "softplus" if (m.beta, m.threshold) == (1, 20) else None,
    nn.Hardtanh: lambda m: "hardtanh" if (m.min_val, m.max_val) == (-1.0, 1.0) else None,
}


def _always(spelling: str) -> Callable[..., str]:
    return lambda *_, **__: spelling


_FUNCTIONS: Mapping[str, Callable[..., str | None]] = {
    **{
        name: _always(spelling)
        for name, spelling in {
            "relu": "relu",
            "relu6": "relu6",
            "tanh": "tanh",
            "sigmoid": "sigmoid",
            "selu": "selu",
            "silu": "silu",
            "mish": "mish",
            "softsign": "softsign",
            "hardswish": "hardswish",
            "hardsigmoid": "hard_sigmoid",
            "sin": "sin",
            "cos": "cos",
            "erf": "erf",
            "arctan": "arctan",
            "atan": "arctan",
        }.items()
    },
    "leaky_relu": lambda input, negative_slope=0.01, inplace=False: _leaky(negative_slope),
    "elu": lambda input, alpha=1.0, inplace=False: _spell("elu", alpha=(alpha, 1.0)),
    "celu": lambda input, alpha=1.0, inplace=False: _spell("celu", alpha=(alpha, 1.0)),
    "gelu": lambda input, approximate="none": "gelu" if approximate == "none" else "gelu_tanh",
    "softplus": lambda input, beta=1, threshold=20: "softplus" if (beta, threshold) == (1, 20) else None,
    "hardtanh": lambda input, min_val=-1.0, max_val=1.0, inplace=False: (
        "hardtanh" if (min_val, max_val) == (-1.0, 1.0) else None
    ),
    "clamp_min": lambda input, min: "relu" if min == 0 else None,
}


def of_module(module: nn.Module) -> str | None:
    """Return our spelling of an activation module, None for anything else.

    Examples
    --------
    >>> of_module(nn.LeakyReLU(0.2)), of_module(nn.GELU(approximate="tanh")), of_module(nn.Linear(2, 2))
    ('leaky_relu(slope=0.2)', 'gelu_tanh', None)
    """
    if type(module) in _PLAIN:
        return _PLAIN[type(module)]
    rule = _WITH_ARGUMENTS.get(type(module))
    return rule(module) if rule else None


def of_function(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str | None:
    """Return our spelling of a functional activation called with `args` and `kwargs`, None for anything else.

    Examples
    --------
    >>> of_function("leaky_relu", (None, 0.2), {}), of_function("matmul", (), {})
    ('leaky_relu(slope=0.2)', None)
    """
    rule = _FUNCTIONS.get(name)
    if rule is None:
        return None
    try:
        inspect.signature(rule).bind(*args, **kwargs)
    except TypeError:  # an overload (such as out=) that the table does not speak of
        return None
    return rule(*args, **kwargs)


def _leaky(slope: float) -> str:
    return _spell("leaky_relu", slope=(slope, 0.01))


def _spell(name: str, **arguments: tuple[float, float]) -> str:
    return spell(name, {k: float(value) for k, (value, default) in arguments.items() if value != default})
