"""The pool of worker processes that `executor=N` means, and the executor that means "here".

Both are ordinary `concurrent.futures` executors. Workers are spawned, not forked: a fork copies locked
locks of the BLAS threads and file locks of the store.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from multiprocessing.connection import wait
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class ProcessPool(Executor):
    """A process pool that can be replaced by a fresh one after a worker has died.

    Parameters
    ----------
    workers : int
        Number of processes, at least 1; they start with the first block.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._pool: ProcessPoolExecutor | None = None

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Start the workers if there are none, and queue a call."""
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self.workers, mp_context=context, initializer=_start_worker)
        return self._pool.submit(function, *args, **kwargs)

    def restart(self) -> None:
        """Drop a broken pool; the next `submit` makes a fresh one."""
        self.shutdown(cancel_futures=True)

    def stop(self) -> None:
        """End at once, without waiting for the blocks that are being computed."""
        processes = list((self._pool._processes or {}).values()) if self._pool is not None else []
        for process in processes:
            with contextlib.suppress(ProcessLookupError, ValueError):
                process.kill()
        self.shutdown(cancel_futures=True)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers after their current block."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=wait, cancel_futures=cancel_futures)


class Here(Executor):
    """Runs every call at once, in this process and thread."""

    workers = 1

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run the call and return its finished future; Ctrl-C passes straight through."""
        future: Future[T] = Future()
        try:
            future.set_result(function(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def _start_worker() -> None:
    """Leave Ctrl-C to the parent, and end when the parent is gone, however it went."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: Any) -> None:
    # A worker of a parent that was killed by SIGKILL would wait for its next block for ever.
    wait([sentinel])
    os._exit(1)
