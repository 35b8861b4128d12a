"""Networks of repeated blocks: what stands at the end of every block, theory as lines and drawn networks as marks."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from varprop._validation import check_one_of
from varprop.plots.frames import bare, current_axes
from varprop.plots.style import looks
from varprop.plots.theory import panels
from varprop.results.schema import QUANTITIES

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_KEYS = ["case", "quantity", "layer"]


def block_ends(predicted: pd.DataFrame, simulated: pd.DataFrame, quantities: Collection[str]) -> pd.DataFrame:
    """Return `quantities` at the last node of every block that has them.

    Parameters
    ----------
    predicted, simulated : DataFrame
        Tables of `varprop.predict` and `varprop.simulate`; the latter may lack cases.
    quantities : collection of str

    Returns
    -------
    DataFrame
        ``case, quantity, block, node, value, drawn, ci_low, ci_high, order``: `value` is the theory's, `drawn` the
        mean over draws with its interval, NaN where none were drawn.

    Examples
    --------
    >>> import varprop as vp
    >>> network = vp.transformer(2, 16, 2, tokens=4, vocabulary=20)
    >>> tables = vp.predict(network), vp.simulate(network, draws=4)
    >>> block_ends(*tables, ["logit_variance"])[["block", "node"]].to_numpy().tolist()
    [[1, 'block1.attention.attend'], [2, 'block2.attention.attend']]
    """
    drawn = bare(simulated)[[*_KEYS, "value", "ci_low", "ci_high"]].rename(columns={"value": "drawn"})
    rows = bare(predicted).merge(drawn, on=_KEYS, how="left")
    block = rows["node"].str.extract(r"^block(\d+)\.", expand=False)
    rows = rows[rows["quantity"].isin(quantities) & block.notna()]
    rows = rows.assign(block=block[rows.index].astype(int)).sort_values("layer", kind="stable")
    last = rows.groupby(["case", "quantity", "block"], sort=False).tail(1)
    last = last[["case", "quantity", "block", "node", "value", "drawn", "ci_low", "ci_high", "order"]]
    return last.reset_index(drop=True)


def by_block(
    ends: pd.DataFrame,
    quantity: str,
    colors: Mapping[str, str],
    *,
    legend: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Draw one quantity of `block_ends` by block, on logarithmic axes: lines are theory, marks drawn networks.

    What to see: marks on their line agree with theory; upright lines are the intervals of the means over draws. Marks
    stand at blocks 1, 2, 4, 8, …; cases without draws are dashed; correlations have a linear axis from 0 to 1.

    Parameters
    ----------
    ends : DataFrame
        From `block_ends`.
    quantity : str
    colors : mapping from case to colour
        In the order of the legend.
    legend : bool
        Whether to name the cases, at the right of the axes.
    ax : Axes, optional
        Where to draw; the current axes otherwise.
    """
    import seaborn as sns
    from matplotlib.ticker import LogLocator, StrMethodFormatter

    facts = QUANTITIES[check_one_of("quantity", quantity, QUANTITIES)]
    ax = current_axes(ax)
    own = ends[ends["quantity"] == quantity]
    marks = own[own["drawn"].notna() & (np.log2(own["block"]) % 1 == 0)]
    sizes = own[["value", "drawn"]].to_numpy(dtype=float)
    low, high = float(np.nanmin(sizes)), float(np.nanmax(sizes))
    bounded = facts.kind == "correlation"
    bottom, top = (0.0, 1.0) if bounded else (low / 1.4, high * 1.4)
    ax.set(xscale="log", yscale="linear" if bounded else "log")
    common = {"x": "block", "hue": "case", "palette": dict(colors), "hue_order": list(colors), "ax": ax}
    dashes = {case: "" if case in set(marks["case"]) else (3, 1.5) for case in colors}
    lines = {"style": "case", "style_order": list(colors), "dashes": dashes, "linewidth": 1.3}
    sns.lineplot(own, y="value", legend=legend, estimator=None, **lines, **common)
    sns.scatterplot(marks, y="drawn", legend=False, s=18, **common)
    ax.vlines(
        marks["block"],
        marks["ci_low"].clip(bottom, top),
        marks["ci_high"].clip(bottom, top),
        list(marks["case"].map(colors)),
        alpha=0.5,
    )
    deepest = int(own["block"].max())
    ticks = [2**i for i in range(deepest.bit_length())]
    ax.set(xlabel="block", ylabel="", ylim=(bottom, top), title=facts.title)
    ax.set_xticks(ticks, [str(tick) for tick in ticks])
    ax.minorticks_off()
    if not bounded and top < 100 * bottom:
        ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    if legend:
        sns.move_legend(ax, "upper left", bbox_to_anchor=(1.02, 1), title=None)
    return ax


def block_panels(ends: pd.DataFrame, titles: Mapping[str, str]) -> Figure:
    """Return a figure with a panel of `by_block` for each quantity under its title; the legend stands at the right.

    Parameters
    ----------
    ends : DataFrame
        From `block_ends`; its cases take the colours of the house style in the order met.
    titles : mapping from quantity to title
    """
    colors = {case: look.color for case, look in looks(ends["case"]).items()}
    last = list(titles)[-1]
    return panels({t: partial(by_block, ends, q, colors, legend=q == last) for q, t in titles.items()})
