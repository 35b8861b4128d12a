from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pandas as pd
import pytest

from tests.cli.running import run
from varprop.cli.commands import COMMANDS
from varprop.results.schema import COMPARED_COLUMNS, PREDICTED_COLUMNS, QUANTITIES, SIMULATED_COLUMNS

NEURON = (
    "--input",
    "half_on:1000",
    "--widths",
    "1",
    "--weights",
    "standard_normal",
    "--biases",
    "standard_normal",
)
SMALL = ("--input", "half_on:20", "--widths", "30x2,10", "--activation", "relu", "--weights", "he_normal")


def test_predict_gives_501() -> None:
    outcome = run("predict", *NEURON, "--format", "csv")
    assert outcome.code == 0
    table = pd.read_csv(io.StringIO(outcome.out))
    assert tuple(table.columns)[: len(PREDICTED_COLUMNS)] == PREDICTED_COLUMNS
    assert table.set_index("quantity").value["preactivation_variance"] == pytest.approx(501, rel=1e-12)
    assert outcome.err == ""


def test_simulate_gives_the_same_table_for_the_same_seed() -> None:
    first, again, other = (
        run("simulate", *SMALL, "--draws", "20", "--seed", seed, "--format", "csv")
        for seed in ("3", "3", "4")
    )
    assert tuple(pd.read_csv(io.StringIO(first.out)).columns) == SIMULATED_COLUMNS
    assert first.out == again.out != other.out


def test_compare_gives_verdicts_as_json() -> None:
    outcome = run("compare", *SMALL, "--draws", "20", "--format", "json")
    assert outcome.code == 0
    rows = json.loads(outcome.out)
    assert tuple(rows[0]) == COMPARED_COLUMNS
    assert {row["verdict"] for row in rows} <= {"agrees", "differs", "undecided", "unpredicted"}
    ends, more = outcome.err.splitlines()
    assert ends.endswith(".")
    assert re.fullmatch(r"[\d,]+ draws settle .*: varprop compare … --draws \d+", more)


def test_tables_for_readers_hold_every_layer_at_full_width() -> None:
    outcome = run("predict", "--widths", "100x12,10", "--activation", "tanh", "--weights", "glorot_normal")
    lines = [line.split() for line in outcome.out.splitlines()]
    assert [line[0] for line in lines if line and line[0].isdigit()] == [str(i) for i in range(1, 14)]
    assert "…" not in outcome.out
    assert "\x1b" not in outcome.out


def test_several_initializers_and_activations_give_every_combination() -> None:
    outcome = run(
        *("predict", "--widths", "20,5", "--activation", "relu", "--activation", "linear"),
        *("--weights", "he_normal", "--weights", "orthogonal", "--format", "csv"),
    )
    assert pd.read_csv(io.StringIO(outcome.out)).case.nunique() == 4


def test_one_quantity_can_be_asked_for() -> None:
    outcome = run("predict", *SMALL, "--quantity", "initial_loss", "--head", "mse", "--format", "csv")
    assert outcome.code == 2  # mse needs targets, which a command line cannot give
    outcome = run("predict", *SMALL, "--quantity", "gradient_bias", "--format", "csv")
    assert set(pd.read_csv(io.StringIO(outcome.out)).quantity) == {"gradient_bias"}


def test_a_study_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "two.toml"
    file.write_text('draws = 10\n[[network]]\nwidths = "20,5"\nactivation = "relu"\nweights = "he_normal"\n')
    table = pd.read_csv(io.StringIO(run("simulate", str(file), "--format", "csv").out))
    assert set(table.n_draws) == {10}
    table = pd.read_csv(io.StringIO(run("simulate", str(file), "--draws", "12", "--format", "csv").out))
    assert set(table.n_draws) == {12}


def test_report_writes_a_folder_and_prints_its_page(tmp_path: Path) -> None:
    outcome = run("report", *SMALL, "--draws", "10", "-o", str(tmp_path / "out"))
    assert outcome.code == 0
    assert outcome.out.strip() == str(tmp_path / "out" / "report.html")
    assert (tmp_path / "out" / "report.html").is_file()
    again = run("report", *SMALL, "--draws", "10", "-o", str(tmp_path / "out"))
    assert again.code == 2
    assert "--force" in again.err
    assert run("report", *SMALL, "--draws", "10", "-o", str(tmp_path / "out"), "--force").code == 0


