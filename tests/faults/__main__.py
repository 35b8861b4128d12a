"""Every kind of fault at large, and a dated table of what became of them: ``make faults``."""

from __future__ import annotations

import argparse
import datetime as dt
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.faults import damage, disks, processes
from tests.faults.tally import Tally
from varprop._files import write_atomic

HEADER = """# Faults

Made by `make faults` on {date} ({machine}; {seconds:.0f} s). A fault is *noticed* if varprop says so; one that is not
has changed nothing that varprop gives out: every table and digest was compared with that of an undisturbed run. *Lost
or wrong* counts blocks or reports that were lost, other numbers, processes left behind, tracebacks.

| fault | tried | noticed | by | lost or wrong |
| --- | ---: | ---: | --- | ---: |
"""


def campaign(scale: float) -> Iterator[tuple[str, Callable[[Path], Tally]]]:
    """Yield every kind with its name, `scale` times as often as at large."""

    def n(full: int) -> int:
        return max(4, round(full * scale))

    yield "flips", lambda folder: damage.flip_bits(folder, n(150))
    yield "cuts", lambda folder: damage.cut_files(folder, n(40))
    yield "edits", damage.edit_records
    yield "workers", lambda _: processes.kill_workers(n(30))
    yield "stops", lambda _: processes.stop_workers(n(10))
    yield "together", lambda folder: processes.run_at_once(folder, n(10))
    if disks.can_mount():
        yield "full", lambda folder: disks.fill_disks(folder, n(30))
        yield "frozen", disks.freeze_disks
    yield "parents", lambda folder: processes.kill_parents(folder, n(100))


def main() -> int:
    """Run the campaign, write the table, and return 1 if anything was lost or wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, help="the table, a Markdown file")
    parser.add_argument("--scale", type=float, default=1.0, help="of the numbers of faults")
    parser.add_argument("--reports", type=int, default=60, help="kills while a report is written")
    chosen = parser.parse_args()
    start, problems, rows = time.monotonic(), 0, []
    for name, inject in campaign(chosen.scale):
        with tempfile.TemporaryDirectory(prefix=f"varprop-{name}-") as folder:
            tally = inject(Path(folder))
        by = ", ".join(f"{who} {times}" for who, times in sorted(tally.by.items()))
        rows.append(f"| {tally.fault} | {tally.tried} | {tally.noticed} | {by} | {len(tally.problems)} |")
        problems += len(tally.problems)
        print(rows[-1], *tally.problems, sep="\n", flush=True)
    lines = []
    if chosen.reports:
        from tests.reporting.killable import table

        lines = ["", "Faults while a report is written:", "", *table(chosen.reports, 5)]
    made = HEADER.format(
        date=dt.datetime.now(dt.UTC).strftime("%Y-%m-%d"),
        machine=f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        seconds=time.monotonic() - start,
    )
    write_atomic(chosen.output, made + "\n".join([*rows, *lines, ""]))
    return int(problems > 0)


if __name__ == "__main__":
    sys.exit(main())
