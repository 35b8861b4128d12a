"""Figures of training: cost and accuracy with bands over seeds, decision boundaries, final losses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from varprop.plots.frames import new_axes
from varprop.plots.labels import label
from varprop.plots.style import MUTED, PALETTE, looks

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BAND = (0.1, 0.5, 0.9)
"""Quantiles over runs that a band and its middle line show."""


def learning_curves(
    history: pd.DataFrame,
    *,
    value: str = "loss",
    by: str = "start",
    step: str = "step",
    split: str = "train",
    reference: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw `value` by step, median and 10 to 90 % band over the runs of each group.

    What to see: a falling line learns, a level one does not; a wide band means that the seed decides.

    Parameters
    ----------
    history : DataFrame
        Rows of `Training.history`, with a column `by` that names the groups.
    value : str
        ``loss`` (drawn on a logarithmic axis) or ``accuracy``.
    by, step, split : str
        Column of the groups, column of the horizontal axis, and which split to draw.
    reference : float, optional
        A level to mark, such as ln 2.
    ax : Axes, optional
    """
    ax = new_axes(ax, (5.6, 3.6), "constrained")
    rows = history[history["split"] == split]
    styles = looks(rows[by].astype(str))
    for name, group in rows.groupby(by, sort=False):
        low, middle, high = (group.groupby(step)[value].quantile(q) for q in BAND)
        look = styles[str(name)]
        ax.fill_between(low.index, low, high, color=look.color, alpha=0.22, linewidth=0)
        ax.plot(middle.index, middle, color=look.color, linestyle=look.dashes, label=label(name))
    if reference is not None:
        ax.axhline(reference, color=MUTED, linewidth=0.9, linestyle=":")
    ax.set(xlabel=step, ylabel=f"{split} {value}")
    if value == "loss":
        ax.set_yscale("log")
    ax.legend()
    return ax


def decision_regions(
    logits: np.ndarray,
    axis: np.ndarray,
    points: np.ndarray,
    labels: np.ndarray,
    ax: Axes | None = None,
) -> Axes:
    """Draw where a network with one output says class 1, over the examples.

    What to see: whether the border between the two colours follows the border between the marks.

    Parameters
    ----------
    logits : ndarray, shape (k * k,)
        Output on the square grid ``axis × axis``, the first coordinate running fastest.
    axis : ndarray, shape (k,)
    points : ndarray, shape (2, n)
        The examples.
    labels : ndarray, shape (n,)
        0 or 1.
    ax : Axes, optional
    """
    ax = new_axes(ax, (5.6, 3.6), "constrained")
    regions = (np.asarray(logits) > 0).reshape(axis.size, axis.size)
    ax.contourf(axis, axis, regions, levels=[-0.5, 0.5, 1.5], colors=[PALETTE[5], PALETTE[1]], alpha=0.4)
    for value, marker, color in ((0, "o", PALETTE[0]), (1, "^", PALETTE[3])):
        ax.plot(*points[:, labels == value], marker, color=color, markersize=2.5)
    ax.set(aspect="equal", xticks=[], yticks=[])
    ax.grid(visible=False)
    return ax


def final_losses(
    final: pd.DataFrame, *, by: str = "start", value: str = "loss", ax: Axes | None = None
) -> Axes:
    """Draw the final loss of every run, sorted within its group.

    What to see: a level stretch at the bottom is the share of starts that succeed; the steps above it are the
    places where others got stuck.
    """
    ax = new_axes(ax, (5.6, 3.6), "constrained")
    styles = looks(final[by].astype(str))
    for name, group in final.groupby(by, sort=False):
        losses = np.sort(group[value].to_numpy(dtype=float))
        share = (np.arange(losses.size) + 0.5) / losses.size
        look = styles[str(name)]
        ax.plot(share, losses, color=look.color, linestyle=look.dashes, label=label(name))
    ax.set(xlabel="share of the runs", ylabel=f"final {value}", yscale="log", xlim=(0, 1))
    for set_formatter in (ax.yaxis.set_major_formatter, ax.yaxis.set_minor_formatter):
        set_formatter("{x:g}")
    ax.legend()
    return ax


