"""All processes that descend from one, and whether they are alive: what a test must know to speak of orphans."""

from __future__ import annotations

import time
from pathlib import Path


def descendants(pid: int) -> list[int]:
    """Return the children of every thread of a process, their children, and so on.

    A child belongs to the thread that started it, and workers are started by threads: the list of the main
    thread alone has none of them.
    """
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").glob("*"):
        try:
            children = [int(text) for text in (thread / "children").read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue
        for child in children:
            found += [child, *descendants(child)]
    return found


def alive(pid: int) -> bool:
    """Say whether a process is there and has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def command(pid: int) -> str:
    """Return the command line of a process, or nothing if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def workers(pid: int) -> list[int]:
    """Return the worker processes among the descendants; others are helpers of `multiprocessing`."""
    return [child for child in descendants(pid) if "spawn_main" in command(child)]


def survivors(pids: list[int], seconds: float = 10.0) -> list[int]:
    """Wait until all have ended, at most so long, and return those that have not."""
    deadline = time.monotonic() + seconds
    while any(alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    return [pid for pid in pids if alive(pid)]
