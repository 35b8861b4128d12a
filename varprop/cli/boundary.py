"""Every way a command can end becomes one line and an exit code."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sys
import tempfile
import traceback
from typing import Any

import click

from varprop._code import code_from_text
from varprop._validation import InputError, cut
from varprop.cli.commands import group
from varprop.cli.signals import Ending

DIFFERS, BAD_INPUT, OURS, SYSTEM, PIPE, INTERRUPTED, TERMINATED = 1, 2, 70, 74, 141, 130, 143
"""Exit codes; 70 and 74 are those of sysexits.h for an error of the program and for one of input or output, 141,
130 and 143 are what the shell gives for a closed pipe, for Ctrl-C and for ``kill``."""

_SYSTEM_FAULTS = frozenset(
    getattr(errno, name)
    for name in (
        *(
            "ENOSPC",
            "EDQUOT",
            "EFBIG",
            "EIO",
            "EROFS",
            "EACCES",
            "EPERM",
            "EBADF",
            "EMFILE",
            "ENFILE",
            "ENOMEM",
        ),
        *("EAGAIN", "ENODEV", "ENXIO", "ESTALE", "ETIMEDOUT", "ENOLCK", "ECONNRESET", "ENOTCONN"),
    )
    if hasattr(errno, name)
)
"""What the system answers when it is at fault, and neither the input nor this program."""


def run(arguments: list[str], ending: Ending) -> int:
    """Run the command that the arguments name and return its exit code."""
    _open_streams()
    # Pictures are written to files only; whatever display the environment names is not needed.
    os.environ["MPLBACKEND"] = "agg"
    # Of its own caches, which it makes elsewhere if it must, matplotlib speaks to nobody here.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError, OSError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        return _run(arguments, ending)
    except KeyboardInterrupt:  # once more, while something else was dealt with
        return ending.code


def _run(arguments: list[str], ending: Ending) -> int:
    if "_VARPROP_COMPLETE" in os.environ:  # the shell asks for completions
        group.main(arguments, prog_name="varprop")
    try:
        # Not `group.main`, which has its own ways out for a closed pipe, changing between its versions.
        with ending.told_apart(), code_from_text(False), group.make_context("varprop", arguments) as context:
            code = group.invoke(context)
            sys.stdout.flush()
        return int(code or 0)
    except click.exceptions.Exit as end:
        return _flushed(end.exit_code)
    except InputError as error:
        return _complain(str(error), BAD_INPUT)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx is not None else "varprop"
        return _complain(f"{_one_line(error.format_message())} (try '{command} --help')", BAD_INPUT)
    except click.ClickException as error:
        return _complain(_one_line(error.format_message()), BAD_INPUT)
    except (click.Abort, KeyboardInterrupt):
        return _complain(
            f"{ending}; finished blocks are kept with --store, and --resume goes on", ending.code
        )
    except BrokenPipeError:
        _silence(sys.stdout)
        return PIPE
    except MemoryError:
        return _complain("out of memory; fewer --workers or a narrower network need less", SYSTEM)
    except OSError as error:
        return _system_fault(error, arguments)
    except Exception as error:  # the outermost boundary: whatever is left is a mistake of ours
        if type(error).__name__ == "WorkerError":  # by name, so that nothing heavy is imported here
            return _complain(_one_line(str(error)), OURS)
        return _own_mistake(error, arguments)


def _open_streams() -> None:
    """Give a process that was started with closed streams some that behave: others' files must not become them.

    What is written to a closed standard output fails, as it does for other programs; messages are dropped.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_WRONLY if descriptor == 2 else os.O_RDONLY)  # the lowest that is free
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def _flushed(code: int) -> int:
    """Return `code` once the output has left the process, or what prevents it."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _silence(sys.stdout)
        return PIPE
    except OSError as error:
        return _system_fault(error, [])
    return code


def _silence(stream: Any) -> None:
    """Send what is left in `stream` nowhere: Python would complain once more when it closes it."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _system_fault(error: OSError, arguments: list[str]) -> int:
    _silence(sys.stdout)
    no_folder = error.errno == errno.ENOENT and not _has_working_folder()
    if error.errno not in _SYSTEM_FAULTS and not no_folder and "temporary directory" not in str(error):
        return _own_mistake(error, arguments)
    at = f" ({_one_line(str(error.filename))})" if error.filename else ""
    said = "the working folder has been deleted" if no_folder else f"{error.strerror or error}{at}"
    return _complain(f"the system does not let this go on: {_one_line(said)}", SYSTEM)


def _has_working_folder() -> bool:
    try:
        return bool(os.getcwd())  # noqa: PTH109 -- Path.cwd() is the same call
    except OSError:
        return False


def _complain(message: str, code: int) -> int:
    try:
        click.echo(f"varprop: {message}", err=True)
        sys.stderr.flush()
    except OSError:  # nobody hears us; the code says it
        _silence(sys.stderr)
    return code


def _one_line(text: str) -> str:
    return cut(" ".join(text.split()), 400)


def _own_mistake(error: Exception, arguments: list[str]) -> int:
    details = "".join(traceback.format_exception(error))
    if "--debug" in arguments:
        with contextlib.suppress(OSError):
            click.echo(details, err=True, nl=False)
    with_file = "what --debug shows"
    with (
        contextlib.suppress(OSError),  # there may be no place for it
        tempfile.NamedTemporaryFile(
            "w",
            prefix="varprop-error-",
            suffix=".txt",
            delete=False,
            encoding="utf-8",
            errors="backslashreplace",
        ) as file,
    ):
        file.write(f"varprop {' '.join(map(ascii, arguments))}\n\n{details}")
        with_file = f"the file {file.name}, which holds the details"
    message = f"{type(error).__name__}: {_one_line(str(error))}"
    return _complain(
        f"this is a mistake in varprop, not in your input ({message}). Please report it with {with_file}",
        OURS,
    )
