"""Files and folders appear whole or not at all, and one process at a time writes to a place."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from varprop._validation import InputError

if sys.platform != "win32":
    import fcntl

_CANNOT = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
"""What a file system answers that does not know how to exchange."""


class Busy(Exception):
    """Another process holds the lock."""


def write_atomic(path: str | os.PathLike[str], content: str | bytes) -> Path:
    """Write `content` to `path` by atomic replace, so that a reader sees the old file or the new one.

    Raises
    ------
    InputError
        If the folder is missing or cannot be written, or the disk is full; the old file is intact then.
    """
    target = Path(path)
    data = content.encode("utf-8") if isinstance(content, str) else content
    temporary: str | None = None
    try:
        descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=".", suffix=".part")
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(target)
        temporary = None
        sync_folder(target.parent)
    except OSError as error:
        raise InputError("output", str(target), f"a place that can be written ({error.strerror})") from None
    except ValueError:  # a NUL
        raise InputError("output", str(target), "a path") from None
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
    return target


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` survive a loss of power, where the system can."""
    with contextlib.suppress(OSError):  # Windows opens no folders, some file systems do not sync them
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def exchange(first: Path, second: Path) -> bool:
    """Exchange what two existing paths name in one step; return False where the system cannot.

    Linux: renameat2 with RENAME_EXCHANGE. macOS: renamex_np with RENAME_SWAP.
    """
    one, two = os.fsencode(first), os.fsencode(second)
    library = ctypes.CDLL(None, use_errno=True) if os.name == "posix" else None
    if sys.platform == "darwin":
        swap, arguments = getattr(library, "renamex_np", None), (one, two, ctypes.c_uint(2))
    else:
        here = ctypes.c_int(-100)  # AT_FDCWD
        swap, arguments = getattr(library, "renameat2", None), (here, one, here, two, ctypes.c_uint(2))
    if swap is None:
        return False
    if swap(*arguments) == 0:
        return True
    code = ctypes.get_errno()
    if code in _CANNOT:
        return False
    raise OSError(code, os.strerror(code), str(first))


@contextmanager
def locked(place: Path) -> Iterator[bool]:
    """Hold the lock file `place` for the block; it is gone afterwards, and free if this process is killed.

    Yields False where the system has no locks.

    Raises
    ------
    Busy
        If another process holds it.
    OSError
        If the file cannot be made.
    """
    descriptor = _acquire(place)
    if descriptor is None:
        yield False
        return
    try:
        yield True
    finally:
        place.unlink(missing_ok=True)
        os.close(descriptor)


def _acquire(place: Path) -> int | None:
    if sys.platform == "win32":
        return None
    while True:
        descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The former holder may have removed the file between our opening and our locking it.
            if os.fstat(descriptor).st_ino == place.stat().st_ino:
                return descriptor
        except FileNotFoundError:
            pass
        except BlockingIOError:
            os.close(descriptor)
            raise Busy(str(place)) from None
        except OSError:  # a network file system without locks
            os.close(descriptor)
            place.unlink(missing_ok=True)
            return None
        os.close(descriptor)
