"""Nothing but `InputError` escapes, whatever is passed: the public functions, studies, files, the command line.

Each test draws cases by hypothesis: the same 40 in every run of the suite, 9100 new ones (100,100 in all) by
``make fuzz``. A case passes if the call returns or raises `InputError` with one short printable line; anything else,
a warning included, fails.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import varprop as vp
from tests.cli.running import run
from tests.fuzz.values import (
    ACTIVATIONS,
    INITIALIZERS,
    NUMBERS,
    TEXTS,
    THINGS,
    data_files,
    mostly,
    networks,
    studies,
)
from varprop.initializers import Law

_CASES = os.environ.get("FUZZ_CASES", "")
fuzzed = settings(
    max_examples=int(_CASES or 40),
    derandomize=not _CASES,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
LONGEST_LINE = 1000


def attempt(call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Return the result of a call, None if it refuses its arguments in one clear line."""
    try:
        return call(*arguments, **options)
    except vp.InputError as error:
        message = str(error)
        assert message.isprintable()
        assert len(message) <= LONGEST_LINE
        return None


class _Drawn:
    """Builds a strategy's value inside `attempt`, so that refusals of builders count as such."""

    def __init__(self, data: st.DataObject) -> None:
        self.data = data

    def network(self) -> Any:
        return attempt(lambda: self.data.draw(networks()))


@fuzzed
@given(st.data())
def test_networks_are_predicted_or_refused(data: st.DataObject) -> None:
    network = _Drawn(data).network()
    if network is None:
        return
    order = data.draw(mostly(st.sampled_from(["best", "exact", "1/n", "infinite"])))
    predicted = attempt(vp.predict, network, order=order, share=data.draw(mostly(st.none())))
    if predicted is not None:
        attempt(vp.diagnose, predicted, limit=data.draw(mostly(st.just(100.0))))
        attempt(vp.suggest, predicted)
    attempt(network.describe)


@fuzzed
@given(st.data())
def test_networks_are_simulated_and_compared_or_refused(data: st.DataObject) -> None:
    network = _Drawn(data).network()
    if network is None:
        return
    simulated = attempt(
        vp.simulate,
        network,
        draws=data.draw(mostly(st.integers(2, 6))),
        seed=data.draw(mostly(st.integers(0, 3))),
        sampler=data.draw(mostly(st.sampled_from(["auto", "dense", "conditional", "chain"]))),
        estimator=data.draw(mostly(st.sampled_from(["auto", "plain", "control"]))),
        share=data.draw(mostly(st.none())),
        memory=data.draw(mostly(st.just(2**30))),
    )
    predicted = attempt(vp.predict, network)
    if simulated is not None and predicted is not None:
        attempt(vp.compare, predicted, simulated, margin=data.draw(mostly(st.just(0.02))))


@fuzzed
@given(ACTIVATIONS, NUMBERS, NUMBERS, st.floats(-1.0, 1.0))
def test_moments_are_given_or_refused(spelling: str, q: Any, other: Any, correlation: float) -> None:
    phi = attempt(vp.activation, spelling)
    if phi is None:
        return
    attempt(phi.moments, q)
    attempt(phi.moments, q, mean=other)
    cov = correlation * np.sqrt(abs(float(q))) * np.sqrt(abs(float(other))) if _floats(q, other) else other
    attempt(phi.pair_moments, q, other, cov)


@fuzzed
@given(INITIALIZERS, NUMBERS, NUMBERS)
def test_laws_are_given_or_refused(spelling: str, fan_in: Any, fan_out: Any) -> None:
    law = attempt(vp.initializer, spelling)
    if law is not None:
        found = attempt(law.law, fan_in, fan_out)
        assert found is None or isinstance(found, Law)


@fuzzed
@given(st.data())
def test_mean_field_functions_answer_or_refuse(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(MEAN_FIELD)))
    phi = data.draw(mostly(ACTIVATIONS))
    arguments = [data.draw(mostly(strategy)) for strategy in MEAN_FIELD[name]]
    attempt(getattr(vp, name), phi, *arguments)


POSITIVE = st.one_of(st.floats(0.05, 5.0), NUMBERS)
MEAN_FIELD: dict[str, tuple[Any, ...]] = {
    "fixed_points": (POSITIVE, POSITIVE),
    "length_curve": (POSITIVE, POSITIVE),
    "correlation_curve": (POSITIVE, POSITIVE),
    "jacobian_spectrum": (POSITIVE, st.integers(1, 30)),
    "gain": (),
}


@fuzzed
@given(st.data())
def test_functions_of_a_network_answer_or_refuse(data: st.DataObject) -> None:
    network = _Drawn(data).network()
    if network is None:
        return
    name = data.draw(st.sampled_from(["design_effects", "gradient_ratio", "width_spread", "solve"]))
    options = {} if name == "solve" else {"example": data.draw(mostly(st.just(0)))}
    attempt(getattr(vp, name), network, **options)


