"""The command group, which imports a command's module only when that command runs."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click

from varprop._validation import check_one_of

CONTEXT = {"help_option_names": ["-h", "--help"]}

COMMANDS: Mapping[str, tuple[str, str]] = {
    "report": ("varprop.cli.run", "Write a report: a page, figures and tables."),
    "predict": ("varprop.cli.run", "Print what theory says, layer by layer."),
    "simulate": ("varprop.cli.run", "Print what Monte Carlo measures, layer by layer."),
    "compare": ("varprop.cli.run", "Print both with a verdict for every row."),
    "explain": ("varprop.cli.explain", "Compare the gains for an activation."),
    "audit": ("varprop.cli.models", "Audit a real model: does it start as promised?"),
    "verify": ("varprop.cli.files", "Check the file that --store has written."),
    "list": ("varprop.cli.show", "List activations, initializers or quantities."),
    "describe": ("varprop.cli.show", "Describe a study, an activation or an initializer."),
}


class LazyGroup(click.Group):
    """A group whose help needs no command's module."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in their order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(COMMANDS[cmd_name][0])
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; an unknown one is answered with its close match."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            check_one_of("command", args[0], COMMANDS)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


def _show_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        import varprop

        click.echo(f"varprop {varprop.__version__}")
        ctx.exit()


def debug_option(function: Any) -> Any:
    """Add ``--debug``, which `varprop.cli.boundary` looks for itself."""
    return click.option(
        "--debug", is_flag=True, expose_value=False, help="Show the details of an error of ours."
    )(function)


@click.group(cls=LazyGroup, context_settings=CONTEXT)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version.",
)
@debug_option
def group() -> None:
    """What an initializer does to a neural network before training.

    varprop computes the mean and variance of every layer's pre-activations, the share of saturated, inactive
    and dead units, and the size of the gradients: from theory, by Monte Carlo, and whether the two agree.

    \b
    varprop report
    varprop predict --input half_on:1000 --widths 500x10,10 --activation tanh --weights glorot_normal
    varprop compare --input gaussian:784x64 --widths 300x5,10 --activation relu --weights he_normal
    """
