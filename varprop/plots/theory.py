"""Figures of the theory's tables: maps, phase diagram, spectrum, finite-width fan."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from varprop._validation import InputError, described
from varprop.plots.frames import new_axes
from varprop.plots.labels import label
from varprop.plots.style import INK, MUTED, PALETTE

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def length_map(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the length map, the diagonal and the cobweb of a table by `varprop.length_curve`.

    What to see: the path climbs or falls to where the map crosses the diagonal; the flatter the crossing, the
    faster it gets there.
    """
    ax = new_axes(ax, (4.6, 3.6))
    curve = frame[frame["curve"] == "map"]
    path = frame[frame["curve"] == "path"]
    top = float(curve["q"].max())
    ax.plot([0, top], [0, top], color=MUTED, linewidth=0.9, linestyle=(0, (3, 2)), label="unchanged")
    ax.plot(curve["q"], curve["next_q"], color=PALETTE[0], label="length map")
    ax.plot(path["q"], path["next_q"], color=PALETTE[3], linewidth=1.0, label="layer by layer")
    ax.set(xlabel="second moment q of this layer", ylabel="of the next layer", xlim=(0, top), ylim=(0, None))
    ax.legend()
    return ax


def correlation_map(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the correlation map of a table by `varprop.correlation_curve`.

    What to see: where the curve meets the diagonal is the correlation that any two inputs end with; at the
    right edge its slope is chi_1, the gradient's growth per layer.
    """
    ax = new_axes(ax, (4.6, 3.6))
    ax.plot([0, 1], [0, 1], color=MUTED, linewidth=0.9, linestyle=(0, (3, 2)), label="unchanged")
    ax.plot(frame["correlation"], frame["next_correlation"], color=PALETTE[0], label="correlation map")
    ax.set(xlabel="correlation of two inputs in this layer", ylabel="in the next layer", xlim=(0, 1))
    ax.legend()
    return ax


def phase_map(frame: pd.DataFrame, ax: Axes | None = None, longest: float = 100.0) -> Axes:
    """Draw the correlation depth scale over the plane of a table by `varprop.phase_diagram`.

    What to see: the bright ridge is the edge of chaos, where signals survive the most layers; left of it
    inputs merge and gradients vanish, right of it inputs separate and gradients explode.

    Parameters
    ----------
    frame : DataFrame
    ax : Axes, optional
    longest : float
        Depth scale at which the colour saturates, in layers.
    """
    if frame["activation"].nunique() != 1:
        given = described(f"{frame['activation'].nunique()} activations")
        raise InputError("frame.activation", given, "the phase diagram of one activation")
    ax = new_axes(ax, (4.6, 3.6))
    table = frame.pivot_table(index="bias_variance", columns="weight_variance", values="xi_c", dropna=False)
    depth = np.ma.masked_invalid(np.clip(table.to_numpy(dtype=float), None, longest))
    x, y = table.columns.to_numpy(dtype=float), table.index.to_numpy(dtype=float)
    mesh = ax.pcolormesh(
        x, y, depth, cmap="cividis", vmin=0, vmax=longest, shading="nearest", rasterized=True
    )
    chi = frame.pivot_table(index="bias_variance", columns="weight_variance", values="chi_1", dropna=False)
    values = np.ma.masked_invalid(chi.to_numpy(dtype=float))
    if min(values.shape) > 1 and values.min() < 1 < values.max():
        ax.contour(x, y, values, levels=[1.0], colors=[PALETTE[3]], linewidths=1.2)
    ax.figure.colorbar(mesh, ax=ax, label="correlation depth scale, layers")
    name = label(frame["activation"].iloc[0])
    ax.set(xlabel="weight variance × fan-in", ylabel="bias variance", title=name)
    ax.grid(visible=False)
    return ax


def spectrum(frame: pd.DataFrame, measured: np.ndarray | None = None, ax: Axes | None = None) -> Axes:
    """Draw the density of the Jacobian's singular values, with measured ones beside it.

    What to see: a narrow peak at 1 is dynamical isometry; a long tail means that some directions explode
    while most die.

    Parameters
    ----------
    frame : DataFrame
        By `varprop.spectral_density`.
    measured : ndarray, optional
        Singular values of drawn networks; exact zeros are left out, as the theory's atom is.
    ax : Axes, optional
    """
    ax = new_axes(ax, (4.6, 3.6))
    if measured is not None:
        values = np.asarray(measured, dtype=float).ravel()
        alive = values[values > 1e-9 * values.max()]
        counts, edges = np.histogram(alive, bins=60)
        heights = counts / (np.diff(edges) * values.size)
        ax.stairs(heights, edges, fill=True, color=PALETTE[5], alpha=0.5, label="drawn networks")
    ax.plot(frame["singular_value"], frame["density"], color=INK, label="infinite width")
    ax.set(xlabel="singular value", ylabel="density", xlim=(0, None), ylim=(0, None))
    ax.legend()
    return ax


def fan(
    frame: pd.DataFrame,
    measured: pd.DataFrame | None = None,
    *,
    case: str | None = None,
    quantity: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the finite-width fan: mean, median and the band from 5 to 95 % by layer.

    What to see: the mean stays where theory puts it while the typical network sinks below, and the band opens
    with depth: a single draw says little about the mean.

    Parameters
    ----------
    frame : DataFrame
        Columns ``layer, mean, median, low, high``, as `varprop.analytic.spread.width_spread` gives them.
    measured : DataFrame, optional
        Columns ``layer, median, low, high``, as `varprop.montecarlo.draw_spread.measured_spread` gives them.
    case, quantity : str, optional
        Which rows of both tables to draw; needed where a table has several.
    ax : Axes, optional

    Raises
    ------
    InputError
        If what is left of a table has several rows for one layer, or none.
    """
    wanted = {"case": case, "quantity": quantity}
    frame = _one_line("frame", frame, wanted)
    measured = None if measured is None else _one_line("measured", measured, wanted)
    ax = new_axes(ax, (4.6, 3.6))
    ax.fill_between(
        frame["layer"], frame["low"], frame["high"], color=PALETTE[5], alpha=0.35, label="5 to 95 % of draws"
    )
    ax.plot(frame["layer"], frame["mean"], color=PALETTE[3], label="mean")
    ax.plot(frame["layer"], frame["median"], color=PALETTE[0], linestyle=(0, (5, 1.5)), label="median")
    if measured is not None:
        marks = measured.iloc[:: max(1, len(measured) // 12)]
        errors = [marks["median"] - marks["low"], marks["high"] - marks["median"]]
        ax.errorbar(
            marks["layer"],
            marks["median"],
            yerr=errors,
            fmt="o",
            color=INK,
            markersize=3,
            capsize=2,
            linewidth=0.8,
            label="drawn",
        )
    ax.set(xlabel="layer", ylabel="mean square over the units", yscale="log")
    ax.legend()
    return ax


def _one_line(field: str, frame: pd.DataFrame, wanted: Mapping[str, str | None]) -> pd.DataFrame:
    """Return the rows with the wanted values, one for each layer, in order of layers."""
    for column, value in wanted.items():
        if value is not None and column in frame.columns:
            frame = frame[frame[column] == value]
    if not len(frame) or frame["layer"].duplicated().any():
        given = described(f"{len(frame)} rows for {frame['layer'].nunique()} layers")
        raise InputError(field, given, "rows of one case and quantity; name them by case= and quantity=")
    numbers = [name for name in ("layer", "mean", "median", "low", "high") if name in frame.columns]
    return frame.sort_values("layer").astype(dict.fromkeys(numbers, float))  # nullable types are not drawn


def panels(draws: Mapping[str, Callable[..., object]], *, width: float = 4.3, height: float = 3.6) -> Figure:
    """Return a figure with one panel for each function, called with ``ax=…``, under its title."""
    import matplotlib.pyplot as plt

    size = (width * len(draws), height)
    figure, axes = plt.subplots(1, len(draws), figsize=size, squeeze=False, layout="constrained")
    for ax, (title, draw) in zip(axes[0], draws.items(), strict=True):
        draw(ax=ax)
        ax.set_title(label(title))
    return figure
