"""What `executor=` and `scheduler=` may be, and what can be known of it."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor

from varprop._validation import InputError, check_integer
from varprop.montecarlo.blocks import Plan
from varprop.montecarlo.parcels import Parcel, pack
from varprop.montecarlo.pools import Here, ProcessPool

CONNECT_SECONDS = 10
"""How long to wait for a Dask scheduler to answer."""

_WORKERS_UNKNOWN = 32

MOST_WORKERS = 1024
"""Processes that are started here; larger machines and clusters bring their own executor."""


Workers = int | str | Executor | None
"""What `executor=` may be: a number of processes, a Dask scheduler's address, an executor, None for here."""


@contextlib.contextmanager
def open_executor(workers: Workers = None) -> Iterator[Executor]:
    """Yield the executor that `workers` means, and close what was opened here.

    Parameters
    ----------
    workers : int, str, Executor or None
        ``None`` and 1: this process. A greater number: that many processes of our own. A text: the address of
        a Dask scheduler (``"tcp://host:8786"``), whose workers are used. An executor: itself, left open
        afterwards.

    Raises
    ------
    InputError
        If the number is not a whole number from 1 to 1024, the object is no executor, nothing answers at the
        address, or Dask is not installed.

    Examples
    --------
    >>> with open_executor() as executor:
    ...     executor.submit(abs, -3).result()
    3
    """
    if isinstance(workers, str):
        with _dask(workers) as executor:
            yield executor
        return
    if workers is not None and not isinstance(workers, int):
        if not callable(getattr(workers, "submit", None)):
            allowed = "a number of workers, the address of a Dask scheduler, or a concurrent.futures executor"
            raise InputError("executor", workers, allowed)
        yield workers
        return
    number = 1 if workers is None else check_integer("workers", workers, minimum=1, maximum=MOST_WORKERS)
    pool = Here() if number == 1 else ProcessPool(number)
    try:
        yield pool
    except BaseException:
        if isinstance(pool, ProcessPool):
            pool.stop()
        raise
    finally:
        pool.shutdown()


def count_workers(executor: Executor) -> int:
    """Return how many blocks the executor can run at a time, or a guess where it does not say."""
    for name in ("workers", "_max_workers", "num_workers"):
        number = getattr(executor, name, None)
        if isinstance(number, int) and number > 0:
            return number
    client = getattr(executor, "_client", None)
    if client is not None:
        threads: dict[str, int] = client.nthreads()
        return max(1, sum(threads.values()))
    return _WORKERS_UNKNOWN


def count_threads(executor: Executor) -> int:
    """Return how many blocks run at a time in this process; 0 if other processes do the work."""
    return count_workers(executor) if isinstance(executor, Here | ThreadPoolExecutor) else 0


def window_of(executor: Executor) -> int:
    """Return how many blocks may be under way or waiting for an earlier one."""
    return 1 if isinstance(executor, Here) else 3 * count_workers(executor) + 1


def sendable(plans: Sequence[Plan], executor: Executor) -> Sequence[Plan | Parcel]:
    """Return the plans as the executor's workers are to get them: packed, unless they work in this process.

    Raises
    ------
    InputError
        If a plan cannot be sent to other processes; said before any work is started.
    """
    if isinstance(executor, Here | ThreadPoolExecutor):
        return plans
    return [pack(plan) for plan in plans]


@contextlib.contextmanager
def _dask(address: str) -> Iterator[Executor]:
    try:
        from distributed import Client
        from distributed.comm import get_address_host_port
    except ImportError:
        needed = "an installation with Dask: pip install 'varprop[cluster]'"
        raise InputError("executor", address, needed) from None
    try:
        # Asked first, because a client that finds nobody complains again when it is thrown away.
        socket.create_connection(get_address_host_port(address, strict=True), CONNECT_SECONDS).close()
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise InputError("executor", address, f"the address of a Dask scheduler ({error})") from None
    try:
        if not client.nthreads():
            raise InputError("executor", address, "a Dask cluster with at least one worker")
        yield client.get_executor()
    finally:
        client.close()
