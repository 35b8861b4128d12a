"""The commands that look things up: list and describe."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import click

from varprop._validation import InputError
from varprop.cli.commands import CONTEXT
from varprop.cli.families import is_family
from varprop.cli.options import chosen_study, format_option, network_options

if TYPE_CHECKING:
    import pandas as pd

    from varprop.cli.output import Printed
    from varprop.spec import Study


@click.command("list", context_settings=CONTEXT)
@click.argument("kind", type=click.Choice(["activations", "initializers", "quantities"]))
@format_option
def list_command(kind: str, form: str) -> None:
    """List the activations, initializers (with their law for fans of 100) or quantities that have a name."""
    from varprop.cli.output import show

    if kind == "initializers":
        frame = _initializers(every_column=form != "table")
    else:
        frame = _activations() if kind == "activations" else _quantities()
    show(frame, form, _as_it_is)


@click.command("describe", context_settings=CONTEXT)
@network_options
@format_option
def describe_command(study: str | None, network: dict[str, object], form: str) -> None:
    """Describe STUDY: a study file, an activation or an initializer such as 'leaky_relu(slope=0.2)'.

    With --allow-code also an activation of the form module:function. With options instead: the layers of that
    network. With the name of a family (transformer, resnet, mlp_mixer): its nodes, with op, shape, parameters and law.
    """
    from varprop.cli.output import show

    frame = _network(network) if study is None else _target(study, network)
    show(frame, form, _as_it_is)


def _network(network: dict[str, object]) -> pd.DataFrame:
    return _one_or_all(chosen_study(None, network))


def _one_or_all(study: Study) -> pd.DataFrame:
    """Return the layers or nodes of a network, or of several networks a row each."""
    return study.networks[0].describe() if len(study.networks) == 1 else study.describe()


def _target(text: str, network: dict[str, object]) -> pd.DataFrame:
    import os

    from varprop.activations import registry as activations
    from varprop.initializers import registry as initializers

    name = text.split("(")[0].strip()
    if is_family(text):
        return _one_or_all(chosen_study(text, network))
    if network or text.endswith(".toml") or os.path.isfile(text):  # noqa: PTH113 -- never raises
        study = chosen_study(text, network)
        return study.describe() if study.networks[0].is_chain else _one_or_all(study)
    if name in initializers:
        return _initializer(text)
    if name in activations or ":" in text:
        return _activation(text)
    from varprop._validation import close_match
    from varprop.spec import families

    known = close_match(name, [*activations, *initializers, *families])
    raise InputError("study", text, f"a study file that exists, or {known}")


def _activation(text: str) -> pd.DataFrame:
    import pandas as pd

    from varprop.activations import activation

    phi = activation(text)
    tails = phi.saturation()
    moments = phi.moments(1.0)
    facts: dict[str, object] = {
        "name": phi.name,
        "saturated": _tails(tails.low, tails.high),
        "inactive": ", ".join(f"{_bound(a)} to {_bound(b)}" for a, b in phi.inactive) or "nowhere",
        "kinks": ", ".join(f"{k:g}" for k in phi.kinks) or "none",
        "mean at unit variance": _known(moments.mean),
        "second moment at unit variance": _known(moments.second_moment),
        "E[phi'²] at unit variance": _known(moments.derivative_second_moment),
        "gain that keeps the second moment": _known(1 / math.sqrt(float(moments.second_moment))),
    }
    return pd.DataFrame({"fact": list(facts), "value": list(facts.values())})


def _initializer(text: str) -> pd.DataFrame:
    import pandas as pd

    from varprop.initializers import initializer

    made = initializer(text)
    rows = []
    for fan_in, fan_out in ((100, 100), (1000, 100), (100, 1000), (1000, 1000)):
        law = made.law(fan_in, fan_out)
        rows.append(
            {
                "name": made.name,
                "fan_in": fan_in,
                "fan_out": fan_out,
                "family": law.family,
                "mean": law.mean,
                "variance": law.variance,
                "excess_kurtosis": law.excess_kurtosis,
                "fan_in x variance": fan_in * law.variance,
                "iid": law.iid,
            }
        )
    return pd.DataFrame(rows)


def _activations() -> pd.DataFrame:
    import inspect

    import pandas as pd

    from varprop.activations import registry

    rows = []
    for name, aliases in _by_factory(registry).items():
        parameters = inspect.signature(registry[name]).parameters.values()
        arguments = ", ".join(
            p.name if p.default is inspect.Parameter.empty else f"{p.name}={p.default}" for p in parameters
        )
        meaning = (inspect.getdoc(registry[name]) or "").split("\n")[0]
        rows.append({"name": name, "also": aliases, "arguments": arguments, "meaning": meaning})
    return pd.DataFrame(rows)


def _initializers(every_column: bool) -> pd.DataFrame:
    from varprop.initializers import registry, table

    aliases = _by_factory(registry)
    frame = table()
    frame.insert(1, "also", [aliases.get(spelling.split("(")[0], "") for spelling in frame["initializer"]])
    shown = ["initializer", "also", "family", "variance", "excess_kurtosis", "preserves", "suits"]
    return frame if every_column else frame[shown]


def _quantities() -> pd.DataFrame:
    import pandas as pd

    from varprop.results.schema import QUANTITIES

    return pd.DataFrame([{"name": n, "kind": q.kind, "meaning": q.meaning} for n, q in QUANTITIES.items()])


def _by_factory(registry: Mapping[str, object]) -> dict[str, str]:
    """Return the first name of every factory with its other names."""
    found: dict[int, list[str]] = {}
    for name, factory in registry.items():
        found.setdefault(id(factory), []).append(name)
    return {first: ", ".join(others) for first, *others in found.values()}


def _as_it_is(frame: pd.DataFrame, _: Sequence[str]) -> Iterator[Printed]:
    from varprop.plots.labels import short
    from varprop.reporting.numerals import number

    rows = [
        [number(v, 6) if isinstance(v, float) else short(v, 100) for v in row]
        for row in frame.itertuples(index=False)
    ]
    yield "", list(frame.columns), rows


def _tails(low: float, high: float) -> str:
    sides = [f"z ≤ {low:.6g}"] if low > -math.inf else []
    sides += [f"z ≥ {high:.6g}"] if high < math.inf else []
    return " or ".join(sides) or "nowhere"


def _bound(value: float) -> str:
    return f"{value:g}" if math.isfinite(value) else ("−∞" if value < 0 else "∞")


def _known(value: object) -> str:
    return "not known" if value is None else f"{float(value):.8g}"  # type: ignore[arg-type]
