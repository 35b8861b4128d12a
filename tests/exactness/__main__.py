"""``make battery``: hold theory's exact rows against the referee at large, and write a dated table.

    python -m tests.exactness --networks 400 --seed 1 --out reports/exactness

``--change 0.03`` multiplies every prediction by 1.03 (a test of the battery's power), ``--null`` takes a large run of
the referee itself as the prediction (a test of its false alarms); nothing is written without ``--out``.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from tests.exactness.battery import Finding, exact_rows, examine, failures, predictions
from tests.exactness.networks import describe, random_case
from tests.exactness.referee import Case, Row, draw
from tests.exactness.summary import Counted, write_summary


def main(arguments: list[str] | None = None) -> int:
    """Run the battery; exit code 1 if a row fails or a network has no prediction."""
    parser = argparse.ArgumentParser(prog="python -m tests.exactness", description=__doc__)
    parser.add_argument("--networks", type=int, default=400)
    parser.add_argument("--first", type=int, default=0, help="number of the first network")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--draws", type=int, default=12_000, help="of every network")
    parser.add_argument("--fresh", type=int, default=200_000, help="of a network with a doubtful row")
    parser.add_argument("--change", type=float, default=0.0, help="relative error put into every prediction")
    parser.add_argument("--null", action="store_true", help="predict by the referee")
    parser.add_argument("--out", type=Path, help="folder for summary.md, rows.csv")
    given = parser.parse_args(arguments)
    start, counted, findings, refused = time.perf_counter(), [], [], []
    for number in range(given.first, given.first + given.networks):
        drawn = random_case(given.seed, number)
        try:
            table = predictions(drawn.case)
        except Exception as error:  # whatever it is, it is reported and the run goes on
            refused.append(f"{drawn.case.name}: {type(error).__name__}: {error}\n    {describe(drawn.case)}")
            print(refused[-1], flush=True)
            continue
        rows = exact_rows(table)
        if given.null:
            rows = _by_referee(drawn.case, rows, 20 * given.draws)
        rows = {row: value * (1.0 + given.change) for row, value in rows.items()}
        found = examine(drawn.case, rows, given.draws, given.fresh, given.seed * 1_000_003 + number)
        counted.append(Counted(drawn, table, found))
        findings += found
        _tell(drawn.case, failures(found))
    bad = failures(findings)
    seconds = time.perf_counter() - start
    print(f"{len(counted)} networks, {len(findings)} exact rows, {len(bad)} refuted, {seconds:.0f} s")
    if given.out is not None:
        write_summary(given.out, given, counted, bad, refused, seconds)
    return int(bool(bad or refused))


def _by_referee(case: Case, rows: dict[Row, float], draws: int) -> dict[Row, float]:
    found = draw(case, draws, [3, len(rows)], set(rows))
    return {row: float(x.mean()) for row, x in found.items()}


def _tell(case: Case, bad: list[Finding]) -> None:
    if bad:
        print(f"{case.name}: {describe(case)}", flush=True)
    for finding in bad:
        j = finding.judgement
        print(
            f"    {finding.row}: predicted {finding.predicted:.6g}, drawn {j.measured:.6g} ± {j.error:.2g} "
            f"({j.how}, p = {j.p:.1g})",
            flush=True,
        )


if __name__ == "__main__":
    sys.exit(main())
