"""A contender in a process of its own: what one leaves behind (threads, memory, caches) does not touch the next.

``python -m tests.benchmarks.alone NAME WIDTH DEPTH BATCH LAW`` reads numbers of draws, one a line, runs them, and
answers each with the peak of its resident memory in MiB.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.peers import Workload

ROOT = Path(__file__).parents[2]


class Alone:
    """A contender that waits in its own process.

    Attributes
    ----------
    peak : float
        Peak resident MiB of the process so far.
    """

    def __init__(self, name: str, work: Workload) -> None:
        width, depth, batch = (str(n) for n in (work.widths[0], len(work.widths) - 1, work.batch))
        command = [sys.executable, "-m", "tests.benchmarks.alone", name, width, depth, batch, work.law]
        self.peak = 0.0
        self._child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )

    def run(self, draws: int) -> None:
        """Let it draw, and wait for it."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        print(draws, file=self._child.stdin, flush=True)
        answer = self._child.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self._child.args} ended with exit code {self._child.wait()}")
        self.peak = float(answer)

    def end(self) -> None:
        """Let the process end."""
        with self._child as child:
            assert child.stdin is not None
            child.stdin.close()


@contextlib.contextmanager
def alone(name: str, work: Workload) -> Iterator[Alone]:
    """Lend a contender in a process of its own."""
    process = Alone(name, work)
    try:
        yield process
    finally:
        process.end()


def main(name: str, width: str, depth: str, batch: str, law: str) -> None:
    from tests.benchmarks.contenders import contender
    from tests.montecarlo.resident import peak_bytes

    with contender(name, Workload.of(int(width), int(depth), int(batch), law)) as run:
        for line in sys.stdin:
            run(int(line))
            print(peak_bytes() / 2**20, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
