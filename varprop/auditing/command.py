"""What ``varprop audit`` does, without the command line: find the factory, audit, advise, write."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from varprop._code import code_from_text, import_named, working_folder_on_path
from varprop._random import generator
from varprop._validation import InputError, check_integer, printable
from varprop.auditing.document import audit_document
from varprop.auditing.public import audit
from varprop.diagnosis import Diagnosis, changes, diagnose_one, judge, only_case, torch_lines

if TYPE_CHECKING:
    import pandas as pd

    from varprop.reporting.folder import Claim

FILES = ("report.html", "report.md", "audit.csv", "changes.csv", "changes.py", "provenance.json", "figures")
"""What an audit's folder holds."""

_PLACE = re.compile(r"(?P<module>[A-Za-z_][\w.]*):(?P<name>[A-Za-z_][\w.]*)", re.ASCII)
_LARGEST = 100_000_000


@dataclass(frozen=True)
class Outcome:
    """What an audit from the command line found.

    Attributes
    ----------
    table : DataFrame
    diagnosis : Diagnosis
    changes : DataFrame
    lines : str
        Code that makes the changes.
    after : Diagnosis or None
        Of the dry run with the changes; None if there is nothing to change.
    page : Path or None
        The report, if one was written.
    """

    table: pd.DataFrame
    diagnosis: Diagnosis
    changes: pd.DataFrame
    lines: str
    after: Diagnosis | None
    page: Path | None = None

    def exit_code(self, strict: bool) -> int:
        """Return 1 for an unhealthy model under `strict`, else 0."""
        return int(strict and self.diagnosis.health == "unhealthy")


def run_command(
    place: str,
    shape: str,
    *,
    tokens: int | None = None,
    draws: int = 20,
    seed: int = 0,
    mode: str | None = None,
    batch_axis: int = 0,
    output: str | os.PathLike[str] | None = None,
    force: bool = False,
) -> Outcome:
    """Audit the model that ``package.module:factory`` builds on random inputs of a stated shape.

    Parameters
    ----------
    place : str
        ``package.module:name`` of a function that builds the model, or of a model.
    shape : str
        Shape of the input batch, e.g. ``32x3x64x64``.
    tokens : int, optional
        Vocabulary size: the inputs are uniform whole numbers below it. Otherwise they are N(0, 1).
    draws, seed, mode, batch_axis
        See `varprop.audit`.
    output : path, optional
        Folder for the report.
    force : bool
        Whether a former report there may be replaced.

    Raises
    ------
    InputError
        A place that cannot be imported, a shape that is none, or what `varprop.audit` refuses.
    """
    started = time.perf_counter()
    if output is None:
        return _outcome(place, shape, tokens, draws, seed, mode, batch_axis)
    from varprop.reporting.folder import claimed_folder

    with claimed_folder(output, force=force) as claim:
        outcome = _outcome(place, shape, tokens, draws, seed, mode, batch_axis)
        facts = {
            "place": place,
            "input": shape,
            "tokens": tokens,
            "seconds": {"audit": round(time.perf_counter() - started, 3)},
        }
        return replace(outcome, page=write_audit(outcome, claim, facts))


def _outcome(
    place: str,
    shape: str,
    tokens: int | None,
    draws: int,
    seed: int,
    mode: str | None,
    batch_axis: int,
) -> Outcome:
    model = find_model(place)
    inputs = random_inputs(shape, tokens, seed)
    options: dict[str, Any] = {"draws": draws, "seed": seed, "mode": mode, "batch_axis": batch_axis}
    table = audit(model, inputs, **options)
    rows = only_case(table)
    found = judge(rows)
    suggested = changes(rows, found)
    lines = torch_lines(suggested) if table.attrs["framework"] == "torch" else ""
    makes = bool(suggested["suggested"].notna().any())
    after = diagnose_one(audit(model, inputs, changes=suggested, **options)) if makes else None
    return Outcome(table, found, suggested, lines, after)


