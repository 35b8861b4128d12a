"""``--summary FOLDER`` writes ``summary.md`` and ``summary.csv`` after a run of the benchmarks."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from tests.benchmarks.summary import Timing, write_summary


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option; pytest knows it when this folder is named on the command line."""
    parser.addoption("--summary", type=Path, help="folder for the summary of the benchmarks")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Collect what pytest-benchmark has measured in this folder."""
    folder = session.config.getoption("--summary", None)
    recorded = getattr(session.config, "_benchmarksession", None)
    timings: dict[tuple[str, str], Timing] = {}
    each = [
        Timing(
            group=bench.group or "",
            name=bench.extra_info.get("name", bench.name),
            unit=bench.extra_info.get("unit", ""),
            seconds=tuple(bench.stats.data),
            work=bench.extra_info.get("work", 1.0),
            memory=bench.extra_info.get("memory"),
            note=bench.extra_info.get("note", ""),
        )
        for bench in getattr(recorded, "benchmarks", ())
        if bench.stats.data
    ]
    # Contenders take turns, so that a busy spell of the machine meets all of them; a name's turns belong together.
    for timing in each:
        first = timings.get((timing.group, timing.name), timing)
        seconds = timing.seconds if first is timing else first.seconds + timing.seconds
        memory = max((m for m in (first.memory, timing.memory) if m is not None), default=None)
        timings[timing.group, timing.name] = dataclasses.replace(first, seconds=seconds, memory=memory)
    if timings and folder is not None:
        write_summary(list(timings.values()), folder)
