"""What code refers to by name, and which names are known: those of Python and of a few packages by their version."""

from __future__ import annotations

import dis
import functools
import hashlib
import importlib
import sys
import sysconfig
import types
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_KNOWN = frozenset(
    (
        "numpy",
        "scipy",
        "pandas",
        "numba",
        "torch",
        "jax",
        "jaxlib",
        "tensorflow",
        "keras",
        "sklearn",
        "mpmath",
    )
)
"""Packages whose functions are told apart by name and version; others may change their code under one version."""


def inner_code(code: types.CodeType) -> Iterable[types.CodeType]:
    """Yield a code object and those within it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from inner_code(constant)


def globals_of(code: types.CodeType) -> set[str]:
    """Return the global names that code reads."""
    names = ("LOAD_GLOBAL", "LOAD_NAME")
    return {i.argval for c in inner_code(code) for i in dis.get_instructions(c) if i.opname in names}


def names_of(code: types.CodeType) -> set[str]:
    """Return every name in code: of globals, attributes and imports."""
    return {name for c in inner_code(code) for name in c.co_names}


def imported_by(code: types.CodeType) -> set[str]:
    """Return the modules that code imports when it runs."""
    return {i.argval for c in inner_code(code) for i in dis.get_instructions(c) if i.opname == "IMPORT_NAME"}


def import_quietly(name: str) -> types.ModuleType | None:
    """Return a module that the code would import, None if it cannot be."""
    try:
        return importlib.import_module(name) if name else None
    except Exception:
        return None


def named(module: str, qualname: str) -> object:
    """Return what `qualname` names in a module that is loaded, None if nothing."""
    found: Any = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found


@functools.lru_cache(maxsize=1024)
def is_known(module: str) -> bool:
    """Say whether what a module names is told apart by that name and a version.

    True for Python's own modules and for a few packages in the place of installed ones.
    """
    top = module.split(".")[0]
    if top in sys.stdlib_module_names or top in ("varprop", "builtins"):
        return top != "__main__"
    if top not in _KNOWN:
        return False
    origin = getattr(getattr(sys.modules.get(top), "__spec__", None), "origin", None)
    places = {sysconfig.get_path(name) for name in ("purelib", "platlib")}
    return isinstance(origin, str) and any(Path(p) in Path(origin).parents for p in places if p)


def version_of(module: str) -> tuple[str, ...]:
    """Return the version of the known package a module belongs to; nothing for Python's own modules."""
    version = getattr(sys.modules.get(module.split(".")[0]), "__version__", None)
    return (version,) if isinstance(version, str) else ()


@functools.lru_cache(maxsize=64)
def file_digest(module: str) -> str | None:
    """Return the SHA-256 of the file of a compiled module, None if it has none."""
    place = getattr(sys.modules.get(module), "__file__", None)
    try:
        return hashlib.sha256(Path(place).read_bytes()).hexdigest() if place else None
    except OSError:
        return None