def bars_by_group(
    estimates: pd.Series,
    low: pd.Series,
    high: pd.Series,
    *,
    colors: Sequence[str] = PALETTE,
    names: Mapping[str, str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw one bar a group with its confidence interval.

    What to see: where two intervals do not overlap, the groups differ for certain.
    """
    ax = new_axes(ax, (5.6, 3.6), "constrained")
    names = names or {}
    place = np.arange(len(estimates))
    ax.bar(place, estimates, color=[colors[i % len(colors)] for i in range(len(estimates))], width=0.6)
    errors = [np.maximum(estimates - low, 0), np.maximum(high - estimates, 0)]
    ax.errorbar(place, estimates, yerr=errors, fmt="none", ecolor=MUTED, capsize=3)
    ax.set_xticks(place, [label(names.get(str(n), n)) for n in estimates.index], rotation=20, ha="right")
    return ax


def components(
    frame: pd.DataFrame, *, by: str = "model", names: Mapping[str, str] | None = None, ax: Axes | None = None
) -> Axes:
    """Draw the variance components of start, order of batches and interaction, as shares, for each model.

    What to see: the tallest bar of a group is what decides how a run ends.

    Parameters
    ----------
    frame : DataFrame
        Tables of `varprop.training.variance_components` below one another, with a column `by`.
    by : str
        Column of the groups.
    names : mapping from source to shown name, optional
    ax : Axes, optional
    """
    ax = new_axes(ax, (5.6, 3.6), "constrained")
    sources = ("start", "order", "interaction")
    groups, names = list(dict.fromkeys(frame[by])), names or {}
    for number, source in enumerate(sources):
        rows = frame[frame["source"] == source].set_index(by).loc[groups]
        total = frame[frame["source"].isin(sources)].groupby(by)["variance"].sum().loc[groups]
        share, low, high = (rows[c] / total for c in ("variance", "ci_low", "ci_high"))
        place = np.arange(len(groups)) + (number - 1) * 0.27
        ax.bar(place, share, width=0.25, color=PALETTE[number], label=label(names.get(source, source)))
        errors = [np.maximum(share - np.clip(low, 0, None), 0), np.maximum(high - share, 0)]
        ax.errorbar(place, share, yerr=errors, fmt="none", ecolor=MUTED, capsize=2, linewidth=0.9)
    ax.set_xticks(np.arange(len(groups)), [label(g) for g in groups])
    ax.axhline(0, color=MUTED, linewidth=0.7)
    ax.set(ylabel="share of the variance, with its 95 % interval", ylim=(min(0.0, ax.get_ylim()[0]), None))
    ax.legend(ncols=3)
    return ax


def failure_bars(frame: pd.DataFrame, *, by: str = "start", ax: Axes | None = None) -> Axes:
    """Draw the share of failed runs with its interval, from a table by `varprop.training.outcomes.failure_rates`.

    What to see: a start whose bar is low needs no second try.
    """
    rows = frame.set_index(by)
    ax = bars_by_group(rows["failure_rate"], rows["ci_low"], rows["ci_high"], ax=ax)
    ax.set(ylabel="share of runs that fail", ylim=(0, 1))
    return ax


def side_by_side(frame: pd.DataFrame, column: str, draw: Callable[..., Axes]) -> Figure:
    """Draw one panel for each value of `column`, with ``draw(rows, ax=…)``."""
    import matplotlib.pyplot as plt

    groups = list(frame.groupby(column, sort=False))
    size = (4.5 * len(groups), 3.5)
    figure, axes = plt.subplots(1, len(groups), figsize=size, squeeze=False, layout="constrained")
    for ax, (name, rows) in zip(axes[0], groups, strict=True):
        draw(rows, ax=ax)
        ax.set_title(label(name))
    return figure
