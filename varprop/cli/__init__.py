"""The command line: parse, run the pipeline, show.

Only click is imported until a command runs. Results go to standard output, messages and progress to standard
error. Exit codes: 0 fine, 1 a comparison differs (with ``--strict``), 2 bad input, 70 an error of ours.
"""

from varprop.cli.boundary import main

__all__ = ["main"]
