"""Options that several commands share, and the study they add up to."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from varprop._code import code_from_text, code_is_permitted, working_folder_on_path
from varprop._validation import InputError
from varprop.cli.commands import debug_option

if TYPE_CHECKING:
    from varprop.spec import Study

WIDTHS, ACTIVATION, WEIGHTS = "200x9,10", "tanh", "glorot_normal"
"""The network of a command line that says nothing about it."""

_FAMILY = {
    "preset": "gpt2, bert-base, llama-7b, vit-b/16, t5-small and others",
    "depth": "number of blocks or layers",
    "width": "features",
    "heads": "heads of attention",
    "tokens": "positions of an example",
    "vocabulary": "number of tokens",
}
"""Arguments of families that have an option of their own."""

_NETWORK: tuple[tuple[str, dict[str, Any]], ...] = (
    (
        "--input",
        {
            "help": "half_on:1000, constant:1000, gaussian:784x64, digits:64, tokens:64x50257, images:3x32x32 or a "
            ".csv, .npy or .parquet file.  [default: half_on of the first width's size, or of 1000 for one layer]"
        },
    ),
    ("--widths", {"help": f"Widths of the layers; 500x10 is ten of 500.  [default: {WIDTHS}]"}),
    ("--activation", {"multiple": True, "help": f"Of all layers but the last.  [default: {ACTIVATION}]"}),
    ("--weights", {"multiple": True, "help": f"Initializer of the weights.  [default: {WEIGHTS}]"}),
    ("--biases", {"help": "Initializer of the biases.  [default: zeros, or what belongs to the weights]"}),
    ("--gain", {"type": float, "help": "Factor on every weight.  [default: 1]"}),
    ("--output-activation", {"help": "Of the last layer.  [default: linear]"}),
    (
        "--head",
        {
            "help": "What starts the gradient: unit, mse, bce, softmax_ce.  [default: unit; of a family softmax_ce]"
        },
    ),
    *((f"--{key}", {"help": f"Of the family STUDY: {what}."}) for key, what in _FAMILY.items()),
    (
        "--set",
        {
            "multiple": True,
            "metavar": "KEY=VALUE",
            "help": "Another argument of the family STUDY, such as norm=post; may be given several times.",
        },
    ),
)

_SIMULATION: tuple[tuple[str, dict[str, Any]], ...] = (
    ("--seed", {"type": int, "help": "The same seed gives the same table.  [default: the study's, or 0]"}),
    ("--sampler", {"help": "auto, dense, conditional or chain.  [default: auto]"}),
    ("--estimator", {"help": "auto, plain or control (sharper, where it holds).  [default: auto]"}),
    (
        "--compiled",
        {"is_flag": True, "default": None, "help": "Use the compiled kernels of the extra `fast`."},
    ),
    ("--workers", {"type": int, "help": "Worker processes.  [default: none, this process does the work]"}),
    ("--scheduler", {"help": "Address of a Dask scheduler whose workers do it: tcp://host:8786."}),
    ("--memory", {"help": "Most that a process may take, such as 4GiB.  [default: 1GiB]"}),
    ("--store", {"help": "SQLite file that keeps finished blocks."}),
    (
        "--resume/--no-resume",
        {"default": None, "help": "Whether an existing store is continued.  [default: yes]"},
    ),
)


def network_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the argument STUDY and the options that make a network, and hand them on as ``network``."""
    names = [flag.removeprefix("--").replace("-", "_") for flag, _ in _NETWORK]

    def gathered(study: str | None, **rest: Any) -> Any:
        made = {name: rest.pop(name) for name in names}
        return function(study=study, network={k: v for k, v in made.items() if v not in (None, ())}, **rest)

    gathered.__doc__, gathered.__name__ = function.__doc__, function.__name__
    gathered.__click_params__ = list(getattr(function, "__click_params__", []))  # type: ignore[attr-defined]
    made = _with_options(code_option(gathered), _NETWORK)
    return click.argument("study", required=False)(made)


def code_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--allow-code``, which permits ``module:name`` until the command ends."""
    decorated: Callable[..., Any] = click.option(
        "--allow-code",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_permit_code,
        help="Let names be package.module:function. This imports the module, that is, executes it.",
    )(function)
    return decorated


def _permit_code(context: click.Context, _: click.Parameter, given: bool) -> None:
    if given and not context.resilient_parsing:
        context.with_resource(code_from_text(True))
        context.with_resource(working_folder_on_path())


_DRAWS = ("--draws", {"type": int, "help": "Networks drawn per case.  [default: the study's, or 200]"})

_LOOKS: tuple[tuple[str, dict[str, Any]], ...] = (
    (
        "--draws",
        {
            "help": "Networks drawn per case; auto: 50, 100, 200, … for cases with rows that more draws would settle.  "
            "[default: the study's, or auto]"
        },
    ),
    ("--budget", {"type": int, "help": "With auto: most draws of a case.  [default: about a second's work]"}),
    (
        "--seconds",
        {"type": float, "help": "With auto: begin no look after this time.  [default: no such limit]"},
    ),
)


def simulation_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a simulation, and hand on those given as ``simulation``."""
    return _simulation(function, (_DRAWS, *_SIMULATION))


