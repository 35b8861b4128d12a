"""Figures of what one layer's pre-activations look like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from varprop.plots.labels import short
from varprop.plots.style import Look
from varprop.reporting.document import Figure
from varprop.reporting.evidence import Evidence, Group
from varprop.reporting.numerals import number

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

PANEL_LAYERS = 5
PANEL_CASES = 8
"""Most layers and cases of a panel figure."""

Looks = Mapping[str, Look]


def densities_figure(evidence: Evidence, group: Group, styles: Looks, name: str) -> Figure | None:
    """Return histograms of pre-activations, initializer by layer; None without histograms."""
    present = {h.case for h in evidence.histograms}
    cases = [case for case in group.cases if case in present]
    if not cases:
        return None
    if group.depth == 1:
        return one_layer_figure(evidence, group, styles, name, filed=True)
    shown, layers = cases[:PANEL_CASES], _layers(group)

    def draw() -> Drawing:
        from varprop.plots import density_panels

        height = 0.95 * len(shown) + 0.3
        figure = empty(8.2, height)
        figure.subplots_adjust(
            left=0.015, right=0.985, top=1 - 0.24 / height, bottom=0.2 / height, hspace=0.62, wspace=0.08
        )
        return density_panels(
            evidence.predicted,
            evidence.histograms,
            cases=shown,
            layers=layers,
            tails=_tails(evidence, group),
            names=group.names,
            styles=styles,
            figure=figure,
        )

    left_out = f" The first {len(shown)} of {len(cases)} cases." if len(shown) < len(cases) else ""
    return Figure(
        name=name,
        title=f"Pre-activations against the predicted density: {group.title}",
        sees="Bars are measured, lines the Gaussian density with the predicted mean and variance; "
        f"what lies on the shaded ground is saturated.{left_out}",
        alt=f"Grid of histograms, {len(shown)} initializers by layers {', '.join(map(str, layers))}, "
        f"of the pre-activations of a {short(group.title)} network, each with its predicted density.",
        draw=draw,
    )


def one_layer_figure(
    evidence: Evidence, group: Group, styles: Looks, name: str, *, filed: bool = False
) -> Figure:
    """Return the densities of a single layer under every initializer, on one axis."""
    cases = group.cases[:PANEL_CASES]

    def draw() -> Drawing:
        from varprop.plots import density_panels

        figure = empty(4.6 if filed else 3.1, max(1.3 * len(cases), 2.0) if filed else 3.8)
        figure.subplots_adjust(left=0.03, right=0.97, top=0.93, bottom=0.13, hspace=0.46)
        density_panels(
            evidence.predicted,
            evidence.histograms,
            cases=cases,
            layers=[1],
            tails=_tails(evidence, group),
            names=group.names,
            styles=styles,
            same_reach=True,
            figure=figure,
        )
        figure.axes[-1].set_xlabel("pre-activation z")
        return figure

    told = "; ".join(
        f"{short(group.names[c])} has variance {number(_value(evidence, c, 1, 'preactivation_variance'))}"
        for c in cases
    )
    return Figure(
        name=name,
        title=f"One layer: {group.title}",
        sees="On the shaded ground the unit is saturated: a wide density lies there almost whole.",
        alt=f"Densities of the pre-activation of a single {short(group.title)} layer: {told}.",
        draw=draw,
        filed=filed,
    )


def empty(width: float, height: float) -> Drawing:
    """Return a figure of this size in inches that no window or global state knows."""
    from matplotlib.figure import Figure as Drawing

    return Drawing(figsize=(width, height))


def _layers(group: Group) -> list[int]:
    """Return a few layers from the first to the last, evenly spread."""
    count = min(PANEL_LAYERS, group.depth)
    return [1] if count == 1 else [1 + round(i * (group.depth - 1) / (count - 1)) for i in range(count)]


def _tails(evidence: Evidence, group: Group) -> dict[tuple[str, int], tuple[float, float]]:
    found = {}
    for network in group.networks:
        for layer in _layers(group):
            tails = network.layers[layer - 1].activation.saturation(evidence.study.saturation_share)
            found[network.case, layer] = (float(tails.low), float(tails.high))
    return found


def _value(evidence: Evidence, case: str, layer: int, quantity: str) -> float:
    for frame in (evidence.predicted, evidence.simulated):
        rows = frame[(frame["case"] == case) & (frame["layer"] == layer) & (frame["quantity"] == quantity)][
            "value"
        ].dropna()
        if len(rows):
            return float(rows.iloc[0])
    return float("nan")
