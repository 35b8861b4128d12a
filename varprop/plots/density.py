"""Histograms of pre-activations against the predicted density."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from varprop._validation import InputError
from varprop.plots.frames import bare
from varprop.plots.labels import label
from varprop.plots.style import INK, MUTED, Look, looks

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from varprop.montecarlo.histograms import Histogram

REACH = 4.2
"""Half-width of a panel in standard deviations."""

_SHADE = "#cc78bc"


Measured: TypeAlias = "pd.DataFrame | tuple[Histogram, ...] | None"
"""A table of `varprop.simulate`, which brings its histograms along, or the histograms themselves."""

Tails = Mapping[tuple[str, int], tuple[float, float]]
"""From case and layer to the saturation set: z at most the first, or at least the second number."""


def density(
    predicted: pd.DataFrame | None,
    simulated: Measured = None,
    *,
    case: str,
    layer: int = 1,
    tails: tuple[float, float] | None = None,
    look: Look | None = None,
    reach: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the histogram of one layer's pre-activations and the Gaussian density that theory predicts.

    What to see: the bars follow the line where theory holds; what lies in the shaded tails is saturated.

    Parameters
    ----------
    predicted : DataFrame or None
        Table of `varprop.predict`.
    simulated : DataFrame, tuple of Histogram, or None
        Table of `varprop.simulate`, which brings its histograms along, or these.
    case : str
    layer : int
    tails : (low, high), optional
        The saturation set of the activation that follows, to be shaded.
    look : Look, optional
    reach : float, optional
        Half-width of the panel; 4.2 standard deviations otherwise.
    ax : Axes, optional
        Where to draw; the current axes otherwise.

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        If neither table knows this case and layer.
    """
    if ax is None:
        import matplotlib.pyplot as plt

        ax = plt.gca()
    look = look or looks([case])[case]
    moments = None if predicted is None else _moments(predicted, case, layer)
    measured = _histogram(simulated, case, layer)
    if moments is None and measured is None:
        raise InputError("case", f"{case}, layer {layer}", "a case and layer of the tables")
    scale = math.hypot(*moments) if moments is not None else 0.0
    scale = scale if 0 < scale < math.inf or measured is None else _spread(measured)
    half = reach if reach is not None else REACH * scale
    half = half if 0 < half < math.inf else 1.0
    if tails is not None:
        _shade(ax, tails, half)
    if measured is not None:
        _bars(ax, measured, half, look)
    if moments is not None and moments[1] > 0:
        z = np.linspace(-half, half, 241)
        mean, spread = moments
        height = np.exp(-0.5 * ((z - mean) / spread) ** 2) / (spread * math.sqrt(2 * math.pi))
        ax.plot(z, height, color=INK, linewidth=1.1)
    elif scale == 0:  # all values the same: there is no density to draw
        ax.axvline(moments[0] if moments else 0.0, color=INK, linewidth=1.1)
    ax.set_xlim(-half, half)
    ax.set_ylim(bottom=0)
    ax.yaxis.set_visible(False)
    ax.grid(False)
    ax.spines["left"].set_visible(False)
    return ax


def density_panels(
    predicted: pd.DataFrame | None,
    simulated: Measured = None,
    *,
    cases: Sequence[str],
    layers: Sequence[int],
    tails: Tails | None = None,
    names: Mapping[str, str] | None = None,
    styles: Mapping[str, Look] | None = None,
    same_reach: bool = False,
    figure: Figure,
) -> Figure:
    """Fill `figure` with one panel of `density` for every case (row) and layer (column).

    What to see: bars that follow the line. Every panel spans the same number of predicted standard
    deviations (given in its corner), so that shapes compare; with `same_reach` all share one axis, so that
    widths compare.

    Parameters
    ----------
    predicted, simulated
        As for `density`.
    cases : sequence of str
    layers : sequence of int
    tails : mapping from (case, layer) to (low, high), optional
    names, styles : mappings from case, optional
    same_reach : bool
    figure : Figure
        An empty figure.

    Returns
    -------
    Figure
    """
    names, tails = names or {}, tails or {}
    styles = {**looks(cases), **(styles or {})}
    grid: Any = figure.subplots(len(cases), len(layers), squeeze=False)
    reach = REACH * max(_reaches(predicted, simulated, cases, layers), default=1.0) if same_reach else None
    for row, case in zip(grid, cases, strict=True):
        for ax, layer in zip(row, layers, strict=True):
            moments = None if predicted is None else _moments(predicted, case, layer)
            if moments is None and _histogram(simulated, case, layer) is None:
                ax.set_axis_off()
                continue
            density(
                predicted,
                simulated,
                case=case,
                layer=layer,
                tails=tails.get((case, layer)),
                look=styles[case],
                reach=reach,
                ax=ax,
            )
            _corner(ax, predicted, simulated, case, layer)
        row[0].set_title(label(names.get(case, case)), fontsize=8.0, color=INK)
    return figure


