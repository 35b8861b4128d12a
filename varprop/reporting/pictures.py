"""The figures of a study's report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from varprop.plots.labels import label, short
from varprop.plots.style import Look
from varprop.reporting.document import Figure
from varprop.reporting.evidence import Evidence, Group
from varprop.reporting.numerals import beyond, percent
from varprop.reporting.shapes import empty, one_layer_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

MAIN = ("preactivation_variance", "gradient_preactivation")
FRACTIONS = ("saturated_fraction", "inactive_fraction", "dead_fraction")
COLUMNS = 4
"""Most groups side by side."""

Looks = Mapping[str, Look]


def card_figure(evidence: Evidence, group: Group, styles: Looks, name: str) -> Figure:
    """Return the picture of one card: variance and gradient by depth, or the densities of a single layer."""
    if group.depth == 1:
        return one_layer_figure(evidence, group, styles, name)

    def draw() -> Drawing:
        figure = empty(3.1, 3.8)
        axes = figure.subplots(len(MAIN), 1, sharex=True)
        figure.subplots_adjust(left=0.16, right=0.97, top=0.935, bottom=0.115, hspace=0.32)
        for ax, quantity in zip(axes, MAIN, strict=True):
            _by_depth(ax, evidence, group, styles, quantity)
        axes[0].set_xlabel("")
        return figure

    return Figure(
        name=name,
        title=f"Variance and gradient by depth: {group.title}",
        sees="Level lines keep their size, slopes vanish or explode; marks on a line confirm the theory.",
        alt=_depth_alt(evidence, group),
        draw=draw,
        filed=False,
    )


def overview_figures(evidence: Evidence, found: Sequence[Group], styles: Looks) -> tuple[Figure, ...]:
    """Return the cards' pictures side by side, a few groups to a figure."""
    deep = [group for group in found if group.depth > 1]
    count = -(-len(deep) // COLUMNS)
    size = -(-len(deep) // count) if count else 1
    return tuple(
        _overview(evidence, deep[i * size : (i + 1) * size], styles, f"variance-and-gradient-{i + 1}")
        for i in range(count)
    )


def _overview(evidence: Evidence, found: Sequence[Group], styles: Looks, name: str) -> Figure:
    def draw() -> Drawing:
        from varprop.plots import legend_handles

        width = 3.3 * len(found) + 0.3
        names = dict.fromkeys(n for group in found for n in group.names.values())
        rows = -(-len(names) // max(2, int(width / 2.2)))
        height = 4.6 + 0.2 * rows
        figure = empty(width, height)
        axes = figure.subplots(2, len(found), sharex="col", squeeze=False)
        figure.subplots_adjust(
            left=0.5 / width,
            right=1 - 0.1 / width,
            top=1 - 0.5 / height,
            bottom=(0.62 + 0.2 * rows) / height,
            hspace=0.26,
            wspace=0.2,
        )
        for column, group in zip(axes.T, found, strict=True):
            for ax, quantity in zip(column, MAIN, strict=True):
                _by_depth(ax, evidence, group, styles, quantity)
            column[0].set_xlabel("")
            column[0].annotate(
                label(group.title),
                (0, 1),
                xytext=(0, 20),
                xycoords="axes fraction",
                textcoords="offset points",
                fontsize=11,
                fontweight="bold",
            )
        handles = legend_handles({c: n for group in found for c, n in group.names.items()}, styles)
        figure.legend(handles=handles, loc="lower center", ncols=-(-len(handles) // max(rows, 1)))
        return figure

    return Figure(
        name=name,
        title="Variance and gradient by depth",
        sees="Lines are theory, marks the Monte Carlo means with the band of their 95 % intervals: "
        "level lines keep their size, slopes vanish or explode.",
        alt=" ".join(_depth_alt(evidence, group) for group in found),
        draw=draw,
    )


def fractions_figure(evidence: Evidence, group: Group, styles: Looks, name: str) -> Figure | None:
    """Return saturated, inactive and dead units by layer; None if nothing of the kind ever happens."""
    rows = evidence.simulated[evidence.simulated["case"].isin(group.cases)]
    present = [q for q in FRACTIONS if rows.loc[rows["quantity"] == q, "value"].max() > 0]
    if not present or group.depth == 1:
        return None

    def draw() -> Drawing:
        from varprop.plots import legend_handles

        width = 2.9 * len(present) + 2.2
        figure = empty(width, 2.5)
        axes = figure.subplots(1, len(present), squeeze=False, sharey=True)[0]
        figure.subplots_adjust(left=0.4 / width, right=1 - 2.2 / width, top=0.88, bottom=0.18, wspace=0.12)
        for ax, quantity in zip(axes, present, strict=True):
            _by_depth(ax, evidence, group, styles, quantity)
        handles = legend_handles(group.names, styles)
        axes[-1].legend(handles=handles, loc="center left", bbox_to_anchor=(1.02, 0.5))
        return figure

    worst = {q: _largest(evidence, group, q) for q in present}
    told = "; ".join(
        f"{q.replace('_', ' ')} at most {percent(value)}, under {name}" for q, (name, value) in worst.items()
    )
    return Figure(
        name=name,
        title=f"Saturated, inactive and dead units: {group.title}",
        sees="A saturated or inactive unit passes no gradient for that input; a dead one passes none at all.",
        alt=f"Shares of units by layer for {len(group.cases)} initializers of {short(group.title)}: {told}.",
        draw=draw,
    )


def parity_figure(evidence: Evidence) -> Figure:
    """Return measured against predicted, and the differences in units of their margins."""

    def draw() -> Drawing:
        from varprop.plots import agreement, parity

        figure = empty(9.6, 4.3)
        axes = figure.subplots(1, 2, gridspec_kw={"width_ratios": [1, 0.95]})
        figure.subplots_adjust(left=0.065, right=0.985, top=0.92, bottom=0.12, wspace=0.62)
        parity(evidence.compared, ax=axes[0])
        agreement(evidence.compared, ax=axes[1])
        return figure

    verdicts = evidence.compared["verdict"].value_counts()
    told = ", ".join(f"{count} {name}" for name, count in verdicts.items())
    return Figure(
        name="parity",
        title="Measured against predicted",
        sees="Left: moments lie on the diagonal. Right: every row in units of what it may differ; "
        "an interval wider than the grey zone asks for more draws.",
        alt=f"Scatter of measured against predicted values coloured by verdict: {told}.",
        draw=draw,
    )


def _by_depth(ax: object, evidence: Evidence, group: Group, styles: Looks, quantity: str) -> None:
    from varprop.plots import by_depth

    predicted, simulated = (
        frame[frame["case"].isin(group.cases)] for frame in (evidence.predicted, evidence.simulated)
    )
    by_depth(
        predicted,
        simulated,
        quantity=quantity,
        names=group.names,
        styles=styles,
        legend=False,
        ax=ax,  # type: ignore[arg-type]
    )


def _largest(evidence: Evidence, group: Group, quantity: str) -> tuple[str, float]:
    rows = evidence.simulated
    rows = rows[rows["case"].isin(group.cases) & (rows["quantity"] == quantity)].dropna(subset="value")
    best = int(rows["value"].to_numpy(dtype=float).argmax())
    return short(group.names[str(rows["case"].iloc[best])]), float(rows["value"].iloc[best])


def _depth_alt(evidence: Evidence, group: Group) -> str:
    """Say each line by its ends; lines that nobody predicted or measured are left out."""
    told = []
    for quantity, word in zip(MAIN, ("variance", "gradient"), strict=True):
        rows = evidence.simulated[evidence.simulated["quantity"] == quantity]
        for case in group.cases:
            own = rows[rows["case"] == case].sort_values("layer")
            if len(own):
                ends = [
                    beyond(v, log)
                    for v, log in zip(own["value"].iloc[[0, -1]], own["log_value"].iloc[[0, -1]], strict=True)
                ]
                told.append(f"{word} under {short(group.names[case])} from {ends[0]} to {ends[1]}")
    begin = f"Pre-activation variance and gradient by layer, 1 to {group.depth}, of {short(group.title)}"
    return f"{begin}: {'; '.join(told)}."
