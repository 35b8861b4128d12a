"""The record within a folder of ours: which files it consists of, with their SHA-256.

A folder is ours as long as it holds nothing but the files that its record lists, each as it was written. Only such
a folder is ever replaced or removed; a file that was added or edited is the user's work.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

_LARGEST = 16 * 2**20
"""Bytes of a record that is read."""


def sealed(facts: Mapping[str, Any], files: Mapping[str, bytes]) -> bytes:
    """Return the record of `files` as JSON: `facts`, ``files`` with their hashes, and the record's own hash."""
    listed = {name: _hash(content) for name, content in sorted(files.items())}
    record = {**facts, "files": listed}
    record["seal"] = _seal(record)
    return (json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")


def read_record(folder: Path, name: str) -> dict[str, Any] | None:
    """Return the record called `name` in `folder`, or None if there is none that can be read."""
    with suppress(OSError, ValueError, RecursionError):
        path = folder / name
        if path.is_file() and path.stat().st_size <= _LARGEST:
            record = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(record, dict):
                return record
    return None


def not_ours(folder: Path, name: str) -> str | None:
    """Return in a few words what in `folder` is not as we wrote it, or None if all of it is ours.

    An empty folder is nobody's, so None. The order is fixed: the first of the sorted names is told.
    """
    present = sorted(_entries(folder))
    if not present:
        return None
    record = read_record(folder, name)
    if record is None:
        return f"holds {next((p for p in present if p != name), name)!r}"
    listed = record.get("files")
    if not isinstance(listed, dict):
        return f"has a {name!r} that lists no files, as older versions wrote it"
    for path in present:
        place = folder / path
        if path == name:
            if record.get("seal") != _seal({k: v for k, v in record.items() if k != "seal"}):
                return f"holds {name!r}, edited since it was written"
        elif place.is_dir() and not place.is_symlink():
            if not any(known.startswith(f"{path}/") for known in listed):
                return f"holds {path!r}"
        elif path not in listed or place.is_symlink() or not place.is_file():
            return f"holds {path!r}"
        elif listed[path] != _hash_of_file(place):
            return f"holds {path!r}, edited since it was written"
    return None


def identity(folder: Path, name: str) -> str | None:
    """Return the hash of the folder's record, None without one: another report there is another identity."""
    with suppress(OSError):
        return _hash((folder / name).read_bytes())
    return None


def remove(folder: Path, name: str) -> bool:
    """Remove a folder of ours, file by file; return False, and leave the rest, if something is not ours.

    The record goes last, so that an interrupted removal can be taken up again.
    """
    present = sorted(_entries(folder), reverse=True)  # what is in a folder comes before the folder
    if not_ours(folder, name) is not None:
        return False
    try:
        for path in [p for p in present if p != name] + [p for p in present if p == name]:
            place = folder / path
            place.rmdir() if place.is_dir() else place.unlink(missing_ok=True)
        folder.rmdir()
    except OSError:  # something has come in meanwhile
        return False
    return True


def _entries(folder: Path) -> Iterator[str]:
    for root, folders, files in os.walk(folder):
        for entry in (*folders, *files):
            yield (Path(root) / entry).relative_to(folder).as_posix()


def _seal(record: Mapping[str, Any]) -> str:
    return _hash(json.dumps(record, sort_keys=True, ensure_ascii=True).encode())


def _hash_of_file(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
