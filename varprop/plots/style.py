"""Colours, marks and settings of every figure; nothing is set until a figure asks for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

INK = "#1d2329"
MUTED = "#5c6773"
RULE = "#d5dade"
PAPER = "#fffffe"
"""Neutral colours. A report replaces them by its page's own, so that figures suit dark paper too."""

PALETTE = ("#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc", "#56b4e9", "#ca9161", "#8c8c8c")
"""Seaborn's ``colorblind`` palette without the two tones too pale for a thin line."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES: tuple[Any, ...] = ("solid", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (6, 1.5, 1.5, 1.5)))

VERDICT_COLORS: Mapping[str, str] = {
    "agrees": "#029e73",
    "undecided": "#de8f05",
    "differs": "#d1495b",
    "unpredicted": "#8c8c8c",
}

RC: Mapping[Any, Any] = {
    "figure.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.titlesize": 9.0,
    "axes.titlelocation": "left",
    "axes.titlepad": 6.0,
    "axes.labelsize": 8.5,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.use_mathtext": False,  # a parser run for every tick label costs seconds a report
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "text.color": INK,
    "font.size": 8.5,
    "font.family": "sans-serif",
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "lines.linewidth": 1.5,
    "lines.markersize": 3.6,
    "savefig.dpi": 130,
    "svg.fonttype": "none",
    "svg.hashsalt": "varprop",
}


@contextmanager
def figure_style() -> Iterator[None]:
    """Hold the house style within a ``with`` block; outside it nothing changes."""
    import matplotlib as mpl

    with mpl.rc_context(dict(RC)):
        yield


@dataclass(frozen=True)
class Look:
    """How one case is drawn everywhere: colour, marker and dashes say the same thing twice."""

    color: str
    marker: str
    dashes: Any


def looks(names: Iterable[str]) -> dict[str, Look]:
    """Assign each distinct name its look, in the order met.

    Examples
    --------
    >>> looks(["he_normal", "zeros", "he_normal"])["zeros"].marker
    's'
    """
    distinct = list(dict.fromkeys(names))
    count = len(PALETTE)
    return {
        name: Look(PALETTE[i % count], MARKERS[i % count], DASHES[(i // count) % len(DASHES)])
        for i, name in enumerate(distinct)
    }
