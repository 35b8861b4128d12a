"""A report's folder appears whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from varprop._validation import InputError, described

MARK = "provenance.json"
"""The file by which a folder of ours is known."""


def check_output(output: str | os.PathLike[str], *, force: bool, ours: Collection[str]) -> Path:
    """Return the folder to write, or refuse it, before any work is done.

    An empty folder may be filled. With `force` a former report may be replaced, but only a folder that holds
    nothing other than `ours`, so that no file of the user's is ever deleted.

    Raises
    ------
    InputError
        If something is there already, or the place cannot be written.
    """
    target = Path(os.path.abspath(output))  # noqa: PTH100 -- resolve() would follow a link the user may mean
    if "\0" in str(output):
        raise InputError("output", str(output), "a path")
    try:
        if target.is_symlink() or (target.exists() and not target.is_dir()):
            raise InputError("output", str(output), "a new folder, not a file or a link")
        if target.is_dir():
            present = sorted(entry.name for entry in target.iterdir())
            _check_present(str(output), present, force=force, ours=ours)
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name[:40]}."):
            pass  # the parent can be written
    except OSError as error:
        raise InputError("output", str(output), f"a place that can be written ({error.strerror})") from None
    return target


def _check_present(output: str, present: list[str], *, force: bool, ours: Collection[str]) -> None:
    if not present:
        return
    foreign = [name for name in present if name not in ours]
    if foreign or MARK not in present:
        found = described(f"{output!r}, which holds {(foreign or present)[0]!r}")
        raise InputError("output", found, "a new folder, an empty one or, with --force, a former report")
    if not force:
        found = described(f"{output!r}, which exists,")
        raise InputError("output", found, "a new folder, or --force to replace the former report")


@contextmanager
def replaced_folder(target: Path) -> Iterator[Path]:
    """Lend a temporary folder beside `target` and put it in its place; on an error leave all as it was.

    Raises
    ------
    InputError
        If the disk refuses.
    """
    built: Path | None = None
    try:
        built = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name[:40]}.", suffix=".part"))
        yield built
        built.chmod(0o755)
        _swap(built, target)
    except OSError as error:
        raise InputError("output", str(target), f"a place that can be written ({error.strerror})") from None
    finally:
        if built is not None:
            shutil.rmtree(built, ignore_errors=True)


def _swap(built: Path, target: Path) -> None:
    if not target.exists():
        built.rename(target)
        return
    old = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name[:40]}.", suffix=".old"))
    target.rename(old / "report")
    try:
        built.rename(target)
    except OSError:
        (old / "report").rename(target)
        raise
    finally:
        with suppress(OSError):
            shutil.rmtree(old)


def write_files(folder: Path, files: Mapping[str, str | bytes]) -> None:
    """Write `files` (relative name to content) into the new `folder`."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
