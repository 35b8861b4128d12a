"""The table of a run of the battery: what was visited, what was judged, how finely, and what failed."""

from __future__ import annotations

import argparse
import csv
import datetime as dt
import io
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import ndtri

from tests.exactness.battery import Finding
from tests.exactness.judging import ALPHA, SCREEN
from tests.exactness.laws import parse
from tests.exactness.networks import Drawn, describe
from varprop._files import write_atomic

COLUMNS = ["network", "input", "exact", "one_over_n", "infinite", "approximate", "unpredicted"]
COLUMNS += ["unjudged", "again", "refuted", "description"]


@dataclass(frozen=True)
class Counted:
    """A network, theory's table for it, and what became of its exact rows."""

    drawn: Drawn
    table: pd.DataFrame
    findings: list[Finding]


def write_summary(
    folder: Path,
    given: argparse.Namespace,
    counted: list[Counted],
    bad: list[Finding],
    refused: list[str],
    seconds: float,
) -> None:
    """Write ``summary.md`` and ``rows.csv`` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    findings = [f for c in counted for f in c.findings]
    unjudged = sum(f.judgement.how == "unjudged" for f in findings)
    predicted = sum(int(c.table["value"].notna().sum()) for c in counted)
    today = dt.datetime.now(tz=dt.UTC).date()
    lines = [
        "# Exact rows against explicit networks",
        "",
        f"{today}. `make battery NETWORKS={given.networks} SEED={given.seed}`, "
        f"{seconds / 60:.0f} minutes on one core.",
        "",
        f"{len(counted)} random networks; {len(findings)} of {predicted} predicted rows are `exact`, and each of these "
        f"is held against networks drawn with explicit weights in plain NumPy. **{len(bad)} refuted**, {unjudged} "
        f"unjudged (few draws decide their mean), {len(refused)} networks without a prediction.",
        "",
        f"Every network is drawn {given.draws:,} times; rows with p below {SCREEN} are drawn {given.fresh:,} times "
        "anew, and those draws alone judge, by Holm's rule. "
        f"Family-wise false-alarm rate of the run: at most {ALPHA:.0%}.",
        "",
        f"An error of a row is caught in 95 of 100 runs if it is {_caught():.1f} standard errors of the first draws "
        "or more: "
        + ", ".join(f"{share:.0%} of the non-zero moments at {size:.0%}" for size, share in _power(findings))
        + ".",
        "",
        "## By quantity",
        "",
        *_table("quantity", counted, lambda c, f: [f.row[1]]),
        "",
        "## By activation of the layer",
        "",
        *_table("activation", counted, lambda c, f: [parse(c.drawn.case.layers[f.row[0] - 1].activation)[0]]),
        "",
        "## By weights of the layer",
        "",
        *_table("weights", counted, lambda c, f: [parse(c.drawn.case.layers[f.row[0] - 1].weights)[0]]),
        "",
        "## By biases of the layer",
        "",
        *_table("biases", counted, lambda c, f: [parse(c.drawn.case.layers[f.row[0] - 1].biases)[0]]),
        "",
        "## By input and head",
        "",
        *_table("input", counted, lambda c, f: [c.drawn.input]),
        "",
        *_table("head", counted, lambda c, f: [c.drawn.case.head]),
    ]
    if refused:
        lines += ["", "## Without a prediction", "", *(f"- `{line}`" for line in refused)]
    if bad:
        lines += ["", "## Refuted", ""]
        lines += [
            f"- {f.case.name} {f.row}: {f.predicted:.6g}, drawn {f.judgement.measured:.6g} ± {f.judgement.error:.2g}: "
            f"`{describe(f.case)}`"
            for f in bad
        ]
    write_atomic(folder / "summary.md", "\n".join(lines) + "\n")
    write_atomic(folder / "rows.csv", _rows(counted, bad))


def _caught() -> float:
    """Standard errors that fail the screen with probability 0.95; fresh draws then decide with room to spare."""
    return float(-ndtri(SCREEN / 2.0) + ndtri(0.95))


def _power(findings: Iterable[Finding]) -> list[tuple[float, float]]:
    ratios = np.array(
        [
            f.judgement.error / abs(f.predicted)
            for f in findings
            if f.predicted and not f.again and f.judgement.how == "mean" and not f.row[1].endswith("_mean")
        ]
    )
    return [(size, float(np.mean(ratios * _caught() <= size))) for size in (0.01, 0.03, 0.1)]


def _table(title: str, counted: list[Counted], key: Callable[[Counted, Finding], list[str]]) -> list[str]:
    """Return a table of networks, exact rows, unjudged and doubtful ones and the median standard error."""
    groups: dict[str, list[tuple[str, Finding]]] = defaultdict(list)
    for c in counted:
        for f in c.findings:
            for name in key(c, f):
                groups[name].append((c.drawn.case.name, f))
    lines = [
        f"| {title} | networks | exact rows | without randomness | unjudged | drawn again | median error |",
        "|---" * 7 + "|",
    ]
    for name in sorted(groups):
        found = [f for _, f in groups[name]]
        how = [f.judgement.how for f in found]
        errors = [
            f.judgement.error / abs(f.predicted) for f in found if f.predicted and f.judgement.how == "mean"
        ]
        lines.append(
            f"| {name} | {len({case for case, _ in groups[name]})} | {len(found)} | {how.count('fixed')} | "
            f"{how.count('unjudged')} | {sum(f.again for f in found)} | "
            f"{f'{np.median(errors):.2%}' if errors else ''} |"
        )
    return lines


def _rows(counted: list[Counted], bad: list[Finding]) -> str:
    """Return one line per network: what it is, how many rows theory gives with which label, what became of them."""
    refuted = {id(f) for f in bad}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for c in counted:
        orders = c.table["order"].value_counts()
        writer.writerow(
            [c.drawn.case.name, c.drawn.input]
            + [int(orders.get(name, 0)) for name in ("exact", "1/n", "infinite", "approximate", "")]
            + [sum(f.judgement.how == "unjudged" for f in c.findings), sum(f.again for f in c.findings)]
            + [sum(id(f) in refuted for f in c.findings), describe(c.drawn.case)]
        )
    return text.getvalue()