def _moments(predicted: pd.DataFrame, case: str, layer: int) -> tuple[float, float] | None:
    """Return predicted mean and standard deviation, or None where theory has none that a float can hold."""
    predicted = bare(predicted)
    rows = predicted[(predicted["case"] == case) & (predicted["layer"] == layer)]
    values = dict(zip(rows["quantity"], rows["value"].astype(float), strict=True))
    mean = values.get("preactivation_mean", math.nan)
    variance = values.get("preactivation_variance", math.nan)
    return (mean, math.sqrt(variance)) if math.isfinite(mean) and math.isfinite(variance) else None


def _histogram(simulated: Measured, case: str, layer: int) -> Histogram | None:
    """Return what was measured, in bins wide enough to draw; None where there is nothing."""
    from varprop.montecarlo.histograms import histograms

    listed = () if simulated is None else simulated if isinstance(simulated, tuple) else histograms(simulated)
    for found in listed:
        if (found.case, found.layer) == (case, layer) and found.counts.any():
            return found.coarse(smallest=100, finest=0.12)
    return None


def _spread(measured: Histogram) -> float:
    """Return the root second moment of the bins' middles."""
    middles = (measured.edges[1:] + measured.edges[:-1]) / 2
    return math.sqrt(float(measured.counts @ middles**2) / float(measured.counts.sum()))


def _reaches(
    predicted: pd.DataFrame | None,
    simulated: Measured,
    cases: Iterable[str],
    layers: Sequence[int],
) -> list[float]:
    found = []
    for case in cases:
        for layer in layers:
            moments = None if predicted is None else _moments(predicted, case, layer)
            measured = None if moments is not None else _histogram(simulated, case, layer)
            found.append(math.hypot(*moments) if moments else _spread(measured) if measured else 0.0)
    return [f for f in found if f > 0]


def _bars(ax: Axes, measured: Histogram, half: float, look: Look) -> None:
    heights = measured.density()
    inside = (measured.edges[1:] > -half) & (measured.edges[:-1] < half)
    if not inside.any():
        return
    first, last = np.flatnonzero(inside)[[0, -1]]
    ax.stairs(
        heights[first : last + 1],
        measured.edges[first : last + 2],
        fill=True,
        color=look.color,
        alpha=0.55,
        linewidth=0,
    )


def _shade(ax: Axes, tails: tuple[float, float], half: float) -> None:
    low, high = tails
    for start, stop in ((-half, low), (high, half)):
        if start < stop:
            ax.axvspan(start, stop, color=_SHADE, alpha=0.16, linewidth=0)


def _corner(ax: Axes, predicted: pd.DataFrame | None, simulated: Measured, case: str, layer: int) -> None:
    moments = None if predicted is None else _moments(predicted, case, layer)
    measured = None if moments is not None else _histogram(simulated, case, layer)
    spread = moments[1] if moments else _spread(measured) if measured else math.nan
    ax.text(
        0.99,
        0.97,
        f"layer {layer}\nsd {_compact(spread)}",
        transform=ax.transAxes,
        ha="right",
        va="top",
        fontsize=7.0,
        color=MUTED,
    )
    ax.tick_params(axis="x", labelsize=7.0)
    _few_ticks(ax)


def _compact(value: float) -> str:
    return f"{value:.3g}" if 1e-3 <= value < 1e4 else f"{value:.1e}"


def _few_ticks(ax: Axes) -> None:
    """Mark 0 and a round number on either side; a locator would take longer than the rest of the panel."""
    half = ax.get_xlim()[1]
    size = 10.0 ** math.floor(math.log10(half))
    step = max(f * size for f in (1, 2, 5) if f * size <= 0.8 * half or f == 1)
    step = step if step <= half else size / 2
    ax.set_xticks([-step, 0.0, step], [f"{-step:g}".replace("-", "−"), "0", f"{step:g}"])