def test_strict_exits_with_1_if_a_row_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    from varprop import pipeline

    honest = pipeline.predict

    def wrong(*arguments: object, **keywords: object) -> pd.DataFrame:
        table = honest(*arguments, **keywords)  # type: ignore[arg-type]
        return table.assign(value=table["value"] * 3, log_value=table["log_value"] + 1.0986)

    assert run("compare", *SMALL, "--draws", "200", "--strict").code == 0
    monkeypatch.setattr(pipeline, "predict", wrong)
    assert run("compare", *SMALL, "--draws", "200").code == 0
    assert run("compare", *SMALL, "--draws", "200", "--strict").code == 1


@pytest.mark.parametrize("kind", ["activations", "initializers", "quantities"])
@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_lists_are_complete(kind: str, form: str) -> None:
    from varprop.activations import registry as activations
    from varprop.initializers import registry as initializers

    outcome = run("list", kind, "--format", form)
    assert outcome.code == 0
    expected = {"activations": activations, "initializers": initializers, "quantities": QUANTITIES}[kind]
    assert not [name for name in expected if name not in outcome.out]


@pytest.mark.parametrize(
    ("target", "word"),
    [
        ("tanh", "saturated"),
        ("leaky_relu(slope=0.2)", "kinks"),
        ("he_normal", "variance"),
    ],
)
def test_names_are_described(target: str, word: str) -> None:
    outcome = run("describe", target)
    assert outcome.code == 0, outcome.err
    assert word in outcome.out


def test_networks_and_studies_are_described(tmp_path: Path) -> None:
    from varprop.spec import default_study, write_study

    assert "sigma_w2" in run("describe", *SMALL).out
    write_study(default_study(), tmp_path / "default.toml")
    assert "lecun_normal · sigmoid" in run("describe", str(tmp_path / "default.toml")).out


def test_explain_compares_gains() -> None:
    outcome = run("explain", "relu")
    assert outcome.code == 0
    assert " 1.414 " in outcome.out
    assert "healthy both ways" in outcome.out
    table = pd.read_csv(io.StringIO(run("explain", "gelu", "--format", "csv").out))
    assert set(table.criterion) >= {"second_moment", "variance", "edge_of_chaos"}


MODEL = """
import torch.nn as nn

def deep():
    return nn.Sequential(*[m for _ in range(8) for m in (nn.Linear(32, 32), nn.ReLU())], nn.Linear(32, 5))
"""


@pytest.mark.torch
def test_audit_judges_a_real_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    (tmp_path / "varprop_test_models.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    place = ("audit", "varprop_test_models:deep", "--input", "8x32", "--draws", "3")
    outcome = run(*place)
    assert outcome.code == 0, outcome.err
    assert "backward: vanishing" in outcome.out
    assert run(*place, "--strict").code == 1
    code = run(*place, "--apply").out
    assert "kaiming_normal_" in code
    compile(code, "changes.py", "exec")
    outcome = run(*place, "-o", str(tmp_path / "out"))
    assert (tmp_path / "out" / "report.html").is_file()
    assert str(tmp_path / "out" / "report.html") in outcome.out


def test_functions_beside_the_command_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "varprop_test_activation.py").write_text(
        "import numpy as np\n\ndef f(z):\n    return np.tanh(z)\n"
    )
    monkeypatch.chdir(tmp_path)
    place = ("--activation", "varprop_test_activation:f", "--widths", "10,5", "--allow-code")
    outcome = run("predict", *place)
    assert outcome.code == 0, outcome.err


def test_workers_and_store_give_the_same_table(tmp_path: Path) -> None:
    place = ("simulate", *SMALL, "--draws", "40", "--format", "csv")
    alone = run(*place).out
    assert run(*place, "--workers", "2").out == alone
    store = ("--store", str(tmp_path / "run.sqlite"))
    assert run(*place, *store).out == alone
    assert run(*place, *store, "--resume").out == alone
    assert run(*place, *store, "--no-resume").code == 2


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    outcome = run(command, "--help")
    assert outcome.code == 0
    assert outcome.out.startswith(f"Usage: varprop {command}")


def test_help_and_version() -> None:
    import varprop

    assert all(command in run("--help").out for command in COMMANDS)
    assert run("--version").out == f"varprop {varprop.__version__}\n"
