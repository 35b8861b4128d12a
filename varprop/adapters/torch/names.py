"""What the modules and parameters of a model are called, and which module is a leaf.

A Keras model on the torch backend *is* a torch module, and all that it computes passes through torch's functions. Only
its names differ: layers and variables have paths of their own. Keras itself is not imported here.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from varprop._validation import InputError, described

ROOT = "(model)"


@dataclass(frozen=True)
class Names:
    """Names of one model.

    Attributes
    ----------
    modules : mapping from Module to str
        Every module that can be called.
    parameters : tuple of (str, Parameter)
    leaves : frozenset of int
        Identities of the modules that have no callable module inside.
    keras : bool
    """

    modules: Mapping[nn.Module, str]
    parameters: tuple[tuple[str, nn.Parameter], ...]
    leaves: frozenset[int]
    keras: bool = False

    def module(self, name: str) -> Any:
        """Return the module of that name."""
        return next(module for module, own in self.modules.items() if own == name)


def names_of(model: nn.Module) -> Names:
    """Return the names of a torch model, or of a Keras model on the torch backend."""
    if is_keras(model):
        return _keras_names(model)
    modules = {module: name or ROOT for name, module in model.named_modules()}
    leaves = frozenset(id(module) for module in modules if next(module.children(), None) is None)
    return Names(modules, tuple(model.named_parameters()), leaves)


def is_keras(model: Any) -> bool:
    """Whether a model comes from Keras, told by the module of its classes."""
    return any(kind.__module__.partition(".")[0] == "keras" for kind in type(model).__mro__)


def check_backend(model: Any, field: str) -> None:
    """Refuse a Keras model on another backend, whose functions cannot be seen from here."""
    if is_keras(model) and not isinstance(model, nn.Module):
        raise InputError(
            field,
            described("a Keras model on another backend"),
            "KERAS_BACKEND=torch, or varprop.audit_arrays",
        )


def _keras_names(model: Any) -> Names:
    layers = [layer for layer in model._flatten_layers() if layer is not model]
    modules: dict[Any, str] = {model: ROOT}
    for layer in layers:
        modules[layer] = _unique(_given_name(layer), modules.values())
    leaves = frozenset(
        id(layer) for layer in layers if all(inner is layer for inner in layer._flatten_layers())
    )
    parameters: dict[int, tuple[str, nn.Parameter]] = {}
    for layer in [*layers, model]:
        for variable in layer._trainable_variables:
            parameters[id(variable.value)] = (f"{modules[layer]}/{variable.name}", variable.value)
    return Names(modules, tuple(parameters.values()), leaves, keras=True)


def _given_name(layer: Any) -> str:
    """Return a layer's name without the number that Keras counts up from model to model."""
    kind = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(layer).__name__).lower()
    return kind if re.fullmatch(rf"{kind}(_\d+)?", layer.name) else str(layer.name)


def _unique(name: str, taken: Iterable[str]) -> str:
    used = set(taken)
    return next(
        n for n in itertools.chain([name], (f"{name}_{i}" for i in itertools.count(1))) if n not in used
    )
