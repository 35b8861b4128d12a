"""Medians, ratios and their spread, as Markdown and CSV."""

from __future__ import annotations

import csv
import io
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from varprop._files import write_atomic

REFERENCES = ("NumPy, plain", "PyTorch", "the model alone")

STANDARD = "width 1000, depth 20, B = {}"
LAW = "{} weights, width 1000, depth 20, B = 1"
# (group, contender, reference, times faster at least)
CLAIMS = [
    (STANDARD.format(1), "varprop, conditional", "PyTorch", 250),
    (STANDARD.format(1), "varprop, conditional", "NumPy, plain", 700),
    (STANDARD.format(32), "varprop, conditional", "PyTorch", 12),
    (STANDARD.format(32), "varprop, conditional, 2 threads", "PyTorch", 12),
    (STANDARD.format(32), "varprop, conditional, 2 processes", "PyTorch", 20),
    ("width 10000, depth 5, B = 1", "varprop, conditional", "NumPy, plain", 4000),
    (LAW.format("orthogonal"), "varprop, conditional", "PyTorch", 1000),
    (LAW.format("uniform"), "varprop, dense", "PyTorch", 1.7),
    (LAW.format("truncated"), "varprop, dense", "PyTorch", 5),
]


@dataclass(frozen=True)
class Timing:
    """One contender in one group.

    Attributes
    ----------
    group, name : str
    unit : str
        What one piece of work is ("200 draws").
    seconds : tuple of float
        Per round, for `work` pieces.
    work : float
        Pieces of work done in a round; times are divided by it.
    memory : float or None
        Peak resident MiB of a process that does nothing else.
    note : str
    """

    group: str
    name: str
    unit: str
    seconds: tuple[float, ...]
    work: float = 1.0
    memory: float | None = None
    note: str = ""

    def quartiles(self) -> tuple[float, float, float]:
        """Return lower quartile, median and upper quartile of the seconds per piece of work."""
        each = [s / self.work for s in self.seconds]
        low, high = np.quantile(each, [0.25, 0.75])
        return float(low), statistics.median(each), float(high)


def ratio(of: Timing, to: Timing) -> tuple[float, float, float]:
    """Return how many times faster `of` is than `to`: the ratio of medians, and a range.

    The range is the quartiles of the ratios turn by turn where both took as many turns, else what the quartiles of
    the seconds allow.
    """
    (low, middle, high), (below, centre, above) = of.quartiles(), to.quartiles()
    least, most = below / high, above / low
    if len(of.seconds) == len(to.seconds) > 2:
        each = [t / o * of.work / to.work for o, t in zip(of.seconds, to.seconds, strict=True)]
        least, most = (float(q) for q in np.quantile(each, [0.25, 0.75]))
    return least, centre / middle, most


def claims(timings: Sequence[Timing]) -> list[str]:
    """Return a table of the ratios that are promised and those found, as far as they were measured."""
    found = {(t.group, t.name): t for t in timings}
    lines = []
    for group, name, reference, least in CLAIMS:
        if (group, name) in found and (group, reference) in found:
            low, middle, high = ratio(found[group, name], found[group, reference])
            verdict = "yes" if middle >= least else "no"
            lines.append(
                f"| {group} | {name} | {reference} | {least} | {middle:.3g} ({low:.3g}–{high:.3g}) | {verdict} |"
            )
    if not lines:
        return []
    head = "| workload | contender | times faster than | promised | measured | kept |"
    return ["", "## Promises", "", head, "|---" * 6 + "|", *lines]


def write_summary(timings: Sequence[Timing], folder: Path) -> None:
    """Write ``summary.md`` and ``summary.csv`` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        "# Benchmarks",
        "",
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"NumPy {np.__version__}, {platform.system()}.",
        "Median seconds, quartiles in brackets; ratios of medians in this one run, with the quartiles of the ratios "
        "turn by turn. Contenders work alone in a process, in turns; memory is that process's peak. PyTorch takes "
        "the better of one and two threads.",
    ]
    lines += claims(timings)
    rows: list[dict[str, object]] = []
    for group in dict.fromkeys(t.group for t in timings):
        members = [t for t in timings if t.group == group]
        references = [t for t in members if t.name in REFERENCES]
        heads = ["", f"seconds per {members[0].unit}".rstrip(" per"), *(f"× {r.name}" for r in references)]
        heads += ["MiB"] * any(m.memory is not None for m in members) + ["note"] * any(
            m.note for m in members
        )
        lines += ["", f"## {group}", "", f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
        for member in members:
            low, middle, high = member.quartiles()
            cells = [member.name, f"{middle:.3g} ({low:.3g}–{high:.3g})"]
            row = {"group": group, "name": member.name, "unit": member.unit, "seconds": middle}
            row |= {"low": low, "high": high, "rounds": len(member.seconds), "memory_mib": member.memory}
            for reference in references:
                least, between, most = ratio(member, reference)
                cells.append(f"{between:.3g} ({least:.3g}–{most:.3g})")
                row[f"times faster than {reference.name}"] = between
            if "MiB" in heads:
                cells.append("" if member.memory is None else f"{member.memory:.0f}")
            if "note" in heads:
                cells.append(member.note)
            rows.append(row | {"note": member.note})
            lines.append(f"| {' | '.join(cells)} |")
    write_atomic(folder / "summary.md", "\n".join(lines) + "\n")
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomic(folder / "summary.csv", text.getvalue())
