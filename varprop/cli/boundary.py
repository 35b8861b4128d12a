"""Every way a command can end becomes one line and an exit code."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from typing import NoReturn

import click

from varprop._code import code_from_text
from varprop._validation import InputError
from varprop.cli.commands import group

DIFFERS, BAD_INPUT, OURS, PIPE, INTERRUPTED = 1, 2, 70, 141, 130
"""Exit codes; 141 and 130 are what the shell gives for a closed pipe and for Ctrl-C."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit.

    Parameters
    ----------
    arguments : sequence of str, optional
        Those of the process by default.

    Raises
    ------
    SystemExit
        Always, with the exit code.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError, OSError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    given = list(sys.argv[1:] if arguments is None else arguments)
    sys.exit(_run(given))


def _run(arguments: list[str]) -> int:
    if "_VARPROP_COMPLETE" in os.environ:  # the shell asks for completions
        group.main(arguments, prog_name="varprop")
    try:
        # Not `group.main`, which has its own ways out for a closed pipe, changing between its versions.
        with code_from_text(False), group.make_context("varprop", arguments) as context:
            code = group.invoke(context)
        sys.stdout.flush()
        return int(code or 0)
    except click.exceptions.Exit as end:
        return end.exit_code
    except InputError as error:
        return _complain(str(error), BAD_INPUT)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx is not None else "varprop"
        return _complain(f"{_one_line(error.format_message())} (try '{command} --help')", BAD_INPUT)
    except click.ClickException as error:
        return _complain(_one_line(error.format_message()), BAD_INPUT)
    except (click.Abort, KeyboardInterrupt):
        return _complain("stopped; finished blocks are kept with --store, and --resume goes on", INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has gone; Python would complain once more when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE
    except MemoryError:
        return _complain("out of memory; fewer --workers or a narrower network need less", OURS)
    except Exception as error:  # the outermost boundary: whatever is left is a mistake of ours
        if type(error).__name__ == "WorkerError":  # by name, so that nothing heavy is imported here
            return _complain(_one_line(str(error)), OURS)
        return _own_mistake(error, arguments)


def _complain(message: str, code: int) -> int:
    click.echo(f"varprop: {message}", err=True)
    return code


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    line = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in line)
    return line if len(line) <= 400 else f"{line[:399]}…"


def _own_mistake(error: Exception, arguments: list[str]) -> int:
    details = "".join(traceback.format_exception(error))
    if "--debug" in arguments:
        click.echo(details, err=True, nl=False)
    with tempfile.NamedTemporaryFile(
        "w", prefix="varprop-error-", suffix=".txt", delete=False, encoding="utf-8", errors="backslashreplace"
    ) as file:
        file.write(f"varprop {' '.join(map(ascii, arguments))}\n\n{details}")
    message = f"{type(error).__name__}: {_one_line(str(error))}"
    return _complain(
        f"this is a mistake in varprop, not in your input ({message}). "
        f"Please report it with the file {file.name}, which holds the details",
        OURS,
    )
