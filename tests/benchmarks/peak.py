"""Peak memory of one contender: ``python -m tests.benchmarks.peak NAME WIDTH DEPTH BATCH LAW DRAWS``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.benchmarks.peers import Workload
from tests.montecarlo.resident import peak_bytes

ROOT = Path(__file__).parents[2]


def peak_mib(name: str, work: Workload, draws: int) -> float:
    """Return the peak resident MiB of a fresh process that runs the contender once."""
    width, depth = str(work.widths[0]), str(len(work.widths) - 1)
    command = [sys.executable, "-m", "tests.benchmarks.peak", name, width, depth, str(work.batch), work.law]
    output = subprocess.run([*command, str(draws)], check=True, capture_output=True, text=True, cwd=ROOT)
    return float(output.stdout.split()[-1])


def main(name: str, width: str, depth: str, batch: str, law: str, draws: str) -> None:
    from tests.benchmarks.contenders import contender

    with contender(name, Workload.of(int(width), int(depth), int(batch), law)) as run:
        run(int(draws))
    print(peak_bytes() / 2**20)


if __name__ == "__main__":
    main(*sys.argv[1:])
