"""Any quantity by layer: theory as a line, Monte Carlo as marks with the band of its confidence interval."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from varprop._validation import check_one_of
from varprop.plots.frames import current_axes, rows_of
from varprop.plots.labels import label
from varprop.plots.scales import LogScale, decades
from varprop.plots.style import MUTED, Look, looks
from varprop.results.frames import conformed
from varprop.results.schema import QUANTITIES

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

MARKS = 24
"""Most marks on one line; deeper networks get one every few layers."""


def by_depth(
    predicted: pd.DataFrame | None,
    simulated: pd.DataFrame | None = None,
    *,
    quantity: str = "preactivation_variance",
    names: Mapping[str, str] | None = None,
    styles: Mapping[str, Look] | None = None,
    legend: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Draw `quantity` by layer, one line for each case.

    What to see: a level line keeps its size through the network; a straight slope grows or shrinks by the
    same factor in every layer. Marks on their line: theory and simulation agree.

    Parameters
    ----------
    predicted, simulated : DataFrame or None
        Tables of `varprop.predict` and `varprop.simulate`; either may be missing.
    quantity : str
        A quantity of the tables. Moments are drawn on a logarithmic axis; there a mark on the lower edge is
        exactly zero and one on the upper edge too large for a float.
    names : mapping from case to shown name, optional
    styles : mapping from case to Look, optional
    legend : bool
        Whether to name the cases.
    ax : Axes, optional
        Where to draw; the current axes otherwise.

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        If `quantity` is unknown, or a table lacks a column.
    """
    facts = QUANTITIES[check_one_of("quantity", quantity, QUANTITIES)]
    ax = current_axes(ax)
    theory = dict(_series(predicted, quantity, ("value", "log_value"), "predicted"))
    measured = dict(_series(simulated, quantity, ("value", "log_value", "ci_low", "ci_high"), "simulated"))
    cases = list(dict.fromkeys([*theory, *measured]))
    styles = {**looks(cases), **(styles or {})}
    names = names or {}

    scale: LogScale | None = None
    if facts.kind == "moment":
        parts = [_decades(rows) for rows in (*theory.values(), *measured.values())]
        scale = LogScale.around(parts)
    for case in cases:
        if case in measured:
            _draw_measured(ax, measured[case], styles[case], scale)
        if case in theory:
            _draw_theory(ax, theory[case], styles[case], scale)
    if scale is not None:
        scale.apply(ax)
    elif facts.kind == "fraction":
        ax.set_ylim(-0.03, 1.03)
    _dress(ax, facts.title, [*theory.values(), *measured.values()])
    if legend and cases:
        ax.legend(handles=legend_handles({case: names.get(case, case) for case in cases}, styles))
    return ax


def legend_handles(names: Mapping[str, str], styles: Mapping[str, Look]) -> list[Line2D]:
    """Return one legend entry for each distinct name: its line and its mark together.

    Parameters
    ----------
    names : mapping from case to shown name
    styles : mapping from case to Look
    """
    from matplotlib import rcParams
    from matplotlib.lines import Line2D

    first = {name: styles[case] for case, name in reversed(list(names.items()))}
    return [
        Line2D(
            [],
            [],
            color=first[name].color,
            linestyle=first[name].dashes,
            marker=first[name].marker,
            markerfacecolor=rcParams["axes.facecolor"],
            label=label(name),
        )
        for name in dict.fromkeys(names.values())
    ]


def _series(
    frame: pd.DataFrame | None, quantity: str, columns: tuple[str, ...], field: str
) -> Iterator[tuple[str, pd.DataFrame]]:
    if frame is None:
        return
    frame = conformed(rows_of(frame, quantity, field), columns, field)
    rows = frame[~(frame["value"].isna() & frame["log_value"].isna())]
    for case, group in rows.groupby("case", sort=False):
        yield str(case), group.sort_values("layer")


def _decades(rows: pd.DataFrame) -> np.ndarray:
    return decades(*(rows[c].to_numpy(dtype=float) for c in ("value", "log_value")))


def _heights(rows: pd.DataFrame, scale: LogScale | None) -> np.ndarray:
    return rows["value"].to_numpy(dtype=float) if scale is None else scale.position(_decades(rows))


def _draw_theory(ax: Axes, rows: pd.DataFrame, look: Look, scale: LogScale | None) -> None:
    layers, heights = rows["layer"].to_numpy(dtype=float), _heights(rows, scale)
    if len(layers) == 1:  # a line of one point would be invisible
        layers, heights = layers + np.array([-0.3, 0.3]), np.repeat(heights, 2)
    ax.plot(layers, heights, color=look.color, linestyle=look.dashes, clip_on=False, zorder=2.5)


def _draw_measured(ax: Axes, rows: pd.DataFrame, look: Look, scale: LogScale | None) -> None:
    layers, heights = rows["layer"].to_numpy(dtype=float), _heights(rows, scale)
    low, high = (rows[c].to_numpy(dtype=float) for c in ("ci_low", "ci_high"))
    known = np.isfinite(low) & np.isfinite(high)
    if scale is not None:
        known &= (high > 0) & (not scale.far)
        low, high = (scale.position(decades(np.maximum(bound, 0.0))) for bound in (low, high))
    if len(layers) == 1 and known[0]:
        ax.vlines(layers, low, high, color=look.color, linewidth=2.5, alpha=0.4)
    elif known.any():
        ax.fill_between(layers, low, high, where=known, color=look.color, alpha=0.25, linewidth=0)
    ax.plot(
        layers,
        heights,
        color=look.color,
        linestyle="none",
        marker=look.marker,
        markevery=max(1, -(-len(layers) // MARKS)),
        markerfacecolor=ax.get_facecolor(),
        markeredgewidth=1.0,
        clip_on=False,
        zorder=3,
    )


def _dress(ax: Axes, title: str, drawn: list[pd.DataFrame]) -> None:
    from matplotlib.ticker import MaxNLocator

    ax.set_title(title)
    ax.set_xlabel("layer")
    deepest = max((int(rows["layer"].max()) for rows in drawn), default=1)
    ax.set_xlim(0.6 if deepest < 20 else 1, deepest + (0.4 if deepest < 20 else 0))
    ax.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
    if not drawn:
        ax.text(0.5, 0.5, "no rows", transform=ax.transAxes, ha="center", va="center", color=MUTED)
