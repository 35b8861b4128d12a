"""Figures of `varprop.symmetry`: which layers have a gradient at which step, and units that stay alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from varprop.plots.labels import label
from varprop.plots.style import INK, MUTED, PALETTE, RULE

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

NOTHING, BIASES, WEIGHTS = RULE, PALETTE[5], PALETTE[0]
"""Tones of a layer without any gradient, with one for its biases only, with one for its weights too."""


def gradients_by_step(frame: pd.DataFrame, *, rows: str = "case", columns: str = "activation") -> Figure:
    """Draw, one panel a case and activation, which layers have a gradient at which step.

    What to see: a staircase wakes up one layer more in each step; a panel that stays pale never learns.

    Parameters
    ----------
    frame : DataFrame
        Tables of `varprop.symmetry` below one another, with two further columns that name the panels.
    rows, columns : str
        The columns that name a panel's row and column.

    Returns
    -------
    Figure
        Layers upwards, steps to the right. Dark: weights and biases have a gradient; light: biases only; grey:
        neither.
    """
    import matplotlib.pyplot as plt
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    downs, acrosses = frame[rows].unique(), frame[columns].unique()
    tones = ListedColormap([NOTHING, BIASES, WEIGHTS])
    size = (1.6 + 1.75 * len(acrosses), 0.7 + 0.75 * len(downs))
    figure, grid = plt.subplots(
        len(downs), len(acrosses), figsize=size, squeeze=False, sharex=True, sharey=True, layout="constrained"
    )
    for down, line in zip(downs, grid, strict=True):
        for across, ax in zip(acrosses, line, strict=True):
            panel = frame[(frame[rows] == down) & (frame[columns] == across)]
            state = np.where(~panel["weight_gradient_zero"], 2, 1 * ~panel["bias_gradient_zero"])
            table = panel.assign(state=state).pivot(index="layer", columns="step", values="state")
            edges_x = np.append(table.columns, table.columns[-1] + 1) - 0.5
            edges_y = np.append(table.index, table.index[-1] + 1) - 0.5
            ax.pcolormesh(
                edges_x, edges_y, table, cmap=tones, vmin=0, vmax=2, edgecolors="white", linewidth=1.5
            )
            ax.set(xticks=table.columns[:: max(1, table.shape[1] // 6)], yticks=table.index)
            ax.grid(visible=False)
            ax.tick_params(length=0)
            for spine in ax.spines.values():
                spine.set_visible(False)
        line[0].set_ylabel(label(down), color=INK, rotation=0, ha="right", va="center", labelpad=8)
    for across, ax in zip(acrosses, grid[0], strict=True):
        ax.set_title(label(across))
    for ax in grid[-1]:
        ax.set_xlabel("step")
    words = ("no gradient", "biases only", "weights too")
    marks = [Patch(color=c, label=w) for c, w in zip((NOTHING, BIASES, WEIGHTS), words, strict=True)]
    figure.legend(handles=marks, loc="outside upper center", ncols=3)
    return figure


def units_by_step(frame: pd.DataFrame, *, by: str = "start") -> Figure:
    """Draw the incoming weights of every hidden unit as bars, one panel a step.

    What to see: groups of bars that look the same are units that do the same; as long as they stay the same,
    the layer is worth one unit.

    Parameters
    ----------
    frame : DataFrame
        Columns `by`, ``step``, ``unit``, ``weight`` (which of a unit's weights) and ``value``.
    by : str
        Names the rows of panels.
    """
    import matplotlib.pyplot as plt

    downs, steps = frame[by].unique(), sorted(frame["step"].unique())
    figure, grid = plt.subplots(
        len(downs),
        len(steps),
        figsize=(1.2 + 1.7 * len(steps), 0.7 + 1.7 * len(downs)),
        squeeze=False,
        sharex=True,
        layout="constrained",
    )
    for down, line in zip(downs, grid, strict=True):
        for step, ax in zip(steps, line, strict=True):
            panel = frame[(frame[by] == down) & (frame["step"] == step)]
            table = panel.pivot(index="unit", columns="weight", values="value")
            width = 0.8 / table.shape[1]
            for number, name in enumerate(table.columns):
                place = table.index + (number - (table.shape[1] - 1) / 2) * width
                ax.bar(place, table[name], width, color=PALETTE[number], label=label(name))
            ax.axhline(0, color=MUTED, linewidth=0.7)
            ax.set(xticks=table.index, xlabel="hidden unit" if down == downs[-1] else "")
            reach = max(float(np.abs(table.to_numpy()).max()) * 1.15, 1e-3)
            ax.set_ylim(-reach, reach)
            ax.locator_params(axis="y", nbins=5)
            ax.grid(visible=False, axis="x")
            ax.set_title(f"step {step}" if down == downs[0] else "")
        line[0].set_ylabel(f"{label(down)}\nweight", color=INK)
    handles, names = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=len(names))
    return figure
