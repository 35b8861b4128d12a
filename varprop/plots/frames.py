"""What every figure starts with: a bare table, and axes to draw on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from varprop._validation import InputError, described

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


def bare(frame: pd.DataFrame) -> pd.DataFrame:
    """Return `frame` without its provenance, which pandas would copy in depth at every single step."""
    copy = frame.copy(deep=False)
    copy.attrs = {}
    return copy


def rows_of(frame: pd.DataFrame, quantity: str, field: str) -> pd.DataFrame:
    """Return the rows of `frame` that hold `quantity`, without provenance.

    Raises
    ------
    InputError
        If `frame` is no table with a column ``quantity``.
    """
    import pandas as pd

    if not isinstance(frame, pd.DataFrame) or list(frame.columns).count("quantity") != 1:
        raise InputError(field, described(f"a {type(frame).__name__} without quantity"), "a table of varprop")
    table = bare(frame)
    return table[table["quantity"] == quantity]


def current_axes(ax: Axes | None) -> Axes:
    """Return `ax`, or matplotlib's current axes if none are given."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.gca()


def new_axes(ax: Axes | None, size: tuple[float, float], layout: str | None = None) -> Axes:
    """Return `ax`, or the axes of a new figure of `size` inches if none are given."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=size, layout=layout)[1]
