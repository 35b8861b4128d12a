"""The command line: parse, run the pipeline, show.

Only click is imported until a command runs. Results go to standard output, messages and progress to standard
error. Exit codes: 0 fine, 1 a comparison differs or a model is unhealthy (with ``--strict``), 2 bad input, 70 an
error of ours, 74 the system is at fault (a full disk, a closed output, no memory), 130 Ctrl-C, 141 a closed pipe.
"""

from varprop.cli.boundary import main

__all__ = ["main"]
