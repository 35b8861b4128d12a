"""Figures of several panels: learning side by side, histograms by initializer and layer, forward against backward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from varprop.plots.depth import by_depth
from varprop.plots.frames import bare
from varprop.plots.labels import label
from varprop.plots.learning import learning_curves
from varprop.plots.style import INK, MUTED, looks
from varprop.results.schema import QUANTITIES

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROOTS: Mapping[str, str] = {
    "preactivation_variance": "Standard deviation of z",
    "preactivation_second_moment": "Root mean square of z",
    "gradient_preactivation": "Root mean square of the gradient dL/dz",
}
"""Quantities that `by_depth_panels` draws as their roots, in the units of what they describe."""


def learning_panels(
    history: pd.DataFrame, *, column: str, figure: Figure, title: str = "{}", **curves: Any
) -> Figure:
    """Fill `figure` with one panel of `learning_curves` for each value of a column, on one vertical axis.

    What to see: whether the order of the curves is the same in every panel.

    Parameters
    ----------
    history : DataFrame
    column : str
        Its values, in the order met, are the panels.
    figure : Figure
        An empty figure.
    title : str
        Of a panel; ``{}`` stands for the value.
    **curves
        For `varprop.plots.learning.learning_curves`.
    """
    from matplotlib.ticker import MaxNLocator

    values = list(dict.fromkeys(history[column]))
    axes: Any = figure.subplots(1, len(values), sharey=True, squeeze=False)[0]
    for ax, value in zip(axes, values, strict=True):
        learning_curves(history[history[column] == value], ax=ax, **curves)
        ax.set_title(title.format(label(value)))
        ax.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
        if ax is not axes[0]:
            ax.set_ylabel("")
            ax.get_legend().remove()
    return figure


def by_depth_panels(
    predicted: pd.DataFrame,
    simulated: pd.DataFrame | None,
    panels: Sequence[tuple[str, str, str]],
    *,
    by: str = "weights",
    figure: Figure,
) -> Figure:
    """Fill `figure` with panels of `by_depth`; moments that have a unit are drawn as their roots.

    What to see: level lines keep their size, slopes shrink or grow by one factor a layer. Gradients are drawn
    from the output backwards, in the direction in which they travel.

    Parameters
    ----------
    predicted, simulated : DataFrame
        With all cases of all panels.
    panels : sequence of (title, query, quantity)
        The query selects the rows of a panel, as in ``DataFrame.query``.
    by : str
        The column that names the lines.
    figure : Figure
        An empty figure.
    """
    axes: Any = figure.subplots(1, len(panels), squeeze=False)[0]
    names = dict.fromkeys(predicted[by])
    for ax, (title, query, quantity) in zip(axes, panels, strict=True):
        tables = [
            None if t is None else _rooted(bare(t).query(query), quantity) for t in (predicted, simulated)
        ]
        case_of = dict(zip(tables[0]["case"], tables[0][by], strict=True))  # type: ignore[index]
        everywhere = looks(names)
        styles = {case: everywhere[name] for case, name in case_of.items()}
        by_depth(*tables, quantity=quantity, names=case_of, styles=styles, legend=ax is axes[0], ax=ax)
        ax.set_title(title)
        ax.set_ylabel(ROOTS.get(quantity, QUANTITIES[quantity].title))
        if quantity.startswith("gradient"):
            ax.invert_xaxis()
            ax.set_xlabel("layer, from the output backwards")
    figure.set_layout_engine("constrained")
    own = axes[0].get_legend()
    shown = [text.get_text() for text in own.get_texts()]
    figure.legend(own.legend_handles, shown, loc="outside lower center", ncols=len(shown))
    own.remove()
    return figure


def _rooted(frame: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """Return the rows of `quantity` with values and bounds replaced by their roots, if it has one to show."""
    rows = frame[frame["quantity"] == quantity]
    if quantity not in ROOTS:
        return rows
    roots = {c: np.sqrt(rows[c].clip(lower=0)) for c in ("value", "ci_low", "ci_high") if c in rows}
    return rows.assign(**roots, log_value=rows["log_value"] / 2)


def binned(
    values: Mapping[tuple[str, str], np.ndarray], bins: int = 41, share: float = 0.004
) -> pd.DataFrame:
    """Count values on one grid for each row of panels, which spans all its columns but the outermost values.

    Parameters
    ----------
    values : mapping from (row, column) to array
    bins : int
        An odd number puts zero in the middle of a bin where the values are symmetric.
    share : float
        Share of each panel's values that may lie beyond the grid, half on either side.

    Returns
    -------
    DataFrame
        ``row, column, low, high, density, std``: one line for every bin; ``std`` is that of the panel.
    """
    import pandas as pd

    ends: dict[str, list[float]] = {}
    for (row, _), found in values.items():
        ends.setdefault(row, []).extend(np.quantile(found, [share / 2, 1 - share / 2]).tolist())
    parts = []
    for (row, column), found in values.items():
        low, high = min(ends[row]), max(ends[row])
        margin = 0.04 * (high - low) or 0.5
        edges = np.linspace(low - margin, high + margin, bins + 1)
        heights = np.histogram(found, edges)[0] / (np.size(found) * np.diff(edges))
        bounds = {"low": edges[:-1], "high": edges[1:], "density": heights, "std": float(np.std(found))}
        parts.append(pd.DataFrame({"row": row, "column": column, **bounds}))
    return pd.concat(parts, ignore_index=True)


def histogram_panels(table: pd.DataFrame, *, figure: Figure) -> Figure:
    """Fill `figure` with the histograms of a table by `binned`, rows by columns.

    What to see: the panels of a row share their axis, so a row that narrows from panel to panel shrinks, and a
    spike has collapsed; the standard deviation stands in the corner. Heights are relative to each panel's own.

    Parameters
    ----------
    table : DataFrame
        Of one or more calls of `binned`.
    figure : Figure
        An empty figure.
    """
    rows, columns = list(dict.fromkeys(table["row"])), list(dict.fromkeys(table["column"]))
    axes: Any = figure.subplots(len(rows), len(columns), squeeze=False)
    styles = looks(rows)
    for line, row in zip(axes, rows, strict=True):
        for ax, column in zip(line, columns, strict=True):
            panel = table[(table["row"] == row) & (table["column"] == column)]
            ax.set_yticks([])
            ax.grid(visible=False)
            ax.spines["left"].set_visible(False)
            if panel.empty:
                continue
            edges = np.append(panel["low"], panel["high"].iloc[-1])
            # Exact zeros (of relu) would flatten all the rest: their bar may end at three times the next one.
            heights = np.sort(panel["density"])
            top = float(min(heights[-1], 3 * heights[-2]) if heights[-2] > 0 else heights[-1]) or 1.0
            ax.stairs(
                panel["density"] / top, edges, fill=True, color=styles[row].color, alpha=0.7, linewidth=0
            )
            ax.set(xlim=(edges[0], edges[-1]), ylim=(0, 1.25))
            ax.tick_params(axis="x", labelsize=7)
            ax.locator_params(axis="x", nbins=3)
            ax.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
            corner = f"sd {panel['std'].iloc[0]:.2g}"
            ax.text(0.98, 0.97, corner, transform=ax.transAxes, ha="right", va="top", fontsize=7, color=INK)
        line[0].set_ylabel(label(row, 20), rotation=0, ha="right", va="center", color=INK)
    for ax, column in zip(axes[0], columns, strict=True):
        ax.set_title(label(column), fontsize=8, loc="center")
    return figure


def trade_off(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw what each rule does to the signal forwards against what it does to the gradient backwards.

    What to see: no rule but the one for square layers stands at (1, 1); the rule for fan-in keeps to the
    vertical line, the one for fan-out to the horizontal one, their average in between.

    Parameters
    ----------
    frame : DataFrame
        Columns ``rule``, ``layer`` (text beside the first rule's marks), ``forward`` and ``backward`` (factors
        on the mean square, predicted), ``forward_measured`` and ``backward_measured``.
    ax : Axes, optional
    """
    from matplotlib.ticker import NullLocator

    if ax is None:
        import matplotlib.pyplot as plt

        ax = plt.subplots(figsize=(5.6, 4.4), layout="constrained")[1]
    ax.axvline(1.0, color=MUTED, linewidth=0.9, linestyle=(0, (3, 2)))
    ax.axhline(1.0, color=MUTED, linewidth=0.9, linestyle=(0, (3, 2)))
    styles = looks(frame["rule"])
    for rule, group in frame.groupby("rule", sort=False):
        look, rows = styles[str(rule)], group.sort_values("forward").sort_values("backward", kind="stable")
        ax.plot(rows["forward"], rows["backward"], color=look.color, linestyle=look.dashes, label=label(rule))
        ax.plot(
            rows["forward_measured"], rows["backward_measured"], look.marker, color=look.color, markersize=5
        )
        for row in rows.to_dict("records"):
            at = (row["forward"], row["backward"])
            ax.annotate(
                label(row["layer"]),
                at,
                xytext=(5, 4),
                textcoords="offset points",
                fontsize=6.5,
                color=MUTED,
            )
    ax.set(xscale="log", yscale="log", xlabel="factor on the signal, forward")
    for axis, (low, high) in ((ax.xaxis, ax.get_xlim()), (ax.yaxis, ax.get_ylim())):
        powers = 2.0 ** np.arange(np.ceil(np.log2(low)), np.floor(np.log2(high)) + 1)
        axis.set_ticks(powers, [f"{p:g}" for p in powers])
        axis.set_minor_locator(NullLocator())
    ax.set(ylabel="factor on the gradient, backward")
    ax.legend(loc="upper right")
    return ax


