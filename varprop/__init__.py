"""varprop."""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "InputError": "varprop._validation",
    "activation": "varprop.activations",
    "Activation": "varprop.activations",
    "initializer": "varprop.initializers",
    "Initializer": "varprop.initializers",
    "half_on": "varprop.spec",
    "constant": "varprop.spec",
    "gaussian": "varprop.spec",
    "data": "varprop.spec",
    "digits": "varprop.spec",
    "mlp": "varprop.spec",
    "Layer": "varprop.spec",
    "Network": "varprop.spec",
    "Study": "varprop.spec",
    "read_study": "varprop.spec",
    "write_study": "varprop.spec",
    "default_study": "varprop.spec",
    "predict": "varprop.pipeline",
    "simulate": "varprop.pipeline",
    "compare": "varprop.pipeline",
    "report": "varprop.pipeline",
    "load": "varprop.pipeline",
}


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'varprop' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
