"""Histograms of pre-activations against the predicted density."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from varprop._validation import InputError, described
from varprop.plots.frames import current_axes, rows_of
from varprop.plots.labels import label
from varprop.plots.style import INK, MUTED, Look, looks
from varprop.results.frames import conformed

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from varprop.montecarlo.histograms import Histogram

REACH = 4.2
"""Half-width of a panel in standard deviations."""

_SHADE = "#cc78bc"


class HasHistograms(Protocol):
    """What a run returns that was asked for more than a table, such as the evidence of `varprop.examine`."""

    @property
    def histograms(self) -> Sequence[Histogram]:
        """Of the measured pre-activations, by case and layer."""


Measured: TypeAlias = "HasHistograms | Histogram | Sequence[Histogram] | None"
"""What `varprop.examine` returns, a histogram of it, or several; a table has none."""

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
    simulated : Evidence, Histogram, sequence of Histogram, or None
        What `varprop.examine` returns, or histograms of it.
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
        If neither knows this case and layer, or a table is given for `simulated`.
    """
    ax = current_axes(ax)
    law = _laws(predicted).get((case, layer))
    counted = _measured(simulated).get((case, layer))
    if law is None and counted is None:
        raise InputError("case", f"{case}, layer {layer}", "a case and layer of the table or the histograms")
    return _draw(ax, law, counted, tails, look or looks([case])[case], reach)


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
    laws, found = _laws(predicted), _measured(simulated)
    places = [(case, layer) for case in cases for layer in layers]
    widest = max((_size(laws.get(p), found.get(p)) for p in places), default=0.0)
    reach = REACH * widest if same_reach and widest > 0 else None
    grid: Any = figure.subplots(len(cases), len(layers), squeeze=False)
    for ax, place in zip(grid.flat, places, strict=True):
        law, counted = laws.get(place), found.get(place)
        if law is None and counted is None:
            ax.set_axis_off()
            continue
        _draw(ax, law, counted, tails.get(place), styles[place[0]], reach)
        corner = f"layer {place[1]}\nsd {_compact(law[1] if law else _size(None, counted))}"
        ax.text(0.99, 0.97, corner, transform=ax.transAxes, ha="right", va="top", fontsize=7.0, color=MUTED)
        _few_ticks(ax)
    for ax, case in zip(grid[:, 0], cases, strict=True):
        ax.set_title(label(names.get(case, case)), fontsize=8.0, color=INK)
    return figure


def _laws(predicted: pd.DataFrame | None) -> dict[tuple[str, int], tuple[float, float]]:
    """Return predicted mean and standard deviation where both are finite, by case and layer."""
    if predicted is None:
        return {}
    parts = []
    for quantity in ("preactivation_mean", "preactivation_variance"):
        own = conformed(rows_of(predicted, quantity, "predicted"), ("value",), "predicted")
        rows = own[["case", "layer", "value"]]
        parts.append({(str(case), int(layer)): float(v) for case, layer, v in rows.itertuples(index=False)})
    means, variances = parts
    return {
        place: (mean, math.sqrt(variances[place]))
        for place, mean in means.items()
        if math.isfinite(mean) and math.isfinite(variances.get(place, math.nan))
    }


def _measured(simulated: Measured) -> dict[tuple[str, int], Histogram]:
    """Return the histograms that hold anything, by case and layer."""
    from varprop.montecarlo.histograms import Histogram

    found: Any = () if simulated is None else getattr(simulated, "histograms", simulated)
    listed = (found,) if isinstance(found, Histogram) else found
    if not isinstance(listed, list | tuple) or not all(isinstance(each, Histogram) for each in listed):
        given = described(f"a {type(simulated).__name__}, which holds no histograms")
        raise InputError("simulated", given, "what vp.examine(...) returns, or its histograms")
    return {(found.case, found.layer): found for found in listed if found.counts[1:-1].any()}


def _size(law: tuple[float, float] | None, measured: Histogram | None) -> float:
    """Return the root second moment that theory gives or, failing that, the bins' middles."""
    size = math.hypot(*law) if law is not None else 0.0
    if 0 < size < math.inf or measured is None:
        return size
    middles = (measured.edges[2:-1] + measured.edges[1:-2]) / 2
    counts = measured.counts[1:-1]
    return math.sqrt(float(counts @ middles**2) / float(counts.sum()))


def _draw(
    ax: Axes,
    law: tuple[float, float] | None,
    measured: Histogram | None,
    tails: tuple[float, float] | None,
    look: Look,
    reach: float | None,
) -> Axes:
    half = reach if reach is not None else REACH * _size(law, measured)
    half = half if 0 < half < math.inf else 1.0
    if tails is not None:
        _shade(ax, tails, half)
    if measured is not None:
        _bars(ax, measured.coarse(smallest=100, finest=0.12), half, look)
    if law is not None and law[1] > 0:
        mean, spread = law
        z = np.linspace(-half, half, 161)
        height = np.exp(-0.5 * ((z - mean) / spread) ** 2) / (spread * math.sqrt(2 * math.pi))
        ax.plot(z, height, color=INK, linewidth=1.1)
    elif law is not None:  # all values the same: there is no density to draw
        ax.axvline(law[0], color=INK, linewidth=1.1)
    ax.set_xlim(-half, half)
    ax.set_ylim(bottom=0)
    ax.yaxis.set_visible(False)
    ax.grid(False)
    ax.spines["left"].set_visible(False)
    return ax


def _bars(ax: Axes, measured: Histogram, half: float, look: Look) -> None:
    heights = measured.density()
    inside = (measured.edges[1:] > -half) & (measured.edges[:-1] < half)
    if not inside.any():
        return
    first, last = np.flatnonzero(inside)[[0, -1]]
    ax.fill_between(
        np.repeat(measured.edges[first : last + 2], 2)[1:-1],
        np.repeat(heights[first : last + 1], 2),
        color=look.color,
        alpha=0.55,
        linewidth=0,
    )


def _shade(ax: Axes, tails: tuple[float, float], half: float) -> None:
    low, high = tails
    for start, stop in ((-half, low), (high, half)):
        if start < stop:
            ax.axvspan(start, stop, color=_SHADE, alpha=0.16, linewidth=0)


def _compact(value: float) -> str:
    return f"{value:.3g}" if 1e-3 <= value < 1e4 else f"{value:.1e}"


def _few_ticks(ax: Axes) -> None:
    """Mark 0 and a round number on either side; a locator would take longer than the rest of the panel."""
    half = ax.get_xlim()[1]
    size = 10.0 ** math.floor(math.log10(half))
    step = max(f * size for f in (1, 2, 5) if f * size <= 0.8 * half or f == 1)
    step = step if step <= half else size / 2
    ax.set_xticks([-step, 0.0, step], [f"{-step:g}".replace("-", "−", 1), "0", f"{step:g}"])
    ax.tick_params(axis="x", labelsize=7.0)
