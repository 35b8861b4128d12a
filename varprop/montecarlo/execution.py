"""Run the blocks of one or more plans on an executor, and reduce them in block order.

Any object with the `concurrent.futures` interface will do. Blocks may finish in any order; they are merged
in theirs, so the result has the same bits whatever ran them. At most a fixed number of blocks is under way or
waiting for an earlier one, so memory does not grow with the number of draws.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from varprop._validation import InputError
from varprop.montecarlo.blocks import Block, Plan
from varprop.montecarlo.executors import sendable, window_of
from varprop.montecarlo.parcels import Parcel
from varprop.montecarlo.pools import Here, ProcessPool

if TYPE_CHECKING:
    from varprop.montecarlo.progress import Progress
    from varprop.montecarlo.statistics import Statistics
    from varprop.montecarlo.store import BlockStore

Result: TypeAlias = "tuple[Statistics, float, dict[str, str]]"

ATTEMPTS = 3
"""How often a block is tried whose worker dies; an exception of the block itself is never retried."""

_MARK = "raised by the block itself"
_KILLED = frozenset({"KilledWorker", "FutureCancelledError", "TerminatedWorkerError"})


class BlockError(RuntimeError):
    """A block failed for a reason that is not the user's input."""


class WorkerError(RuntimeError):
    """Worker processes died again and again, or the pool they belong to is gone."""


def run_block(plan: Plan, block: Block) -> Statistics:
    """Draw the networks of one block and return their statistics.

    The work runs on one BLAS thread wherever it runs: a matrix product may round differently on two
    threads, and parallel blocks use the cores better.
    """
    from varprop.montecarlo import graphs, samplers
    from varprop.montecarlo.threads import single_blas_thread

    with single_blas_thread():
        if plan.network.is_chain:
            return samplers.sample_block(plan, block)
        return graphs.sample_block(plan, block)


def measured_block(sent: Plan | Parcel, block: Block, attempt: int) -> Result:
    """Run one block in a worker, and say how many seconds it took and what decided its last bits.

    `attempt` is unused here; it makes a repeated call a new one for schedulers that know calls by arguments.
    """
    from varprop.montecarlo.environment import environment

    start = time.perf_counter()
    try:
        plan = sent.open() if isinstance(sent, Parcel) else sent
        return run_block(plan, block), time.perf_counter() - start, environment()
    except BaseException as error:
        error.add_note(_MARK)
        raise


@dataclass(frozen=True)
class Stretch:
    """Blocks ``start`` to ``end - 1`` of a plan, and the merged statistics of those before them."""

    start: int
    end: int
    before: Statistics | None = None


@dataclass
class _Job:
    case: int
    block: Block
    attempts: int = 0
    future: Future[Result] | None = None
    result: Statistics | None = None


def execute(
    plans: Sequence[Plan],
    executor: Executor,
    *,
    store: BlockStore | None = None,
    progress: Progress | None = None,
    stretches: Sequence[Stretch] | None = None,
) -> Iterator[tuple[int, Statistics]]:
    """Yield ``(position, statistics)`` of every plan, in order, each as soon as its last block is merged.

    Parameters
    ----------
    plans : sequence of Plan
        What to run; the blocks of all plans share the workers.
    executor : Executor
        Anything with the `concurrent.futures` interface, as `open_executor` yields it.
    store : BlockStore, optional
        Finished blocks are read from it and written to it.
    progress : Progress, optional
        Is told of every finished block.
    stretches : sequence of Stretch, optional
        Which blocks of each plan, and what they are added to; all, and nothing, if not given.

    Raises
    ------
    BlockError
        If a block raises anything but `InputError`; the message names the case and the block.
    WorkerError
        If workers keep dying, or a pool that is not ours is broken.
    InputError
        If a block raises one, or the plan cannot be sent to other processes.
    """
    parts = [Stretch(0, len(plan)) for plan in plans] if stretches is None else stretches
    run = _Run(plans, executor, store, progress, parts)
    try:
        total: Statistics | None = None
        for job, statistics in run.in_order():
            part = parts[job.case]
            before = part.before if job.block.index == part.start else total
            total = statistics if before is None else before.merge(statistics)
            if job.block.index == part.end - 1:
                yield job.case, total
    finally:
        run.cancel()


