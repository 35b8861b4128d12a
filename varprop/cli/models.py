"""The command that audits a real model."""

from __future__ import annotations

import shutil
import sys

import click

from varprop.cli.commands import CONTEXT
from varprop.cli.options import format_option


@click.command("audit", context_settings=CONTEXT)
@click.argument("place", metavar="MODULE:FACTORY")
@click.option("--input", "shape", required=True, help="Shape of the input batch, such as 32x3x64x64.")
@click.option("--tokens", type=int, help="Vocabulary size; the inputs are whole numbers below it.")
@click.option("--draws", type=int, default=20, show_default=True, help="How often the model is drawn.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--mode", help="train or eval.  [default: as the model is]")
@click.option("--batch-axis", type=int, default=0, show_default=True, help="Axis of the examples.")
@click.option("-o", "--output", help="Folder for a report.")
@click.option(
    "--force", is_flag=True, help="Replace a former report, unless a file of it was edited or added."
)
@click.option("--apply", is_flag=True, help="Print only the code that makes the suggested changes.")
@click.option("--strict", is_flag=True, help="Exit with 1 if the model is unhealthy.")
@format_option
def audit_command(
    place: str,
    shape: str,
    tokens: int | None,
    draws: int,
    seed: int,
    mode: str | None,
    batch_axis: int,
    output: str | None,
    force: bool,
    apply: bool,
    strict: bool,
    form: str,
) -> int:
    """Audit the model that the function FACTORY of MODULE builds, on random inputs.

    This imports MODULE and calls FACTORY, that is, executes their code: audit only what you would run as a script.

    It is drawn many times and measured forward and backward beside what theory expects. The verdict, the
    changes that theory suggests and what they would do are printed.
    """
    from varprop.auditing.command import run_command, terminal_lines
    from varprop.reporting.tables import to_csv, to_json

    outcome = run_command(
        place,
        shape,
        tokens=tokens,
        draws=draws,
        seed=seed,
        mode=mode,
        batch_axis=batch_axis,
        output=output,
        force=force,
    )
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 400
    lines = "\n".join(terminal_lines(outcome, width))
    if apply:
        click.echo(lines, err=True)
        click.echo(outcome.lines)
    elif form == "table":
        click.echo(lines)
    else:
        click.echo(to_csv(outcome.table) if form == "csv" else to_json(outcome.table), nl=False)
    if outcome.page is not None:
        click.echo(str(outcome.page), err=apply or form != "table")
    return outcome.exit_code(strict)
