"""What may serve as a name.

A name is a *label*: any printable text of 1 to 200 characters, HTML, ``$``, a leading ``_`` and ``../x``
included, because it is escaped wherever it is shown and never used as a path. Control and invisible
characters and longer texts are refused with one line. Where a file is to be called after a label,
`file_stem` makes the name of that file.
"""

from __future__ import annotations

import hashlib
import re

from varprop._validation import InputError

LONGEST_LABEL = 200


def check_label(field: str, value: object, *, empty: bool = False) -> str:
    """Return `value` if it is a label (or, with `empty`, the empty text).

    Raises
    ------
    InputError
        If `value` is no text, blank, longer than 200 characters, or has characters that cannot be printed.

    Examples
    --------
    >>> check_label("name", "<b>he</b> $2$")
    '<b>he</b> $2$'
    """
    if isinstance(value, str) and value == "" and empty:
        return value
    if (
        not isinstance(value, str)
        or not value.strip()
        or len(value) > LONGEST_LABEL
        or not value.isprintable()
    ):
        raise InputError(field, value, f"printable text of 1 to {LONGEST_LABEL} characters")
    return value


def file_stem(label: str) -> str:
    """Return a harmless file name for `label`: letters, digits, ``-`` and ``_`` of ASCII, at most 60 long.

    A label that is such a name already is returned as it stands; any other gets eight digits of its hash, so
    that different labels give different files.

    Examples
    --------
    >>> file_stem("he_normal")
    'he_normal'
    >>> file_stem("../x")
    'x-d6b96a97'
    """
    if re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,59}", label, re.ASCII):
        return label
    kept = re.sub(r"[^a-z0-9_]+", "-", label.lower(), flags=re.ASCII).strip("-_")[:50].rstrip("-_")
    mark = hashlib.sha256(label.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{kept}-{mark}" if kept else mark
