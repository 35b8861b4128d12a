"""A document as Markdown, with its figures as files beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from varprop.plots.labels import plain
from varprop.reporting.document import Figure, Paragraph, Table
from varprop.reporting.tables import starts_a_formula

if TYPE_CHECKING:
    from varprop.reporting.document import Document

_LEADING = re.compile(r"^(\s*)([=+\-@])")
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|$~!&])")


def to_markdown(document: Document, folder: str = "figures") -> str:
    """Return the report as Markdown; figures are linked as ``folder/name.svg``."""
    return "\n\n".join(_parts(document, folder)) + "\n"


def escape(text: str) -> str:
    r"""Return `text` so that Markdown shows it letter by letter, and a spreadsheet too; a number stays as it is.

    Examples
    --------
    >>> print(escape("he_normal <b>"), escape("=1+1"), escape("-1.5"))
    he\_normal \<b\> \=1+1 -1.5
    """
    line = _SPECIAL.sub(r"\\\1", text)
    return _LEADING.sub(r"\1\\\2", line, count=1) if starts_a_formula(text) else line


def _parts(document: Document, folder: str) -> Iterator[str]:
    yield f"# {escape(document.title)}"
    yield escape(document.question)
    yield f"**{escape(document.headline)}**"
    for figure in document.overview or tuple(card.figure for card in document.cards):
        if figure.filed:
            yield _figure(figure, folder)
    for card in document.cards:
        yield f"## {escape(card.title)}\n\n{escape(card.subtitle)}"
        rows = tuple((f.name, f.badge, f.sentence) for f in card.findings)
        yield _table(Table("", ("initializer", "in short", "verdict"), rows))
        if card.advice:
            yield escape(card.advice)
    for section in document.sections:
        yield f"## {escape(section.title)}"
        for block in section.blocks:
            if isinstance(block, Paragraph):
                yield escape(block.text)
            elif isinstance(block, Figure):
                yield f"### {escape(block.title)}\n\n{_figure(block, folder)}"
            else:
                yield f"### {escape(block.title)}\n\n{_table(block)}"
                if block.note:
                    yield escape(block.note)
    yield "## How this was made"
    yield "\n".join(f"- {escape(name)}: {escape(value)}" for name, value in document.colophon)


def _figure(figure: Figure, folder: str) -> str:
    return f"![{escape(figure.alt)}]({folder}/{figure.name}.svg)\n\n*{escape(figure.sees)}*"


def _table(table: Table) -> str:
    numeric = table.numeric or (False,) * len(table.columns)
    lines = [_line(table.columns), _line(["--:" if n else ":--" for n in numeric], raw=True)]
    return "\n".join([*lines, *(_line(row) for row in table.rows)])


def _line(cells: tuple[str, ...] | list[str], raw: bool = False) -> str:
    return f"| {' | '.join(cells if raw else [escape(plain(cell)) for cell in cells])} |"