def find_model(place: str) -> Callable[[], Any] | Any:
    """Import ``package.module:name``, which executes the module.

    The working directory comes first on the path, as for a script.

    Raises
    ------
    InputError
        If the text is no such place, or module or name do not exist. An error inside the module itself is
        one too, in one line.
    """
    if _PLACE.fullmatch(place) is None:
        raise InputError("model", place, "package.module:factory")
    with code_from_text(True), working_folder_on_path(first=True):  # a model is code by its nature
        return import_named(place, "model")


def random_inputs(shape: str, tokens: int | None, seed: int) -> np.ndarray:
    """Return N(0, 1) inputs, or uniform tokens, of a shape such as ``32x3x64x64``.

    Examples
    --------
    >>> random_inputs("4x3", None, 0).shape, bool(random_inputs("2x5", 10, 0).max() < 10)
    ((4, 3), True)
    """
    if not re.fullmatch(r"[1-9]\d{0,8}(x[1-9]\d{0,8}){0,7}", shape):
        raise InputError("input", shape, "sizes joined by x, such as 32x3x64x64")
    sizes = tuple(int(size) for size in shape.split("x"))
    if np.prod(sizes, dtype=np.float64) > _LARGEST:
        raise InputError("input", shape, f"at most {_LARGEST} numbers")
    rng = generator(seed, 0, 1)
    if tokens is not None:
        return rng.integers(check_integer("tokens", tokens, minimum=1), size=sizes, dtype=np.int64)
    return rng.standard_normal(sizes, dtype=np.float32)


def write_audit(outcome: Outcome, claim: Claim, facts: dict[str, Any]) -> Path:
    """Write the report of an audit into the claimed folder; it appears whole or not at all."""
    import platform

    import varprop
    from varprop.reporting.html import to_html
    from varprop.reporting.markdown import to_markdown
    from varprop.reporting.render import render
    from varprop.reporting.tables import to_csv

    document = audit_document(outcome.table, outcome.diagnosis, outcome.changes, outcome.lines, outcome.after)
    attrs = outcome.table.attrs
    facts = {
        "varprop": varprop.__version__, **facts, "draws": attrs["draws"], "seed": attrs["seed"],
        "framework": attrs["framework"], "healthy": outcome.diagnosis.healthy, "health": outcome.diagnosis.health,
        "verdict": outcome.diagnosis.sentences(), "python": platform.python_version(), "platform": platform.platform(),
    }  # fmt: skip
    colophon = tuple(
        (key, str(facts[key])) for key in ("varprop", "draws", "seed", "framework", "python", "platform")
    )
    document = replace(document, colophon=colophon)
    files: dict[str, str | bytes] = {}
    svgs = {}
    for figure in document.figures():
        svgs[figure.name], png = render(figure, png=figure.filed)
        if figure.filed:
            files[f"figures/{figure.name}.svg"] = svgs[figure.name]
            files[f"figures/{figure.name}.png"] = png
    files["report.html"] = to_html(document, svgs)
    files["report.md"] = to_markdown(document)
    files["audit.csv"] = to_csv(outcome.table)
    files["changes.csv"] = to_csv(outcome.changes)
    if outcome.lines:
        files["changes.py"] = f"{outcome.lines}\n"
    claim.publish(files, facts)
    return claim.target / "report.html"


def terminal_lines(outcome: Outcome, width: int = 100) -> list[str]:
    """Return the outcome as plain lines: the verdict, then the suggestions, then what they would do."""
    shown = list(outcome.diagnosis.sentences())
    shown += [f"note: {note}" for note in outcome.table.attrs["notes"]]
    for row in outcome.changes.head(20).to_dict("records"):
        name = f"{row['module']}.{row['parameter']}".rstrip(".")
        shown.append(f"{name}: std {row['now']:.4g} -> {row['suggested']:.4g}  {row['rule']}")
    more = len(outcome.changes) - 20
    if more > 0:
        shown.append(f"… and {more} more")
    if outcome.after is not None:
        shown.append("with these changes: " + "; ".join(outcome.after.sentences()))
    lines = [printable(line) for line in shown]  # modules of a model may be called anything
    return [line if len(line) <= width else f"{line[: width - 1]}…" for line in lines]
