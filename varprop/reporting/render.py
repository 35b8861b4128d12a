"""Figures as SVG and PNG: the same picture gives the same bytes."""

from __future__ import annotations

import io
import re
import warnings
from typing import TYPE_CHECKING

from varprop.plots.style import INK, MUTED, PAPER, RULE, figure_style

if TYPE_CHECKING:
    from varprop.reporting.document import Figure

_THEME = {INK: "var(--ink)", MUTED: "var(--muted)", RULE: "var(--rule)", PAPER: "var(--paper)"}
_WIDTH = re.compile(r'\swidth="([\d.]+)pt"')
_TAG = re.compile(r"<[^>]*>")
"""In SVG from matplotlib no text holds a bare angle bracket, so this is exact."""


def render(figure: Figure, *, png: bool = True) -> tuple[str, bytes]:
    """Return `figure` as SVG text and, with `png`, as PNG bytes (else empty)."""
    with figure_style(), warnings.catch_warnings():
        # A name may use any script; a browser finds a font for it where matplotlib has none.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        warnings.filterwarnings("ignore", message="Matplotlib currently does not support")
        drawing = figure.draw()
        text = io.StringIO()
        drawing.savefig(text, format="svg", metadata={"Date": None, "Creator": "varprop"})
        picture = io.BytesIO()
        if png:
            drawing.savefig(picture, format="png", metadata={"Software": "varprop"})
    return text.getvalue(), picture.getvalue()


def inline(svg: str, name: str) -> str:
    """Return the ``<svg>`` element for a page: in the page's colours, with ids no other figure has."""
    body = re.sub(r"<metadata>.*?</metadata>\s*", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    body = _TAG.sub(lambda tag: _adapted(tag[0], name), body)
    return body.strip()


def natural_width(svg: str) -> float:
    """Return the width in pixels at which the figure's text has the size it was drawn for."""
    found = _WIDTH.search(svg)
    return float(found[1]) * 4 / 3 if found else 800.0


def _adapted(tag: str, name: str) -> str:
    if tag.startswith("<svg"):  # the page sets the size
        tag = re.sub(r'\s(width|height|version)="[^"]*"', "", tag)
    for before, after in (
        ('id="', f'id="{name}-'),
        ('href="#', f'href="#{name}-'),
        ("url(#", f"url(#{name}-"),
    ):
        tag = tag.replace(before, after)
    for color, variable in _THEME.items():
        tag = tag.replace(color, variable)
    return tag
