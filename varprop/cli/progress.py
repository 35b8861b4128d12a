"""A bar on a terminal, nothing elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from varprop.montecarlo.progress import Report


@contextmanager
def terminal_progress() -> Iterator[Callable[[Report], None] | None]:
    """Lend a callable that shows how far a simulation is; None if standard error is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    from varprop.montecarlo.shown import words

    columns = (
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=1.0)

        def update(state: Report) -> None:
            bar.update(task, completed=state.fraction, description=words(state))

        yield update