@fuzzed
@given(st.data())
def test_builders_of_inputs_answer_or_refuse(data: st.DataObject) -> None:
    name = data.draw(
        st.sampled_from(["half_on", "constant", "gaussian", "digits", "data", "circles", "moons"])
    )
    things = data.draw(st.lists(THINGS, min_size=1, max_size=3))
    with contextlib.suppress(TypeError):  # more arguments than the function has
        import inspect

        inspect.signature(getattr(vp, name)).bind(*things)
        attempt(getattr(vp, name), *things)


@fuzzed
@given(studies())
def test_studies_are_read_or_refused(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "study.toml")
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        study = attempt(vp.read_study, path)
        if study is not None:
            assert vp.write_study(study)


@fuzzed
@given(data_files(), st.data())
def test_data_files_are_read_or_refused(file: tuple[str, bytes], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, file[0])
        path.write_bytes(file[1])
        attempt(
            vp.data,
            path,
            standardize=data.draw(mostly(st.booleans())),
            labels=data.draw(mostly(st.none())),
            batch=data.draw(mostly(st.none())),
        )


TABLE = vp.predict(vp.mlp([4, 2], "relu", "he_normal", input=vp.gaussian(3, 2)))
MEASURED = vp.simulate(vp.mlp([4, 2], "relu", "he_normal", input=vp.gaussian(3, 2)), draws=4)


@fuzzed
@given(st.data())
def test_tables_are_compared_or_refused(data: st.DataObject) -> None:
    damaged = [_damaged(table, data) for table in (TABLE, MEASURED)]
    attempt(vp.compare, *damaged)
    attempt(vp.diagnose, damaged[0])
    attempt(vp.suggest, damaged[0])


def _damaged(table: pd.DataFrame, data: st.DataObject) -> Any:
    table = table.copy()
    for _ in range(data.draw(st.integers(0, 2))):
        action = data.draw(st.integers(0, 5))
        column = data.draw(st.sampled_from(list(table.columns)))
        if action == 0:
            table = table.drop(columns=column)
        elif action == 1:
            cells = [data.draw(THINGS)] * len(table) if len(table) else []
            try:
                table[column] = cells
            except OverflowError:  # pandas 2.1 looks for a type of numbers that long
                table[column] = pd.Series(cells, index=table.index, dtype=object)
        elif action == 2:
            table = table.sample(frac=0.5, random_state=1)
        elif action == 3:
            table = pd.concat([table, table.head(2)])
        elif action == 4:
            table = table.iloc[:0]
        else:
            values = table[column].astype(object)
            if len(values):
                values.iloc[0] = data.draw(THINGS)
            table[column] = values
        if not len(table.columns):
            break
    return table


COMMANDS = ["report", "predict", "simulate", "compare", "explain", "list", "describe", "audit", "nonsense"]
FLAGS = [
    "--input", "--widths", "--activation", "--weights", "--biases", "--gain", "--output-activation", "--head",
    "--draws", "--seed", "--sampler", "--estimator", "--workers", "--format", "--share", "-o", "--mystery",
]  # fmt: skip
SOUND = {
    "--input": st.sampled_from(["half_on:6", "gaussian:4x2", "constant:3", "digits:2"]),
    "--widths": st.sampled_from(["3x2,2", "2", "4,3,2"]),
    "--activation": ACTIVATIONS,
    "--weights": INITIALIZERS,
    "--biases": INITIALIZERS,
    "--gain": st.sampled_from(["1", "0.5", "1e-6", "1e200", "nan"]),
    "--draws": st.sampled_from(["2", "4", "5"]),
    "--format": st.sampled_from(["csv", "json", "table"]),
}


@fuzzed
@given(st.data())
def test_commands_end_with_a_documented_code(data: st.DataObject) -> None:
    command = data.draw(st.sampled_from(COMMANDS))
    arguments = [command]
    if command == "explain":
        arguments.append(data.draw(mostly(ACTIVATIONS, TEXTS)))
    if command in ("describe", "list"):
        arguments.append(data.draw(st.one_of(TEXTS, ACTIVATIONS, INITIALIZERS)))
    if command in ("predict", "simulate", "compare"):
        arguments += ["--widths", "3,2"] + (["--draws", "3"] if command != "predict" else [])
        for flag in data.draw(st.lists(st.sampled_from(FLAGS), max_size=3, unique=True)):
            arguments += [flag, data.draw(mostly(SOUND.get(flag, TEXTS), TEXTS))]
    if command == "report":
        arguments += ["-o", data.draw(TEXTS), data.draw(TEXTS), "--draws", data.draw(TEXTS)]
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            outcome = run(*(a.replace("\x00", "") for a in arguments))
        finally:
            os.chdir(here)
    assert outcome.code in (0, 1, 2), outcome.err
    assert "Traceback" not in outcome.err
    if outcome.code == 2:
        assert len(outcome.err.splitlines()) <= 1, outcome.err
        assert outcome.out == ""


def _floats(*values: Any) -> bool:
    return all(abs(v) < 1e300 for v in values)