def common_component(frame: pd.DataFrame, *, figure: Figure) -> Figure:
    """Fill `figure` with the share of a layer's signal that all its units have in common, by layer.

    What to see: at 0 the units are independent of each other; at 1 a layer of any width is one unit.

    Parameters
    ----------
    frame : DataFrame
        Columns ``activation`` (one panel each), ``weights`` (one line each), ``layer``, ``predicted`` (line)
        and ``measured`` (marks), shares from 0 to 1.
    figure : Figure
        An empty figure.
    """
    panels, styles = list(dict.fromkeys(frame["activation"])), looks(frame["weights"])
    axes: Any = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for ax, panel in zip(axes, panels, strict=True):
        for name, rows in frame[frame["activation"] == panel].groupby("weights", sort=False):
            look = styles[str(name)]
            ax.plot(rows["layer"], rows["predicted"], color=look.color, linestyle=look.dashes)
            marks = {"marker": look.marker, "color": look.color, "linestyle": "none", "label": label(name)}
            ax.plot(rows["layer"], rows["measured"], **marks)
        ax.set(title=label(panel), xlabel="layer", ylim=(-0.05, 1.05), xticks=sorted(set(frame["layer"])))
    axes[0].set_ylabel("share common to all units")
    axes[-1].legend(loc="center right")
    return figure