class _Run:
    """The blocks under way: submitted, or finished and waiting for an earlier one."""

    def __init__(
        self,
        plans: Sequence[Plan],
        executor: Executor,
        store: BlockStore | None,
        progress: Progress | None,
        stretches: Sequence[Stretch],
    ) -> None:
        self.plans = plans
        self.executor = executor
        self.store = store
        self.progress = progress
        self.stretches = stretches
        self.window = window_of(executor)
        self.sent: Sequence[Plan | Parcel] = plans
        self.jobs: deque[_Job] = deque()

    def in_order(self) -> Iterator[tuple[_Job, Statistics]]:
        self.sent = sendable(self.plans, self.executor)
        for case, plan in enumerate(self.plans):
            stretch = self.stretches[case]
            for block in itertools.islice(plan.blocks(), stretch.start, stretch.end):
                self._start(_Job(case, block))
                while len(self.jobs) >= self.window:
                    yield from self._advance()
        while self.jobs:
            yield from self._advance()

    def cancel(self) -> None:
        for job in self.jobs:
            if job.future is not None:
                job.future.cancel()

    def _start(self, job: _Job) -> None:
        self.jobs.append(job)
        if self.store is not None:
            job.result = self.store.get(self.plans[job.case], job.block)
        if job.result is None:
            self._submit(job)
        else:
            self._tell(job, None)

    def _submit(self, job: _Job) -> None:
        job.attempts += 1
        try:
            job.future = self.executor.submit(measured_block, self.sent[job.case], job.block, job.attempts)
        except BrokenExecutor as error:
            # The pool noticed a death between two submissions; the blocks under way report it as well.
            job.future = Future()
            job.future.set_exception(error)

    def _advance(self) -> Iterator[tuple[_Job, Statistics]]:
        """Wait until something finishes, keep it, and yield the finished blocks at the head."""
        running = {job.future for job in self.jobs if job.future is not None}
        if running:
            wait(running, return_when=FIRST_COMPLETED)
        lost = self._collect()
        if lost:
            self._retry(lost)
        while self.jobs and self.jobs[0].result is not None:
            job = self.jobs.popleft()
            assert job.result is not None
            yield job, job.result

    def _collect(self) -> list[tuple[_Job, BaseException]]:
        """Keep what has finished, raise what has failed, return the blocks that died with their worker."""
        lost: list[tuple[_Job, BaseException]] = []
        for job in self.jobs:
            if job.future is None or not job.future.done():
                continue
            error = CancelledError() if job.future.cancelled() else job.future.exception()
            if error is None:
                job.result, seconds, made_in = job.future.result()
                job.future = None
                if self.store is not None:
                    self.store.put(self.plans[job.case], job.block, job.result, seconds, made_in)
                self._tell(job, seconds)
            elif isinstance(error, InputError):
                raise error
            elif _is_death(error) or not self._of_the_block(error):
                lost.append((job, error))
            else:
                raise BlockError(f"{self._name(job)} failed: {type(error).__name__}: {error}") from error
        return lost

    def _retry(self, lost: list[tuple[_Job, BaseException]]) -> None:
        job, error = max(lost, key=lambda pair: pair[0].attempts)
        if isinstance(error, BrokenExecutor) and not isinstance(self.executor, ProcessPool):
            raise WorkerError(
                f"{self._name(job)}: a worker of the executor you passed has died and its pool is broken "
                f"({error}); with a store, run again with a fresh pool to go on from here"
            ) from error
        if job.attempts >= ATTEMPTS:
            raise WorkerError(
                f"{self._name(job)}: its worker died {job.attempts} times ({error}); often the machine is "
                "out of memory: try fewer workers or a smaller block_size"
            ) from error
        for job, _ in lost:
            self._submit(job)

    def _of_the_block(self, error: BaseException) -> bool:
        """Say whether an error arose in the block, or in an executor that is not ours.

        Dask's futures, for one, may answer the loss of a worker with a ValueError of their own.
        """
        return isinstance(self.executor, Here | ProcessPool) or _MARK in getattr(error, "__notes__", ())

    def _name(self, job: _Job) -> str:
        plan = self.plans[job.case]
        return f"{plan.network.case}, block {job.block.index + 1} of {len(plan)}"

    def _tell(self, job: _Job, seconds: float | None) -> None:
        if self.progress is not None:
            self.progress.finished(job.case, job.block, seconds)


def _is_death(error: BaseException) -> bool:
    # Dask's and loky's classes are known by name, so that neither has to be imported or installed.
    return isinstance(error, BrokenExecutor | CancelledError) or type(error).__name__ in _KILLED
