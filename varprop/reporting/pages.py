"""A page of the gallery: one question, its answer in words, pictures with the numbers behind them.

An analysis hands `publish` the page's text, figures and tables, or builds a `Page` step by step; it becomes
``reports/<name>/`` with a README.md, one PNG and one CSV a figure, one CSV a table, and ``page.json``, which the
gallery's index is made from.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from varprop._validation import InputError, described
from varprop.plots.labels import plain
from varprop.plots.style import figure_style
from varprop.reporting.folder import claimed_folder
from varprop.reporting.markdown import escape
from varprop.reporting.record import read_record
from varprop.reporting.tables import harmless

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

CARD = "page.json"
_DPI = 110
_THUMBNAIL = 360
_LONGEST = 40


@dataclass
class Page:
    """A page under construction; every method returns nothing and adds to the end.

    Parameters
    ----------
    name : str
        Folder name: letters, digits and underscores.
    title : str
    question : str
        What the page asks, one sentence.
    answer : str
        What it finds, one sentence; it stands beside the thumbnail in the gallery.
    """

    name: str
    title: str
    question: str
    answer: str = ""
    _parts: list[str] = field(default_factory=list)
    _files: dict[str, str | bytes] = field(default_factory=dict)
    _first: str = ""

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise InputError("name", self.name, "letters, digits and underscores")

    def say(self, *paragraphs: str) -> None:
        """Add paragraphs of Markdown."""
        self._parts += paragraphs

    def head(self, title: str) -> None:
        """Start a section."""
        self._parts.append(f"## {title}")

    def figure(
        self,
        name: str,
        draw: Callable[[], Figure],
        *,
        sees: str,
        alt: str,
        data: pd.DataFrame,
    ) -> None:
        """Add a picture.

        Parameters
        ----------
        name : str
            Stem of its files.
        draw : callable
            Draws it, within the house style.
        sees : str
            What to see in it, one sentence.
        alt : str
            The picture in words.
        data : DataFrame
            The numbers that are drawn; written beside it as CSV.
        """
        import matplotlib.pyplot as plt

        with figure_style():
            drawing = draw()
            self._files[f"{name}.png"] = _png(drawing, _DPI)
            if not self._first:
                self._first = name
                width = float(drawing.get_size_inches()[0])
                self._files["thumbnail.png"] = _png(drawing, _THUMBNAIL / width)
            plt.close(drawing)
        self._files[f"{name}.csv"] = _csv(data)
        self._parts.append(f"![{escape(alt)}]({name}.png)\n\n*{sees}* ([numbers]({name}.csv))")

    def table(self, name: str, frame: pd.DataFrame, note: str = "") -> None:
        """Add a table, whole as CSV and, up to 40 rows, on the page."""
        self._files[f"{name}.csv"] = _csv(frame)
        shown = frame.head(_LONGEST)
        more = f" The first {_LONGEST} of {len(frame)} rows." if len(frame) > _LONGEST else ""
        self._parts.append(f"{_markdown(shown)}\n\n{note}{more} ([all numbers]({name}.csv))".rstrip())

    def write(self, root: str | os.PathLike[str] = "reports") -> Path:
        """Write the page's folder, whole or not at all, and return the path of its README.

        It takes the place of a former page.

        Raises
        ------
        InputError
            If the folder holds a file that no page wrote or that has been edited, or cannot be written.
        """
        card = {"name": self.name, "title": self.title, "answer": self.answer}
        text = [f"# {self.title}", f"*{self.question}*", f"**{self.answer}**", *self._parts]
        source = f"../../analyses/{self.name}.py"
        text.append(f"---\n\nMade by [analyses/{self.name}.py]({source}); `make gallery` makes it anew.")
        self._files["README.md"] = "\n\n".join(text) + "\n"
        with claimed_folder(Path(root) / self.name, force=True, record=CARD) as claim:
            claim.publish(self._files, card)
            return claim.target / "README.md"


def publish(name: str, text: str, root: str | os.PathLike[str] = "reports", **parts: Any) -> Path:
    r"""Write the page that `text` describes and return the path of its README.

    Parameters
    ----------
    name : str
        Folder name.
    text : str
        Markdown in paragraphs. The first three are ``# Title``, ``*question*`` and ``**answer**``. A paragraph
        that begins with ``![words](part)`` is a figure, the words being its alternative text and the rest what
        to see in it; one that begins with ``[part]`` is a table, the rest being its note; ``## …`` is a section.
        These beginnings need no empty line before them.
    root : path
        Where the page's folder goes.
    **parts
        For each figure a pair (function that draws it, DataFrame of the numbers that are drawn), for each table
        a DataFrame.

    Raises
    ------
    InputError
        If the text does not begin as it should, or text and parts do not name the same things.

    Examples
    --------
    >>> import tempfile
    >>> import pandas as pd
    >>> text = "# Two\n\n*What is two?*\n\n**One and one.**\n\n[sums] The only one."
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     print(publish("two", text, folder, sums=pd.DataFrame({"a": [1], "b": [1]})).read_text()[:33])
    # Two
    <BLANKLINE>
    *What is two?*
    <BLANKLINE>
    **One and
    """
    apart = re.sub(r"(?m)^(#+ .*)$", r"\n\1\n", re.sub(r"(?m)^(?=!\[|\[\w+\]|\*)", "\n", text))
    blocks = [" ".join(block.split()) for block in re.split(r"\n\s*\n", apart.strip())]
    head = re.fullmatch(r"# (.+?)\n\*(.+?)\*\n\*\*(.+?)\*\*", "\n".join(blocks[:3]))
    if head is None:
        raise InputError(
            "text", described("another beginning"), "# Title, *question*, **answer**, then the rest"
        )
    page = Page(name, head[1], head[2], head[3])
    left = dict(parts)
    for block in blocks[3:]:
        found = re.match(r"!\[([^]]+)\]\((\w+)\)\s*|\[()(\w+)\](?!\()\s*", block)
        if found is None:
            page.head(block[3:]) if block.startswith("## ") else page.say(block)
            continue
        part, rest = found[2] or found[4], block[found.end() :]
        if part not in left:
            raise InputError("text", part, f"one of the parts, each once: {', '.join(parts)}")
        if found[2]:
            draw, data = left.pop(part)
            page.figure(part, draw, sees=rest, alt=found[1], data=data)
        else:
            page.table(part, left.pop(part), rest)
    if left:
        raise InputError("parts", ", ".join(left), "parts that the text shows")
    return page.write(root)


def read_card(folder: Path) -> dict[str, Any] | None:
    """Return what a written page says of itself, or None if there is none."""
    record = read_record(folder, CARD)
    return None if record is None else {key: record[key] for key in ("name", "title", "answer")}


def index_text(cards: list[dict[str, Any]]) -> str:
    """Return the gallery's front page: a thumbnail and a sentence for each page, in the order given."""
    lines = [
        "# A short course in initialization, in pictures",
        "Each page asks one question, answers it with theory and simulation, and keeps the numbers behind every "
        "picture. Read from the top. `make gallery` makes all of it anew.",
        "| | |\n| --- | --- |",
    ]
    rows = [
        f"| [![{escape(c['title'])}]({c['name']}/thumbnail.png)]({c['name']}/README.md) "
        f"| **[{escape(c['title'])}]({c['name']}/README.md)**<br>{escape(c['answer'])} |"
        for c in cards
    ]
    return "\n\n".join(lines) + "\n" + "\n".join(rows) + "\n"


def _png(drawing: Figure, dpi: float) -> bytes:
    """Return the figure with at most 256 colours: plots need no more, and files shrink to a third."""
    from PIL import Image

    raw = io.BytesIO()
    drawing.savefig(raw, format="png", dpi=dpi, bbox_inches="tight", metadata={"Software": "varprop"})
    small = io.BytesIO()
    with Image.open(raw) as picture:
        picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(
            small, format="png", optimize=True
        )
    return small.getvalue()


def _csv(frame: pd.DataFrame) -> str:
    return harmless(frame).to_csv(index=False, float_format="%.8g", lineterminator="\n")


def _markdown(frame: pd.DataFrame) -> str:
    def cell(value: object) -> str:
        return f"{value:.4g}" if isinstance(value, float) else escape(plain(value))

    numeric = [kind.kind in "if" for kind in frame.dtypes]
    lines = [
        "| " + " | ".join(escape(plain(c)) for c in frame.columns) + " |",
        "| " + " | ".join("--:" if n else ":--" for n in numeric) + " |",
    ]
    lines += ["| " + " | ".join(cell(v) for v in row) + " |" for row in frame.itertuples(index=False)]
    return "\n".join(lines)
