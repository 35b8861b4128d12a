"""The commands that compute: report, predict, simulate, compare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from varprop.cli.commands import CONTEXT, debug_option
from varprop.cli.options import (
    chosen_study,
    comparison_options,
    format_option,
    network_options,
    simulation_options,
)

if TYPE_CHECKING:
    import pandas as pd

    from varprop.spec import Study

_STRICT = click.option("--strict", is_flag=True, help="Exit with 1 if any row differs.")
_ORDER = click.option(
    "--order", default="best", show_default=True, help="How far theory may go: best, exact, 1/n or infinite."
)
_QUANTITY = click.option(
    "--quantity", "quantities", multiple=True, help="Show only this; may be given several times."
)


@click.command("report", context_settings=CONTEXT)
@network_options
@click.option("-o", "--output", default="reports/latest", show_default=True, help="The folder to write.")
@click.option(
    "--force", is_flag=True, help="Replace a former report, unless a file of it was edited or added."
)
@_STRICT
@_ORDER
@comparison_options
@debug_option
def report_command(
    study: str | None,
    network: dict[str, Any],
    output: str,
    force: bool,
    strict: bool,
    order: str,
    simulation: dict[str, Any],
) -> int:
    """Write a report on STUDY (a TOML file), on a network given by options, or on the default study.

    The folder then holds report.html, report.md, layers.csv, comparison.csv, study.toml, provenance.json and
    figures. Its page's path is printed.
    """
    from varprop.cli.progress import terminal_progress
    from varprop.pipeline import examine
    from varprop.reporting.folder import claimed_folder
    from varprop.reporting.write import fill_report

    with claimed_folder(output, force=force, store=simulation.get("store")) as claim:
        chosen = chosen_study(study, network, default=True)
        with terminal_progress() as progress:
            evidence = examine(chosen, order=order, progress=progress, **simulation)
        page = fill_report(claim, evidence)
    _say(evidence.compared)
    click.echo(str(page))
    return _code(evidence.compared["verdict"], strict)


@click.command("predict", context_settings=CONTEXT)
@network_options
@_ORDER
@_QUANTITY
@format_option
def predict_command(
    study: str | None, network: dict[str, Any], order: str, quantities: tuple[str, ...], form: str
) -> None:
    """Print what theory says about STUDY (a TOML file) or a network given by options."""
    from varprop.cli.output import layer_tables, show
    from varprop.pipeline import predict

    frame = predict(chosen_study(study, network), order=order)
    show(frame, form, layer_tables, quantities)


@click.command("simulate", context_settings=CONTEXT)
@network_options
@simulation_options
@_QUANTITY
@format_option
def simulate_command(
    study: str | None,
    network: dict[str, Any],
    simulation: dict[str, Any],
    quantities: tuple[str, ...],
    form: str,
) -> None:
    """Print what Monte Carlo measures on STUDY (a TOML file) or a network given by options."""
    from varprop.cli.output import layer_tables, show
    from varprop.cli.progress import terminal_progress
    from varprop.pipeline import simulate

    chosen = chosen_study(study, network)
    with terminal_progress() as progress:
        frame = simulate(chosen, progress=progress, **simulation)
    show(frame, form, layer_tables, quantities)


@click.command("compare", context_settings=CONTEXT)
@network_options
@_ORDER
@comparison_options
@click.option("--margin", type=float, help="Relative difference that does not matter.  [default: 0.02]")
@click.option("--alpha", type=float, help="Family-wise error rate.  [default: 0.05]")
@_STRICT
@_QUANTITY
@format_option
def compare_command(
    study: str | None,
    network: dict[str, Any],
    order: str,
    simulation: dict[str, Any],
    margin: float | None,
    alpha: float | None,
    strict: bool,
    quantities: tuple[str, ...],
    form: str,
) -> int:
    """Print theory, measurement and verdict for every row of STUDY (a TOML file) or a network."""
    from varprop.cli.output import show, verdict_tables
    from varprop.cli.progress import terminal_progress
    from varprop.pipeline import examine

    chosen = _judged(chosen_study(study, network), margin, alpha)
    with terminal_progress() as progress:
        frame = examine(chosen, order=order, progress=progress, **simulation).compared
    show(frame, form, verdict_tables, quantities)
    _say(frame)
    return _code(frame["verdict"], strict)


def _judged(study: Study, margin: float | None, alpha: float | None) -> Study:
    from dataclasses import replace

    return replace(
        study,
        margin=study.margin if margin is None else margin,
        alpha=study.alpha if alpha is None else alpha,
    )


def _say(compared: pd.DataFrame) -> None:
    """Say on standard error how the table ends, and how many draws would settle what it leaves open."""
    from varprop.reporting.sentences import draws_words, headline

    command = f"{click.get_current_context().command_path} … --draws {{}}"
    for line in (headline(compared), draws_words(compared, command)):
        if line:
            click.echo(line, err=True)


def _code(verdicts: Any, strict: bool) -> int:
    return int(strict and bool((verdicts == "differs").any()))
