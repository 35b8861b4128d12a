"""What a report consists of, before it is HTML or Markdown: plain frozen data, all text unescaped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from varprop.plots.style import Look


@dataclass(frozen=True)
class Paragraph:
    """Running text."""

    kind: ClassVar[str] = "paragraph"
    text: str


@dataclass(frozen=True)
class Figure:
    """A picture with the one sentence that says what to see.

    Attributes
    ----------
    name : str
        Stem of its files; made by us, never by a user.
    title : str
        What it shows.
    sees : str
        What to see in it, one sentence.
    alt : str
        The picture in words, for those who do not see it.
    draw : callable
        Draws it anew, within the house style.
    filed : bool
        Whether it also becomes files of its own.
    """

    kind: ClassVar[str] = "figure"
    name: str
    title: str
    sees: str
    alt: str
    draw: Callable[[], Drawing]
    filed: bool = True


@dataclass(frozen=True)
class Table:
    """A table of ready text.

    Attributes
    ----------
    title : str
    columns : tuple of str
    rows : tuple of tuple of str
    numeric : tuple of bool
        Which columns hold numbers, to be aligned right.
    folded : bool
        Whether a page shows it only on request.
    note : str
        A sentence below.
    """

    kind: ClassVar[str] = "table"
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[bool, ...] = ()
    folded: bool = False
    note: str = ""


@dataclass(frozen=True)
class Finding:
    """The verdict on one case.

    Attributes
    ----------
    name : str
        The case as it is called within its card.
    look : Look
        How it is drawn, so that the list of findings is the key to the picture.
    mood : {"good", "bad", "open"}
        Decides the badge's colour.
    badge : str
        Two or three words.
    sentence : str
    """

    name: str
    look: Look
    mood: str
    badge: str
    sentence: str


@dataclass(frozen=True)
class Card:
    """A picture and the findings that belong to it, with what to change."""

    title: str
    subtitle: str
    figure: Figure
    findings: tuple[Finding, ...]
    advice: str = ""


@dataclass(frozen=True)
class Share:
    """One part of the headline's bar."""

    name: str
    count: int
    color: str


Block = Paragraph | Figure | Table


@dataclass(frozen=True)
class Section:
    """A headed part."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Document:
    """A whole report.

    Attributes
    ----------
    title : str
    question : str
        What was asked.
    headline : str
        The answer in one sentence.
    shares : tuple of Share
        How many rows got which verdict.
    cards : tuple of Card
        The first screen.
    overview : tuple of Figure
        The cards' pictures in one, for renderers without cards.
    sections : tuple of Section
    colophon : tuple of (name, value)
        How the report was made.
    """

    title: str
    question: str
    headline: str
    shares: tuple[Share, ...]
    cards: tuple[Card, ...]
    overview: tuple[Figure, ...]
    sections: tuple[Section, ...]
    colophon: tuple[tuple[str, str], ...] = ()

    def figures(self) -> tuple[Figure, ...]:
        """Return all figures, each once, in reading order."""
        inside = (b for s in self.sections for b in s.blocks if isinstance(b, Figure))
        return tuple(dict.fromkeys([*self.overview, *(c.figure for c in self.cards), *inside]))
