"""Monte Carlo over random networks: exact samplers, and the engine that runs them anywhere.

`simulate_network` and `simulate_networks` are the ways in. A run is a list of blocks (`blocks`); `execution`
runs them here, in processes, or on a cluster; `store` keeps what is finished; `statistics` are merged in
block order, and `estimates` turns them into the table.
"""

from __future__ import annotations

import importlib
from typing import Any

_PUBLIC = {
    "simulate_network": "varprop.montecarlo.simulation",
    "simulate_networks": "varprop.montecarlo.simulation",
    "load_store": "varprop.montecarlo.loading",
    "open_executor": "varprop.montecarlo.executors",
}
__all__ = ["load_store", "open_executor", "simulate_network", "simulate_networks"]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
