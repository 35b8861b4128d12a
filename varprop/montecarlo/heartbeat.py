"""A sign of life from every worker process, so that one that is stopped or hangs is noticed.

A worker that has been stopped (``SIGSTOP``), or that waits in the kernel for a disk or a network that is gone,
neither ends nor answers. A thread of it therefore sends a byte every `BEAT_SECONDS`, however long its block
takes. The parent counts its own waits without a byte, not the time: after the whole machine, or parent and
workers together, were suspended, one wait has passed. What uses the processor is alive as well, even if it
keeps Python's global lock from the beating thread. So a worker is given up when it has neither sent a byte nor
used the processor for `SILENT_BEATS` waits.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

BEAT_SECONDS = 1.0
"""Between two signs of life."""

SILENT_BEATS = 20
"""Waits without a sign of life after which a worker is ended and its block repeated."""

PATIENT_BEATS = 120
"""The same before its first sign, while it imports, and where the time a process has used is not known."""


def beat(pipe: Connection[Any, Any], seconds: float) -> None:
    """Send signs of life until nobody listens; runs in a thread of the worker."""
    with contextlib.suppress(OSError):
        while True:
            pipe.send_bytes(b".")
            time.sleep(seconds)


def listen(pipe: Connection[Any, Any], pid: int, end: Callable[[], None], seconds: float) -> None:
    """Wait for signs of life until the worker has ended; call `end` if they stop; runs in a thread of the parent."""
    silent, heard, used = 0, False, processor_ticks(pid)
    with contextlib.suppress(EOFError, OSError), pipe:
        while True:
            if pipe.poll(seconds):
                pipe.recv_bytes()
                silent, heard = 0, True
                continue
            before, used = used, processor_ticks(pid)
            silent = 0 if used != before else silent + 1
            if silent >= (SILENT_BEATS if heard and used is not None else PATIENT_BEATS):
                end()
                return


def processor_ticks(pid: int) -> int | None:
    """Return the processor time that a process has used, in ticks of the system; None where it is not told.

    Examples
    --------
    >>> import os
    >>> processor_ticks(os.getpid()) != 0
    True
    """
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = status.rsplit(")", 1)[1].split()  # the name before may hold anything
    return int(fields[11]) + int(fields[12])  # utime, stime: proc(5)
