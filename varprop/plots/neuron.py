"""One neuron: how far its pre-activation spreads, and what its activation makes of that."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from varprop.plots.density import Measured, density
from varprop.plots.frames import current_axes
from varprop.plots.labels import label
from varprop.plots.style import INK, Look, looks

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from varprop.activations import Activation


def densities_together(
    predicted: pd.DataFrame,
    simulated: Measured = None,
    *,
    cases: Sequence[str],
    reach: float,
    layer: int = 1,
    names: Mapping[str, str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the densities of several cases on one axis, so that their widths compare.

    What to see: the same neuron is a narrow peak or a wide plain, depending on the law of its weights alone.

    Parameters
    ----------
    predicted, simulated
        As for `varprop.plots.density.density`: lines and bars.
    cases : sequence of str
    reach : float
        Half-width of the axis.
    layer : int
    names : mapping from case to shown name, optional
    ax : Axes, optional
        Where to draw; the current axes otherwise.
    """
    ax = current_axes(ax)
    styles, names = looks(cases), names or {}
    for case in cases:
        density(predicted, simulated, case=case, layer=layer, look=styles[case], reach=reach, ax=ax)
        line = ax.lines[-1]
        line.set(color=styles[case].color, linestyle=styles[case].dashes, label=label(names.get(case, case)))
    ax.relim()
    ax.autoscale(axis="y")
    ax.set_ylim(bottom=0)
    ax.set(xlabel="z")
    ax.legend()
    return ax


def activation_over_density(
    activation: Callable[[Any], Any],
    predicted: pd.DataFrame,
    simulated: Measured = None,
    *,
    case: str,
    layer: int = 1,
    tails: tuple[float, float] | None = None,
    look: Look | None = None,
    reach: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw an activation with the density of the pre-activation that it receives laid over it.

    What to see: density over the steep part of the curve passes gradient; density over its flat ends, which
    are shaded, is saturated.

    Parameters
    ----------
    activation : callable
        The vectorised function, such as an `Activation`.
    predicted, simulated, case, layer, tails, look, reach
        As for `varprop.plots.density.density`.
    ax : Axes, optional
        Where to draw the density; the curve gets an axis of its own over it.

    Returns
    -------
    Axes
        Of the curve.
    """
    ax = current_axes(ax)
    density(predicted, simulated, case=case, layer=layer, tails=tails, look=look, reach=reach, ax=ax)
    low, high = ax.get_xlim()
    front = ax.twinx()
    z = np.linspace(low, high, 481)
    front.plot(z, activation(z), color=INK, linewidth=2.0)
    front.set_xlim(low, high)
    front.yaxis.tick_left()
    front.yaxis.set_label_position("left")
    front.grid(visible=False)
    front.spines["right"].set_visible(False)
    front.spines["left"].set_visible(True)
    ax.set(xlabel="z")
    return front


def one_neuron(
    activation: Activation,
    predicted: pd.DataFrame,
    simulated: Measured = None,
    *,
    cases: Sequence[str],
    reaches: Sequence[float],
    names: Sequence[str],
    figure: Figure,
) -> Figure:
    """Fill `figure` with the densities of all `cases` on one axis, then the activation over each of them.

    What to see: whether the bulk of a density lies over the slope of the curve or over its shaded, flat ends.

    Parameters
    ----------
    activation : Activation
    predicted, simulated, cases
        As for `densities_together`.
    reaches : sequence of float
        Half-width of the joint axis, then of each case's own.
    names : sequence of str
        Shown names of the cases.
    figure : Figure
        An empty figure.
    """
    axes: Any = figure.subplots(1, 1 + len(cases), squeeze=False)[0]
    shown = dict(zip(cases, names, strict=True))
    densities_together(predicted, simulated, cases=cases, reach=reaches[0], names=shown, ax=axes[0])
    axes[0].set_title("on one axis")
    styles, tails = looks(cases), activation.saturation()
    ends = (tails.low, tails.high)
    for ax, case, reach in zip(axes[1:], cases, reaches[1:], strict=True):
        look = styles[case]
        curve = activation_over_density(
            activation, predicted, simulated, case=case, tails=ends, look=look, reach=reach, ax=ax
        )
        curve.set_title(f"{label(activation.name)}(z), {label(shown[case])}")
    return figure
