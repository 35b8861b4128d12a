"""One BLAS thread while blocks run, so that processes times threads never exceed the cores."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Iterator
from typing import Any

_lock = threading.Lock()
_users = 0
_limit: Any = None


@functools.cache
def _controller() -> Any:
    """Find the libraries once: NumPy's is there from the start, and looking costs milliseconds."""
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

    return ThreadpoolController()


def blas_libraries() -> list[dict[str, Any]]:
    """Return what threadpoolctl knows of the BLAS libraries that this process has loaded."""
    return [library for library in _controller().info() if library["user_api"] == "blas"]


@contextlib.contextmanager
def single_blas_thread() -> Iterator[None]:
    """Hold the BLAS of this process at one thread while at least one caller is inside.

    The setting belongs to the process, not to a thread; so the first to enter sets it and the last to
    leave puts the caller's number back. A second thread that entered meanwhile is not disturbed.

    Examples
    --------
    >>> with single_blas_thread(), single_blas_thread():
    ...     pass
    """
    global _users, _limit
    with _lock:
        if _users == 0:
            _limit = _controller().limit(limits=1, user_api="blas")
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                _limit.restore_original_limits()
                _limit = None
