"""The theory of networks that are graphs: a signal forward through one rule per op, a gradient back.

`graph_entries` is the way in. `propagate` walks; `rows` turns what it finds into the entries of a table.
"""

from __future__ import annotations

from varprop.analytic.propagation.entries import graph_entries
from varprop.analytic.propagation.propagate import Propagated, propagate

__all__ = ["Propagated", "graph_entries", "propagate"]
