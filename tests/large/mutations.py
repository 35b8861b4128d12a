"""Is a theory that is wrong by 3 % caught? Every closed form and every rule is made wrong, one at a time.

``python -m tests.large.mutations OUTPUT`` writes the table. A mutation is applied to the prediction alone or, where
the code is shared, to everything (a wrong closed form is wrong for the simulation too); the study is the smallest that
exercises it; draws, estimator and sampler are the defaults. Caught means that some row `differs`, which none does
without the error. Forms that no prediction calls are listed with who calls them, and held against quadrature.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import datetime as dt
import functools
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

import varprop as vp
from tests.large.calibration import commit
from tests.large.mutated_forms import activations, forms_in, forms_of, unasked, wrong_form
from tests.large.mutated_rules import rules
from tests.large.mutated_studies import STUDIES

GUIDE = """\
How to read this. A check of a theory is worth what it catches. So each formula that varprop's predictions rest on was
made too large by 3 %, one at a time; the smallest study that uses it was predicted with the wrong formula, simulated
with the default settings (draws, sampler, estimator, alpha, seed 0) and compared. The first column names the formula
(`general` is about a mean, `centred` about 0, `pair` for two inputs, `about` for two inputs about a mean), the second
in how many rows the comparison said `differs`, the last the first of them with their layer. Each study was also
compared without the error; rows that differ there would be false alarms, and the line below the table counts them. The
second table lists the formulas that no prediction calls, who calls them, and how far they are from quadrature, which is
what catches an error in them.
"""


class Mutation(NamedTuple):
    """One error of 3 %: its name, the networks that may show it, and how to make it."""

    name: str
    networks: Callable[[], Iterable[vp.Network]]
    apply: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext


class Outcome(NamedTuple):
    """Rows that differ with the error in the first network that shows it, and without it; whether anything changed."""

    caught: list[str]
    without: list[str]
    changed: bool


def closed_forms() -> Iterator[Mutation]:
    """Yield every closed form that a prediction calls, of one Gaussian variable and of two."""
    for activation in activations():
        for kind, field in forms_of(activation):
            studies = forms_in(activation.name).get((kind, field), ())
            if studies:
                yield closed_form(activation.name, kind, field, studies)


def closed_form(activation: str, kind: str, field: str, studies: tuple[str, ...]) -> Mutation:
    """Return the error in one closed form, to be seen in one of some studies."""
    networks = functools.partial(_built, studies, activation, kind, field)
    return Mutation(f"{activation}: {field}, {kind}", networks)


def everything() -> Iterator[Mutation]:
    """Yield all mutations."""
    yield from closed_forms()
    yield from (Mutation(*rule) for rule in rules())


def _built(studies: tuple[str, ...], name: str, kind: str, field: str) -> Iterator[vp.Network]:
    wrong = wrong_form(vp.activation(name), kind, field)
    return (STUDIES[study](wrong) for study in studies)


def outcome(mutation: Mutation, seed: int = 0) -> Outcome:
    """Compare the networks of a mutation one after the other until one shows it."""
    changed, without = False, []
    for network in mutation.networks():
        _forget()
        with mutation.apply():
            predicted = vp.predict(network)
        _forget()
        plain = _right(network)
        right = vp.predict(plain)
        if np.allclose(predicted["value"], right["value"], rtol=1e-9, atol=0.0, equal_nan=True):
            continue
        changed = True
        simulated = vp.simulate(network, seed=seed, histogram=False)
        without = _without_error(plain, right, seed)
        caught = [row for row in _differing(vp.compare(predicted, simulated)) if row not in without]
        if caught:
            return Outcome(caught, without, True)
    return Outcome([], without, changed)


_KNOWN: dict[tuple[str, int], list[str]] = {}


def _without_error(network: vp.Network, right: pd.DataFrame, seed: int) -> list[str]:
    key = (network.digest(), seed)
    if key not in _KNOWN:
        _forget()
        _KNOWN[key] = _differing(vp.compare(right, vp.simulate(network, seed=seed, histogram=False)))
    return _KNOWN[key]


def _differing(table: pd.DataFrame) -> list[str]:
    wrong = table[table["verdict"] == "differs"]
    return [f"{quantity} {layer}" for quantity, layer in zip(wrong["quantity"], wrong["layer"], strict=True)]


def _right(network: vp.Network) -> vp.Network:
    """Return the network with the registered activations in the place of changed ones."""
    layers = [
        dataclasses.replace(layer, activation=vp.activation(layer.activation.name))
        for layer in network.layers
    ]
    return dataclasses.replace(network, body=tuple(layers))


def _forget() -> None:
    """Empty all caches of the package: they know activations by name."""
    for name, module in list(sys.modules.items()):
        if name.startswith("varprop"):
            for value in list(vars(module).values()):
                if isinstance(value, functools._lru_cache_wrapper):
                    value.cache_clear()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("output", type=Path)
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    today = dt.datetime.now(tz=dt.UTC).date()
    lines = [f"# Which errors of 3 % are caught at the defaults ({today}, commit {commit()})", "", GUIDE]
    lines += ["| error of 3 % in | rows that differ | the first of them |", "|---|---|---|"]
    missed, unchanged, alarms, count = [], [], [], 0
    for mutation in everything():
        if arguments.only not in mutation.name:
            continue
        found, count = outcome(mutation), count + 1
        unchanged += [] if found.changed else [mutation.name]
        missed += [] if found.caught or not found.changed else [mutation.name]
        alarms += [f"{mutation.name}: {', '.join(found.without)}"] if found.without else []
        text = ", ".join(found.caught[:3]) or ("not caught" if found.changed else "changes nothing")
        lines.append(f"| {mutation.name} | {len(found.caught)} | {text} |")
        print(lines[-1], flush=True)
    caught = count - len(missed) - len(unchanged)
    lines += [
        "",
        f"{caught} of {count} caught; without the error rows differ in {len(alarms)} of the studies.",
        "",
    ]
    lines += [f"- not caught: {name}" for name in missed]
    lines += [
        f"- {name}: called, but no prediction of the studies changes; not proven unused" for name in unchanged
    ]
    lines += [f"- differs without the error: {text}" for text in alarms]
    if not arguments.only:
        lines += ["", "Formulas that no prediction calls:", ""]
        lines += ["| formula | called by | largest difference from quadrature |", "|---|---|---|"]
        lines += [
            f"| {name}: {field}, {kind} | {who} | {gap:.0e} |" for name, (kind, field), who, gap in unasked()
        ]
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text("\n".join(lines) + "\n")
    print(caught, "of", count, "caught; missed:", missed, "; unchanged:", unchanged, "; alarms:", alarms)


if __name__ == "__main__":
    main()
