"""Figures of the tidy tables: functions of a table that draw on an Axes and return it.

Nothing is set at import; `style.figure_style` lends the house style to a ``with`` block.
"""

from varprop.plots.density import density, density_panels
from varprop.plots.depth import by_depth, legend_handles
from varprop.plots.parity import agreement, parity
from varprop.plots.style import figure_style, looks

__all__ = [
    "agreement",
    "by_depth",
    "density",
    "density_panels",
    "figure_style",
    "legend_handles",
    "looks",
    "parity",
]
