"""After a run with ``--benchmark-only``, writes ``reports/benchmarks/summary.md`` and ``summary.csv``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.summary import Timing, write_summary


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Collect what pytest-benchmark has measured in this folder."""
    recorded = getattr(session.config, "_benchmarksession", None)
    timings = [
        Timing(
            group=bench.group or "",
            name=bench.extra_info.get("name", bench.name),
            unit=bench.extra_info.get("unit", ""),
            seconds=tuple(time / bench.extra_info.get("divide", 1) for time in bench.stats.data),
            work=bench.extra_info.get("work", 1.0),
            memory=bench.extra_info.get("memory"),
            note=bench.extra_info.get("note", ""),
        )
        for bench in getattr(recorded, "benchmarks", ())
        if bench.stats.data
    ]
    if timings:
        write_summary(timings, Path(str(session.config.rootpath)) / "reports" / "benchmarks")
