"""How far a run is, and how long it will take, judged by the blocks it has measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from varprop.montecarlo.blocks import Block, Plan
from varprop.montecarlo.costs import draw_seconds


@dataclass(frozen=True)
class Report:
    """State of a run after a block.

    Attributes
    ----------
    case : str
        Label of the network the block belongs to.
    blocks, total : int
        Finished blocks and all blocks, those found in a store included.
    fraction : float
        Finished share of the work, in predicted cost rather than in blocks.
    elapsed : float
        Seconds since the run began.
    remaining : float or None
        Estimated seconds to go; None until a block has been measured. With looks: until the next one.
    look : int
        Which look the blocks are for; 0 if the number of draws is fixed.
    open_rows : int or None
        Rows that the look before has left open; None before the first, and without looks.
    longest : float or None
        Estimated seconds if every open case had to use up its budget; None where `remaining` says it all.
    """

    case: str
    blocks: int
    total: int
    fraction: float
    elapsed: float
    remaining: float | None
    look: int = 0
    open_rows: int | None = None
    longest: float | None = None


@dataclass(frozen=True)
class Expected:
    """What a look draws of each plan, and what may have to follow it.

    Attributes
    ----------
    look : int
        From 1.
    draws, later : sequence of int
        Draws of each plan now, and those that its budget has left after that.
    blocks : int
        Blocks of all plans now.
    open_rows : int or None
        Rows that the look before has left open.
    begun : float
        When the run began, by the clock of `Progress`.
    """

    look: int
    draws: Sequence[int]
    later: Sequence[int]
    blocks: int
    open_rows: int | None
    begun: float


class Progress:
    """Adds up finished blocks and reports after each.

    The predicted cost of a block only weighs the cases against each other. Once blocks of a case have been
    measured, their mean replaces the prediction; cases not yet measured are scaled by the ratio of measured
    to predicted seconds seen so far. The wall time left is that work divided by the parallel speed observed
    since the first block began, so a slow machine, a shared one or a half-idle cluster shows as it is.

    Parameters
    ----------
    plans : sequence of Plan
        What is run.
    report : callable
        Called with a `Report` after every block, in the caller's thread.
    clock : callable
        Seconds, monotonic.
    stretch : Expected, optional
        What is run now, if that is not the whole of every plan.
    """

    def __init__(
        self,
        plans: Sequence[Plan],
        report: Callable[[Report], None],
        clock: Callable[[], float] = time.monotonic,
        stretch: Expected | None = None,
    ) -> None:
        self._labels = [plan.network.case for plan in plans]
        self._predicted = [draw_seconds(plan.network, plan.sampler) for plan in plans]
        self._stretch = stretch
        self._left = [plan.draws for plan in plans] if stretch is None else list(stretch.draws)
        self._total = sum(len(plan) for plan in plans) if stretch is None else stretch.blocks
        self._later = 0.0  # predicted seconds that may have to follow
        if stretch is not None:
            self._later = sum(p * d for p, d in zip(self._predicted, stretch.later, strict=True))
        self._work = self._work_left = sum(
            p * d for p, d in zip(self._predicted, self._left, strict=True)
        )  # predicted seconds
        self._begun: dict[int, tuple[int, float]] = {}  # measured draws and seconds of cases under way
        self._busy = self._foreseen = 0.0  # seconds measured so far, and what had been predicted for them
        self._blocks = 0
        self._report = report
        self._clock = clock
        self._start = clock() if stretch is None else stretch.begun
        self._first: float | None = None  # when the first measured block began

    def finished(self, case: int, block: Block, seconds: float | None) -> None:
        """Count one block; `seconds` is None if it came out of a store."""
        now = self._clock()
        self._blocks += 1
        self._left[case] -= block.draws
        self._work_left -= self._predicted[case] * block.draws
        if seconds is not None:
            if self._first is None:
                self._first = now - seconds
            draws, spent = self._begun.get(case, (0, 0.0))
            self._begun[case] = draws + block.draws, spent + seconds
            self._busy += seconds
            self._foreseen += self._predicted[case] * block.draws
        if not self._left[case]:
            self._begun.pop(case, None)
        last = self._blocks == self._total
        remaining = 0.0 if last else self._remaining(now)
        look = self._stretch
        self._report(
            Report(
                case=self._labels[case],
                blocks=self._blocks,
                total=self._total,
                fraction=1.0 if last else 1.0 - self._work_left / self._work,
                elapsed=now - self._start,
                remaining=remaining,
                look=0 if look is None else look.look,
                open_rows=None if look is None else look.open_rows,
                longest=None if look is None else self._longest(now, remaining),
            )
        )

    def _longest(self, now: float, remaining: float | None) -> float | None:
        if remaining is None or self._first is None or self._foreseen <= 0:
            return None
        return remaining + self._later * (now - self._first) / self._foreseen

    def _remaining(self, now: float) -> float | None:
        if self._first is None or self._busy <= 0:
            return None
        measured, unmeasured = 0.0, self._work_left
        for case, (draws, spent) in self._begun.items():
            measured += self._left[case] * spent / draws
            unmeasured -= self._left[case] * self._predicted[case]
        work = measured + max(unmeasured, 0.0) * self._busy / self._foreseen
        return work * (now - self._first) / self._busy
