"""Predicted against measured, coloured by verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from varprop.plots.frames import current_axes
from varprop.plots.scales import LogScale, decades, log_tick
from varprop.plots.style import MUTED, RULE, VERDICT_COLORS
from varprop.results.frames import conformed
from varprop.results.schema import QUANTITIES

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

VERDICT_MARKERS = {"agrees": "o", "undecided": "^", "differs": "X", "unpredicted": "s"}
FURTHEST = 3.0
"""Margins beyond which `agreement` draws a difference on its edge."""

_DIFFERENCE = ("difference", "margin", "ci_low", "ci_high", "verdict")
_POSITIVE = [name for name, q in QUANTITIES.items() if q.kind in ("moment", "loss")]

MANY = 400
"""Points above which a figure holds them as pixels, to stay small."""


def parity(compared: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw measured against predicted moments and losses, one mark for each row.

    What to see: marks on the diagonal; colour and shape give the verdict. Zeros lie on the edges. Means and
    fractions are left to `agreement`: they may be zero or as good as zero.

    Parameters
    ----------
    compared : DataFrame
        Table of `varprop.compare`.
    ax : Axes, optional
        Where to draw; the current axes otherwise.

    Returns
    -------
    Axes
    """
    ax = current_axes(ax)
    compared = conformed(compared, ("predicted", "measured", "verdict"), "compared")
    rows = compared[compared["quantity"].isin(_POSITIVE)]
    rows = rows[rows["predicted"].notna() & rows["measured"].notna()]
    x, y = (decades(rows[c].to_numpy(dtype=float)) for c in ("predicted", "measured"))
    scale = LogScale.around([x, y])
    ends = scale.position(np.array([scale.low, scale.high]))
    ax.plot(ends, ends, color=MUTED, linewidth=0.9, zorder=1)
    _scatter(ax, scale.position(x), scale.position(y), rows["verdict"].to_numpy())
    scale.apply(ax)
    ax.set_xscale(ax.get_yscale())
    ax.set_xlim(ax.get_ylim())
    if not scale.far:
        from matplotlib import ticker

        ax.xaxis.set_major_formatter(log_tick)
        ax.xaxis.set_major_locator(ticker.LogLocator(numticks=6))
        ax.xaxis.set_minor_locator(ticker.NullLocator())
    ax.set_aspect("equal")
    ax.set_title("Measured against predicted")
    ax.set_xlabel("predicted")
    ax.set_ylabel("measured")
    if len(rows):
        ax.legend(loc="upper left")
    return ax


def agreement(compared: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw every difference in units of its margin, by quantity, with its confidence interval.

    What to see: between the two lines theory and simulation agree within the margin; an interval wider than
    the margin means that more draws are needed, not that theory is wrong.

    Parameters
    ----------
    compared : DataFrame
        Table of `varprop.compare`.
    ax : Axes, optional
        Where to draw; the current axes otherwise.

    Returns
    -------
    Axes
    """
    ax = current_axes(ax)
    compared = conformed(compared, _DIFFERENCE, "compared")
    rows = compared[compared["difference"].notna() & (compared["margin"] > 0)]
    present = [q for q in QUANTITIES if (rows["quantity"] == q).any()]
    place = {q: i for i, q in enumerate(present)}
    ax.axvspan(-1, 1, color=RULE, alpha=0.45, linewidth=0, zorder=0)
    ax.axvline(0, color=MUTED, linewidth=0.8, zorder=1)
    if len(rows):
        margin = rows["margin"].to_numpy(dtype=float)
        x = rows["difference"].to_numpy(dtype=float) / margin
        half = (rows["ci_high"] - rows["ci_low"]).to_numpy(dtype=float) / 2 / margin
        # Rows of one quantity are spread over its lane in the order of the table, so that none hides another.
        rank = rows.groupby("quantity").cumcount().to_numpy(dtype=float)
        count = rows.groupby("quantity")["quantity"].transform("size").to_numpy(dtype=float)
        y = rows["quantity"].map(place).to_numpy(dtype=float) + 0.7 * ((rank + 0.5) / count - 0.5)
        low, high = (np.clip(x + s * np.nan_to_num(half), -FURTHEST, FURTHEST) for s in (-1, 1))
        ax.hlines(y, low, high, color=MUTED, alpha=0.25, linewidth=0.5, rasterized=len(rows) > MANY)
        _scatter(ax, np.clip(x, -FURTHEST, FURTHEST), y, rows["verdict"].to_numpy(), size=9.0)
    ax.set_xlim(-FURTHEST * 1.04, FURTHEST * 1.04)
    ax.set_ylim(max(len(present), 1) - 0.5, -0.5)
    ax.set_yticks(range(len(present)), [QUANTITIES[q].title for q in present])
    ax.grid(False)
    ax.set_title("Difference in units of the margin")
    ax.set_xlabel("(measured - predicted) / margin")
    return ax


def _scatter(ax: Axes, x: np.ndarray, y: np.ndarray, verdicts: np.ndarray, size: float = 14.0) -> None:
    for verdict, color in VERDICT_COLORS.items():
        chosen = verdicts == verdict
        if chosen.any():
            ax.scatter(
                x[chosen],
                y[chosen],
                s=size,
                marker=VERDICT_MARKERS[verdict],
                color=color,
                alpha=0.75,
                linewidths=0,
                label=f"{verdict} ({int(chosen.sum())})",
                rasterized=len(x) > MANY,
                zorder=3 if verdict == "differs" else 2,
            )
