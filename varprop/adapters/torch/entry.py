"""What the rest of the package calls of this adapter."""

from __future__ import annotations

from varprop.adapters.torch.alter import alteration
from varprop.adapters.torch.measure import measure

NAME = "torch"

__all__ = ["NAME", "alteration", "measure"]
