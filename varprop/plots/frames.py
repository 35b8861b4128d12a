"""What the figures read of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def bare(frame: pd.DataFrame) -> pd.DataFrame:
    """Return `frame` without its provenance, which pandas would copy in depth at every single step."""
    copy = frame.copy(deep=False)
    copy.attrs = {}
    return copy
