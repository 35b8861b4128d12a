"""One place that makes any name fit to be shown.

A case may be called anything: HTML, dollar signs, a leading underscore, control characters, 5000 letters.
`plain` makes it one printable line, `short` cuts it, `label` also disarms what matplotlib would read into it.
HTML and Markdown escape on top of `short`, in their own renderers.
"""

from __future__ import annotations

from varprop._validation import cut, printable

SHORT = 48
"""Longest name shown in full where space is scarce; longer ones keep their beginning and their end."""


def plain(text: object) -> str:
    r"""Return `text` as one line in which every unprintable character is written out.

    Examples
    --------
    >>> print(plain("red\x1b[31m"))
    red\x1b[31m
    """
    return printable(str(text))


def short(text: object, limit: int = SHORT) -> str:
    """Return `plain` text of at most `limit` characters, cut in the middle.

    Examples
    --------
    >>> short("abcdefghij", limit=7)
    'abc…hij'
    """
    return cut(str(text), limit)


def label(text: object, limit: int = SHORT) -> str:
    r"""Return `short` text that matplotlib shows letter by letter.

    Dollar signs would start a formula, and a legend leaves out every entry that begins with an underscore.

    Examples
    --------
    >>> print(label("$x$"))
    \$x\$
    """
    line = short(text, limit).replace("$", r"\$")
    return f"\N{NO-BREAK SPACE}{line}" if line.startswith("_") else line
