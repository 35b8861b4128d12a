"""Where a text may become code: ``module:name`` is imported here and nowhere else, and only with permission.

Importing a module executes it. Python code that writes ``"module:name"`` is trusted as the code it is; a text
that comes from a study file or from the command line is not, until its reader says so.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from varprop._validation import InputError, close_match, described, show

_permitted: ContextVar[bool] = ContextVar("varprop_code_permitted", default=True)

PERMISSION = (
    "permission to execute code: --allow-code on the command line, read_study(…, code=True) in Python"
)


@contextmanager
def code_from_text(permitted: bool) -> Iterator[None]:
    """Say for the enclosed block whether ``module:name`` may be imported.

    Examples
    --------
    >>> with code_from_text(False):
    ...     import_named("numpy:tanh", "activation")
    Traceback (most recent call last):
    ...
    varprop._validation.InputError: activation: 'numpy:tanh' is not allowed; expected a registered name, or ...
    """
    token = _permitted.set(permitted)
    try:
        yield
    finally:
        _permitted.reset(token)


def code_is_permitted() -> bool:
    """Return whether ``module:name`` may be imported here."""
    return _permitted.get()


@contextmanager
def working_folder_on_path(*, first: bool = False) -> Iterator[None]:
    """Let the enclosed block import modules of the working folder, as a script beside them could.

    They are looked for last, so that they hide nothing installed, unless `first` says otherwise.
    """
    try:
        here = str(Path.cwd())
    except OSError:  # the folder has been deleted: there is nothing in it
        here = ""
    added = bool(here) and (first or here not in sys.path)
    if added:
        sys.path.insert(0 if first else len(sys.path), here)
    try:
        yield
    finally:
        if added and here in sys.path:
            sys.path.remove(here)


def import_named(path: str, field: str) -> Any:
    """Import ``"package.module:name"``.

    Raises
    ------
    InputError
        If the text has another form, code is not permitted, the module cannot be imported (whatever it raises,
        an exit included) or has no such name.

    Examples
    --------
    >>> import_named("math:pi", "number")
    3.141592653589793
    """
    module_name, _, attribute = path.partition(":")
    parts = [*module_name.split("."), *attribute.split(".")]
    if len(path) > 1000 or not all(part.isidentifier() for part in parts):
        raise InputError(field, path, "package.module:name")
    if not _permitted.get():
        raise InputError(field, path, f"a registered name, or {PERMISSION}")
    try:
        found: Any = importlib.import_module(module_name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a stranger's module may raise anything while it is imported, or exit
        said = described(f"{show(path)} ({type(error).__name__}: {show(str(error))})")
        raise InputError(field, said, "a module that can be imported") from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            known = close_match(part, [name for name in dir(found) if not name.startswith("_")])
            raise InputError(field, path, f"a name that {module_name} has: {known}")
        found = getattr(found, part)
    return found