def comparison_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a simulation that a comparison may go on with, and hand on those given as ``simulation``."""
    return _simulation(function, (*_LOOKS, *_SIMULATION))


def _simulation(
    function: Callable[..., Any], options: tuple[tuple[str, dict[str, Any]], ...]
) -> Callable[..., Any]:
    names = [flag.removeprefix("--").split("/")[0].replace("-", "_") for flag, _ in options]

    def gathered(**rest: Any) -> Any:
        made = {name: rest.pop(name) for name in names}
        chosen = {k: v for k, v in made.items() if v is not None}
        return function(simulation=_checked_simulation(chosen), **rest)

    gathered.__doc__, gathered.__name__ = function.__doc__, function.__name__
    gathered.__click_params__ = list(getattr(function, "__click_params__", []))  # type: ignore[attr-defined]
    return _with_options(gathered, options)


def _checked_simulation(chosen: dict[str, Any]) -> dict[str, Any]:
    """Put workers or scheduler under the name the engine knows, and refuse what makes no sense together."""
    places = [name for name in ("workers", "scheduler") if name in chosen]
    if len(places) == 2:
        raise InputError("scheduler", chosen["scheduler"], "either --workers or --scheduler, not both")
    if "resume" in chosen and "store" not in chosen:
        raise InputError("resume", chosen["resume"], "--store FILE with it")
    if isinstance(chosen.get("draws"), str):
        text = chosen["draws"].strip()
        chosen["draws"] = int(text) if re.fullmatch(r"-?\d{1,18}", text, re.ASCII) else text
    if "memory" in chosen:
        chosen["memory"] = _bytes(chosen["memory"])
    return {"executor" if name in places else name: value for name, value in chosen.items()}


def _bytes(text: str) -> int:
    match = re.fullmatch(r"\s*(\d{1,15})\s*(?:([KMGT]i?)?B?)\s*", text, re.IGNORECASE | re.ASCII)
    if match is None:
        raise InputError("memory", text, "a number of bytes such as 800MiB or 4GiB")
    power = ("", "K", "M", "G", "T").index((match[2] or "")[:1].upper())
    return int(match[1]) << 10 * power


def format_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--format`` and ``--debug``."""
    choice = click.Choice(["table", "csv", "json"])
    option = click.option(
        "--format",
        "form",
        type=choice,
        default="table",
        show_default=True,
        help="csv and json have every row.",
    )
    decorated: Callable[..., Any] = option(debug_option(function))
    return decorated


def _with_options(
    function: Callable[..., Any], options: tuple[tuple[str, dict[str, Any]], ...]
) -> Callable[..., Any]:
    for flag, settings in reversed(options):
        function = click.option(flag, **settings)(function)
    return function


def chosen_study(study: str | None, network: dict[str, Any], default: bool = False) -> Study:
    """Return the study that a command line speaks of: a file, a family, or networks made from options.

    Several ``--activation`` or ``--weights`` give every combination.

    Raises
    ------
    InputError
        Both a file and options, or anything the spec refuses.
    """
    from varprop.cli.families import family_networks, is_family
    from varprop.spec import Study, default_study, mlp, parse_input, read_study

    if study is not None and is_family(study):
        options = {key: value for key, value in network.items() if key != "set" and key not in _FAMILY}
        settings = [f"{key}={network[key]}" for key in _FAMILY if key in network]
        made = family_networks(study, options, [*settings, *network.get("set", ())])
        return Study("command line", made, title=f"What the initializer does to {made[0].case}"[:200])
    alone = next((key for key in (*_FAMILY, "set") if key in network), None)
    if alone is not None:
        found = network[alone] if alone != "set" else network["set"][0]
        raise InputError(alone, found, "the name of a family before it: transformer, resnet or mlp_mixer")
    if study is not None and network:
        flag = "--" + next(iter(network)).replace("_", "-")
        raise InputError("study", study, f"either a study file or options such as {flag}, not both")
    if study is not None:
        return read_study(study, code=code_is_permitted())
    if default and not network:
        return default_study()
    common = {k: v for k, v in network.items() if k not in ("widths", "activation", "weights")}
    if "input" in common:  # read once, whatever the number of networks
        common["input"] = parse_input(common["input"])
    networks = tuple(
        mlp(network.get("widths", WIDTHS), activation, weights, **common)
        for activation in network.get("activation", (ACTIVATION,))
        for weights in network.get("weights", (WEIGHTS,))
    )
    title = "What the initializer does to this network" if len(networks) == 1 else "What the initializers do"
    return Study("command line", networks, title=title)
