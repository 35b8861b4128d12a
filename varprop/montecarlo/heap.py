"""Memory that is freed after one group of networks is kept for the next one.

The C library of Linux gives large freed arrays back to the system, and the next group pays for every page again:
a third of the time of a narrow workload. glibc raises its thresholds for doing so when a large block is freed
(``M_MMAP_THRESHOLD`` in mallopt(3): to the block's size, at most 32 MiB; ``M_TRIM_THRESHOLD`` to twice that).
Elsewhere this does nothing.
"""

from __future__ import annotations

import functools

import numpy as np

_BYTES = 31 << 20


@functools.cache
def keep_freed_memory() -> None:
    """Let this process keep up to 62 MiB of freed memory; the block is never written to, so it costs nothing."""
    np.empty(_BYTES, np.uint8)
