"""Run the command line within the process, with everything that leaves it."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass

from varprop.cli import main


@dataclass(frozen=True)
class Outcome:
    """Exit code, standard output and standard error."""

    code: int
    out: str
    err: str


class _Stream(io.TextIOWrapper):
    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", write_through=True)

    def text(self) -> str:
        self.flush()
        return self.buffer.getvalue().decode("utf-8")  # type: ignore[attr-defined, no-any-return]


def run(*arguments: str) -> Outcome:
    """Run ``varprop`` with these arguments."""
    out, err = _Stream(), _Stream()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(arguments)
        except SystemExit as end:
            code = int(end.code or 0)
    return Outcome(code, out.text(), err.text())


def refused(*arguments: str) -> str:
    """Run what must be refused as bad input, and return the one line that says why."""
    outcome = run(*arguments)
    assert outcome.code == 2, outcome
    assert outcome.out == ""
    lines = outcome.err.splitlines()
    assert len(lines) == 1, outcome.err
    assert lines[0].isprintable()
    assert len(lines[0]) < 700
    return lines[0]
