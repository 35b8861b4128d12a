"""Theory: what an initializer does to a network, layer by layer, without drawing one.

`predict_network` is the way in. The forward recursion (`forward`) gives the law of a unit in every layer, the
backward one (`backward`) the second moments of gradients; `heads` is where the gradient starts.
"""

from __future__ import annotations

import importlib
from typing import Any

_PUBLIC = {"predict_network": "varprop.analytic.prediction"}


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
