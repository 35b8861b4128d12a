"""The pool of worker processes that `executor=N` means, and the executor that means "here".

Both have the `concurrent.futures` interface. The standard `ProcessPoolExecutor` cannot serve: all its workers
answer through one pipe, and one that is killed while it writes leaves the parent waiting for ever for the
rest. Here every worker has a pipe of its own, whose end tells the parent at once; only the block of that
worker is lost, and a fresh process takes its place. A worker that is stopped or hangs is ended after
`varprop.montecarlo.heartbeat.SILENT_BEATS` seconds without a sign of life, and replaced likewise. Workers are
spawned, not forked: a fork copies locks that threads of BLAS hold.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any, ParamSpec, TypeVar

from varprop._validation import InputError
from varprop.montecarlo import heartbeat

P = ParamSpec("P")
T = TypeVar("T")
_Call = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]

# Exit code of a worker whose import of the user's script came to start workers of its own.
_UNGUARDED = 73


class WorkerDied(BrokenExecutor):
    """The process that computed a call has ended without an answer; the pool goes on with a fresh one."""


class ProcessPool(Executor):
    """Worker processes, each served by a thread of this process.

    Parameters
    ----------
    workers : int
        Number of processes, at least 1; they start with the first calls.
    """

    def __init__(self, workers: int) -> None:
        # A spawned worker first imports the script that started it. Only the parent can say so clearly.
        if getattr(multiprocessing.current_process(), "_inheriting", False):
            sys.exit(_UNGUARDED)
        self.workers = workers
        self._calls: queue.SimpleQueue[tuple[Future[Any], _Call] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._processes: set[_Process] = set()
        self._ended = False
        self._stopped = False

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue a call; the process that runs it is started if need be."""
        if self._ended:
            raise RuntimeError("the pool is shut down")
        future: Future[T] = Future()
        self._calls.put((future, (function, args, kwargs)))
        if len(self._threads) < self.workers:
            self._threads.append(threading.Thread(target=self._serve, daemon=True))
            self._threads[-1].start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers, after their current call and, unless `cancel_futures`, after those that wait."""
        self._ended = True
        if cancel_futures:
            with contextlib.suppress(queue.Empty):
                while (call := self._calls.get_nowait()) is None or call[0].cancel():
                    pass
        for _ in self._threads:
            self._calls.put(None)
        for thread in self._threads if wait else ():
            thread.join()

    def stop(self) -> None:
        """End at once: what is being computed is given up."""
        self._stopped = True
        for process in list(self._processes):
            process.kill()
        self.shutdown(cancel_futures=True)

    def _serve(self) -> None:
        process: _Process | None = None
        while (entry := self._calls.get()) is not None:
            future, call = entry
            if not future.set_running_or_notify_cancel():
                continue
            try:
                if process is None:
                    process = _Process()
                    self._processes.add(process)
                    if self._stopped:
                        process.kill()
                value, error = process.run(call)
            except (EOFError, ConnectionError) as ended:
                code, silent = None, False
                if process is not None:
                    self._processes.discard(process)
                    code, silent, process = process.close(), process.silent, None
                future.set_exception(self._death(code, silent, ended))
            except Exception as unsendable:
                future.set_exception(unsendable)
            else:
                if error is None:
                    future.set_result(value)
                else:
                    future.set_exception(error)
            del future, call, entry  # while this thread waits for the next call, nothing is kept alive
        if process is not None:
            process.close()

    def _death(self, code: int | None, silent: bool, ended: Exception) -> Exception:
        if code == _UNGUARDED:
            return InputError(
                "executor",
                self.workers,
                "1, or that the script's top level stands under if __name__ == '__main__': (workers import the script)",
            )
        if silent:
            return WorkerDied("a worker process gave no sign of life (stopped, or hanging in the system)")
        return WorkerDied(f"a worker process ended with exit code {code} ({ended!r})")


class _Process:
    """One worker process, the pipe to it, and a thread that listens to its signs of life.

    Attributes
    ----------
    silent : bool
        Whether it was ended because these had stopped.
    """

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        seconds = heartbeat.BEAT_SECONDS
        self.silent = False
        self._pipe, theirs = context.Pipe()
        beats, beating = context.Pipe(duplex=False)
        self._process = context.Process(target=_work, args=(theirs, beating, seconds), daemon=True)
        with _ctrl_c_held_back():
            self._process.start()
        theirs.close()  # the worker has the only other end now, so its death ends the pipe
        beating.close()
        assert self._process.pid is not None
        self._listener = threading.Thread(
            target=heartbeat.listen, args=(beats, self._process.pid, self._give_up, seconds), daemon=True
        )
        self._listener.start()

    def run(self, call: _Call) -> tuple[Any, BaseException | None]:
        self._pipe.send_bytes(pickle.dumps(call))
        answer: tuple[Any, BaseException | None] = self._pipe.recv()
        return answer

    def kill(self) -> None:
        self._process.kill()

    def close(self) -> int | None:
        self._pipe.close()
        self._process.join()  # does not last: one that cannot end is given up by the listener
        self._listener.join()
        return self._process.exitcode

    def _give_up(self) -> None:
        self.silent = True
        self._process.kill()  # reaches a stopped process too


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


@contextlib.contextmanager
def _ctrl_c_held_back() -> Iterator[None]:
    """Let a process that is started now be born deaf to Ctrl-C, which is for the parent to act on."""
    if hasattr(signal, "pthread_sigmask"):
        # Starting the first process starts the tracker too, which would take the block away again on its return.
        resource_tracker.ensure_running()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    else:
        yield


def _work(pipe: Connection[Any, Any], beating: Connection[Any, Any], seconds: float) -> None:
    """Answer calls until the parent closes the pipe, or is gone, however it went."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=heartbeat.beat, args=(beating, seconds), daemon=True).start()
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            pipe.send(_answer(pipe.recv_bytes()))


def _answer(data: bytes) -> tuple[Any, BaseException | None]:
    try:
        function, args, kwargs = pickle.loads(data)  # comes from the parent, through a pipe only it holds
        return function(*args, **kwargs), None
    except Exception as error:
        error.add_note(traceback.format_exc())
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            return None, RuntimeError(f"{type(error).__name__}: {error}")
        return None, error


def _end_with(sentinel: Any) -> None:
    # A worker in the middle of a long block would not notice that the pipe has ended.
    wait([sentinel])
    os._exit(1)
