"""A document as one self-contained HTML page: no script, no font, no picture from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from varprop.plots.style import MARKERS
from varprop.reporting.render import inline, natural_width

if TYPE_CHECKING:
    from jinja2 import Environment

    from varprop.reporting.document import Document, Figure

MARKER_PATHS: Mapping[str, str] = {
    "o": "M14 3.2a3.3 3.3 0 1 0 .01 0z",
    "s": "M11 3.5h6v6h-6z",
    "^": "M14 3l3.5 6.5h-7z",
    "D": "M14 2.3l4.2 4.2-4.2 4.2-4.2-4.2z",
    "v": "M14 10l3.5-6.5h-7z",
    "P": "M12.8 3h2.4v2.3h2.3v2.4h-2.3V10h-2.4V7.7h-2.3V5.3h2.3z",
    "X": "M11.9 3L14 5.1 16.1 3l1.4 1.4-2.1 2.1 2.1 2.1-1.4 1.4L14 7.9 11.9 10l-1.4-1.4 2.1-2.1-2.1-2.1z",
    "*": "M14 2.4l1.2 2.8 3 .2-2.3 2 .7 3-2.6-1.6-2.6 1.6.7-3-2.3-2 3-.2z",
}
"""The marks of `varprop.plots.style` for the key of a card, in a box of 28 by 13."""

assert set(MARKER_PATHS) == set(MARKERS)


def to_html(document: Document, svgs: Mapping[str, str]) -> str:
    """Return the page; `svgs` maps figure names to SVG text."""
    from markupsafe import Markup

    def picture(figure: Figure) -> Any:
        # Matplotlib escapes all text within an SVG, so it may stand in the page as it is.
        return Markup(inline(svgs[figure.name], figure.name))

    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            document=document,
            picture=picture,
            widths={name: round(natural_width(svg)) for name, svg in svgs.items()},
            marker_paths=MARKER_PATHS,
        )
    )


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
