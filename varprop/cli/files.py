"""The command that checks a file: verify."""

from __future__ import annotations

import click

from varprop.cli.commands import CONTEXT, debug_option


@click.command("verify", context_settings=CONTEXT)
@click.argument("store")
@debug_option
def verify_command(store: str) -> int:
    """Check a block store, the file that --store names: every record, block and table against its checksums.

    Prints one line per problem and exits with 1 if there is any, with 2 if the file is no store that can be read.
    """
    from varprop.montecarlo.verification import verify_store

    problems = verify_store(store)
    for problem in problems:
        click.echo(problem)
    if not problems:
        click.echo("sound")
    return int(bool(problems))
