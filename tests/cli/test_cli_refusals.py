"""Bad input: exit code 2, one line on standard error, nothing on standard output, nothing written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.cli.running import refused, run


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("predict", "--activation", "rellu"), "relu"),
        (("predict", "--weights", "he_norml"), "he_normal"),
        (("predict", "--biases", "zeross"), "zeros"),
        (("predict", "--widths", "0"), "at least 1"),
        (("predict", "--widths", "-5"), "widths"),
        (("predict", "--widths", "10.5"), "widths"),
        (("predict", "--widths", "true"), "widths"),
        (("predict", "--widths", ""), "widths"),
        (("predict", "--widths", "10,,10"), "widths"),
        (("predict", "--widths", "10x999999999999"), "100000"),
        (("predict", "--weights", "normal(std=nan)"), "finite"),
        (("predict", "--weights", "normal(std=-1)"), "std"),
        (("predict", "--weights", "normal(stdd=1)"), "std"),
        (("predict", "--weights", "__import__('os').system('true')"), "weights"),
        (("predict", "--activation", "leaky_relu(slope=inf)"), "finite"),
        (("predict", "--gain", "nan"), "gain"),
        (("predict", "--input", "half_on:0"), "at least"),
        (("predict", "--input", "half_off:10"), "half_on"),
        (("predict", "--input", "gaussian:10x0"), "at least 1"),
        (("predict", "--input", "missing.csv"), "missing.csv"),
        (("predict", "--head", "softmax"), "softmax_ce"),
        (("predict", "--order", "infinit"), "infinite"),
        (("predict", "--quantity", "variance"), "one of"),
        (("predict", "--format", "xml"), "csv"),
        (("predict", "--wdths", "10"), "--widths"),
        (("predict", "missing.toml"), "missing.toml"),
        (("predict", "a.toml", "--widths", "10"), "not both"),
        (("simulate", "--draws", "1"), "at least 2"),
        (("simulate", "--draws", "1.5"), "--draws"),
        (("simulate", "--seed", "-1"), "at least 0"),
        (("simulate", "--sampler", "densee"), "dense"),
        (("simulate", "--estimator", "none"), "plain"),
        (("simulate", "--workers", "0"), "at least 1"),
        (("simulate", "--workers", "2", "--scheduler", "tcp://localhost:1"), "not both"),
        (("simulate", "--resume"), "--store"),
        (("compare", "--margin", "2"), "margin"),
        (("explain", "gelluu"), "gelu"),
        (("audit", "no_such_module:f", "--input", "4x3"), "no_such_module"),
        (("audit", "torch.nn:Linear"), "--input"),
        (("compare", "--alpha", "nan"), "alpha"),
        (("compare", "--widths", "3", "--draws", "4", "--alpha", "1e-320"), "alpha"),
        (("simulate", "--widths", "3", "--draws", "4", "--store", "x" * 5000), "store"),
        (("simulate", "--widths", "3", "--draws", "4", "--store", "\ud800"), "store"),
        (("verify", "x" * 5000), "store"),
        (("report", "--widths", "3", "-o", "\ud800"), "output"),
        (("report", "--widths", "3", "-o", "x" * 5000), "output"),
        (("describe", "x" * 5000), "study"),
        (("predct",), "predict"),
        (("list", "activation"), "activations"),
        (("describe", "rellu"), "relu"),
        (("describe", "no_such_module:f", "--allow-code"), "module that can be imported"),
        (("--verbose",), "--verbose"),
    ],
)
def test_bad_input_is_one_line(arguments: tuple[str, ...], words: str) -> None:
    assert words in refused(*arguments)


@pytest.mark.parametrize("text", ["\x1b[31mred", "x" * 5000, "a\nb", "<b>", "$", "_x", "../x", "🦊"])
@pytest.mark.parametrize("option", ["--activation", "--weights", "--input", "--widths"])
def test_hostile_values_are_shown_harmlessly(option: str, text: str) -> None:
    refused("predict", option, text)


def test_hostile_commands_and_options_are_shown_harmlessly() -> None:
    refused("\x1b[31mred")
    refused("predict", "--\x1b[31mred\n")
    refused("predict", "--" + "x" * 5000)


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("draws = 10\n[[network]]\nwidht = '10'\n", "widths"),
        ("drawss = 10\n[[network]]\nwidths = '10'\n", "draws"),
        ("draws = 'many'\n[[network]]\nwidths = '10'\n", "draws"),
        ("[[network]]\nwidths = [10, true]\n", "widths"),
        ("draws = \n", "TOML"),
        ("", "network"),
    ],
)
def test_bad_studies_name_the_field(tmp_path: Path, toml: str, words: str) -> None:
    file = tmp_path / "study.toml"
    file.write_text(toml)
    assert words in refused("report", str(file), "-o", str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"1,2\n3\n", "ragged"),
        (b"1,2\n3,nan\n4,5\n", "row 2"),
        (b"1,1\n1,1\n1,1\n", "constant"),
    ],
)
def test_bad_data_files_are_refused(tmp_path: Path, content: bytes, words: str) -> None:
    file = tmp_path / "data.csv"
    file.write_bytes(content)
    line = refused("predict", "--input", str(file), "--widths", "5")
    assert words in line or "data" in line


def test_pickled_arrays_are_never_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert "object" in refused("predict", "--input", str(tmp_path / "objects.npy"), "--widths", "5")


def test_the_output_is_checked_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    assert "mine.txt" in refused("report", "--draws", "100000000", "-o", str(tmp_path / "out"))
    assert "mine.txt" in refused("report", "--draws", "100000000", "-o", str(tmp_path / "out"), "--force")
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"


def test_an_activation_that_raises_is_bad_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_activations.py").write_text(
        "import numpy as np\n"
        "def broken(z):\n    raise RuntimeError('on purpose')\n"
        "def shapeless(z):\n    return np.zeros(3)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "on purpose" in refused("predict", "--allow-code", "--activation", "my_activations:broken")
    assert "shape" in refused("predict", "--allow-code", "--activation", "my_activations:shapeless")
    assert run("predict", "--allow-code", "--activation", "numpy:tanh").code == 0
