"""The command line: parse, run the pipeline, show.

Only click is imported until a command runs. Results go to standard output, messages and progress to standard
error. Exit codes: 0 fine, 1 a comparison differs or a model is unhealthy (with ``--strict``) or a store is damaged,
2 bad input, 70 an error of ours, 74 the system is at fault (a full disk, a closed output, no memory), 130 Ctrl-C,
143 ``kill``, 129 a closed terminal, 141 a closed pipe.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from typing import NoReturn

from varprop.cli.signals import ending_in_one_line

__all__ = ["main"]


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
    with ending_in_one_line(sys._getframe(), for_good=arguments is None) as ending:
        try:
            # Imported under the handler, so that Ctrl-C is one line from the first moment.
            from varprop.cli.boundary import run

            code = run(list(sys.argv[1:] if arguments is None else arguments), ending)
        except KeyboardInterrupt:  # before there was a command that could be told
            code = ending.code
            with contextlib.suppress(OSError, ValueError, AttributeError):
                sys.stderr.write(f"varprop: {ending}\n")
    sys.exit(code)
