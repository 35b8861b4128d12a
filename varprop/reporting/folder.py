"""A report's folder appears whole or not at all, and never takes the place of anything but a report.

One process at a time writes to a place: `claimed_folder` holds a lock beside it for as long as the report is in the
making. The report is built in a hidden folder beside its place, made durable, and exchanged with what is there in one
step. What has come out is looked at once more before it is removed: if anything in it is not as a report wrote it,
the exchange is undone. Hidden folders that a killed process has left are put right by the next one.
"""

from __future__ import annotations

import glob
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from varprop._files import Busy, exchange, locked, sync_folder
from varprop._validation import InputError, described
from varprop.reporting.record import identity, not_ours, remove, sealed

RECORD = "provenance.json"
"""The file by which a report is known."""


@contextmanager
def claimed_folder(
    output: str | os.PathLike[str],
    *,
    force: bool = False,
    record: str = RECORD,
    store: str | os.PathLike[str] | None = None,
) -> Iterator[Claim]:
    """Claim the folder `output` for a report, or refuse, before any work is done.

    A folder that is new or empty may be filled. With `force` a former report is replaced, if each of its files is
    as it was written and there is no other.

    Parameters
    ----------
    output : path
    force : bool
    record : str
        Name of the file that lists the folder's files.
    store : path, optional
        A file that the work in between writes; it must not lie in the folder.

    Raises
    ------
    InputError
        If something else is there, another process is writing there, or the place cannot be written.
    """
    target = _checked_place(output)
    if store is not None and target in Path(os.path.abspath(store)).parents:  # noqa: PTH100
        raise InputError("store", str(store), f"a file outside the report's folder {str(output)!r}")
    with ExitStack() as held:
        with _told(output):
            target.parent.mkdir(parents=True, exist_ok=True)
            alone = held.enter_context(locked(_beside(target, "lock")))
            claim = Claim(target, str(output), force, record)
            if alone:
                claim.put_right()
            claim.check()
        try:
            yield claim
        finally:
            if alone:
                with suppress(OSError):
                    claim.put_right()


@contextmanager
def _told(output: str | os.PathLike[str]) -> Iterator[None]:
    """Turn what the system refuses into one line about `output`."""
    try:
        yield
    except Busy:
        found = described(f"{str(output)!r}, where another process is writing a report,")
        raise InputError(
            "output", found, "a folder that nobody else writes to; try again when it is done"
        ) from None
    except OSError as error:
        raise InputError("output", str(output), f"a place that can be written ({error.strerror})") from None


class Claim:
    """A place for a report, locked.

    Attributes
    ----------
    target : Path
        The folder, absolute.
    """

    def __init__(self, target: Path, output: str, force: bool, record: str) -> None:
        self.target, self._output, self._force, self._record = target, output, force, record
        self._former = identity(target, record)

    def check(self) -> None:
        """Refuse a place that holds anything but a former report."""
        target = self.target
        if target.is_symlink() or (target.exists() and not target.is_dir()):
            raise InputError("output", self._output, "a new folder, not a file or a link")
        wrong = not_ours(target, self._record) if target.exists() else None
        if wrong is not None:
            raise self._refusal(
                f"which {wrong},", "a new folder, an empty one or, with --force, a former report"
            )
        if identity(target, self._record) != self._former:
            raise self._refusal("where another report has appeared meanwhile,", "a folder of its own")
        if self._former is not None and not self._force:
            raise self._refusal("which exists,", "a new folder, or --force to replace the former report")

    def publish(self, files: Mapping[str, str | bytes], facts: Mapping[str, Any]) -> None:
        """Put a report of these `files` (relative name to content) in place, with its record of `facts`.

        Raises
        ------
        InputError
            As `claimed_folder`; what is there is then left as it was.
        """
        contents = {name: c.encode("utf-8") if isinstance(c, str) else c for name, c in files.items()}
        contents[self._record] = sealed(facts, contents)
        with _told(self._output):
            built = Path(tempfile.mkdtemp(dir=self.target.parent, prefix=_stem(self.target), suffix=".part"))
            try:
                write_files(built, contents)
                built.chmod(0o755)
                self.check()
                ready = built.with_suffix(".swap")  # from here on it may hold what was in the place
                built.rename(ready)
                try:
                    self._put(ready)
                finally:
                    if ready.exists():
                        _discard(ready, self.target, self._record)
            finally:
                shutil.rmtree(built, ignore_errors=True)
            sync_folder(self.target.parent)

    def _put(self, ready: Path) -> None:
        target = self.target
        if self._former is None:
            # The system itself refuses to put a folder where there is a file or a folder that is not empty.
            ready.rename(target)
        elif exchange(ready, target):
            wrong = not_ours(ready, self._record)
            if wrong is not None and exchange(ready, target):
                raise self._refusal(f"which {wrong} meanwhile,", "a former report as it was written")
        else:
            old = ready.with_suffix(".old")
            target.rename(old)
            try:
                ready.rename(target)
            except OSError:
                old.rename(target)
                raise
            _discard(old, target, self._record)

    def put_right(self) -> None:
        """Restore and remove what a killed process has left beside the place."""
        parent, pattern = self.target.parent, glob.escape(_stem(self.target))
        for old in parent.glob(f"{pattern}*.old"):
            if os.path.lexists(self.target):
                _discard(old, self.target, self._record)
            else:
                old.rename(self.target)
        for ready in parent.glob(f"{pattern}*.swap"):
            _discard(ready, self.target, self._record)
        for part in parent.glob(f"{pattern}*.part"):
            shutil.rmtree(part, ignore_errors=True)
        self._former = identity(self.target, self._record)

    def _refusal(self, found: str, allowed: str) -> InputError:
        return InputError("output", described(f"{self._output!r}, {found}"), allowed)


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write `files` (relative name to content) into the new `folder`, and wait until the disk has them."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        with path.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
    for inner in {(folder / name).parent for name in files}:
        sync_folder(inner)


def _checked_place(output: str | os.PathLike[str]) -> Path:
    try:
        readable = b"\0" not in os.fsencode(output)
    except UnicodeEncodeError:
        readable = False
    if not readable:
        raise InputError("output", str(output), "a path")
    try:
        target = Path(os.path.abspath(output))  # noqa: PTH100 -- resolve() would follow a link the user may mean
        here = Path.cwd()
    except OSError:
        raise InputError("output", str(output), "a path from a working folder that still exists") from None
    if Path(os.path.realpath(target)) in (here, *here.parents):
        raise InputError("output", str(output), "a folder other than the working folder and those above it")
    return target


def _stem(target: Path) -> str:
    """Return how the names of hidden folders for `target` begin; no two targets share it."""
    return f".{target.name[:40]}-{hashlib.sha256(os.fsencode(target.name)).hexdigest()[:8]}."


def _beside(target: Path, suffix: str) -> Path:
    return target.with_name(f"{_stem(target)}{suffix}")


def _discard(folder: Path, target: Path, record: str) -> None:
    """Remove a report that has been replaced; keep it in sight if it holds something that is not ours."""
    if not remove(folder, record):
        with suppress(OSError):
            folder.rename(target.with_name(f"{target.name}-kept-{folder.suffixes[-2][1:]}"))
