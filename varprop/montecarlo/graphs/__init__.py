"""How networks that are no chains are drawn: one walk over a graph of ops."""

from __future__ import annotations

from varprop.montecarlo.graphs.block import sample_block, working_bytes

__all__ = ["sample_block", "working_bytes"]
