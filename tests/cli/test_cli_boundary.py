"""How the process ends: mistakes of ours, closed pipes, Ctrl-C, terminals and their absence."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.running import run
from varprop.cli.boundary import BAD_INPUT, INTERRUPTED, OURS, PIPE

VARPROP = (sys.executable, "-m", "varprop")


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    from varprop import pipeline

    def mistake(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a mistake\nof ours")

    monkeypatch.setattr(pipeline, "predict", mistake)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_a_mistake_of_ours_is_one_line_that_says_how_to_report_it(broken: Path) -> None:
    outcome = run("predict", "--widths", "10")
    assert outcome.code == OURS
    assert outcome.out == ""
    assert len(outcome.err.splitlines()) == 1
    (file,) = broken.iterdir()
    assert str(file) in outcome.err
    assert "Please report" in outcome.err
    text = file.read_text()
    assert "Traceback" in text
    assert "'--widths' '10'" in text


def test_debug_shows_the_traceback(broken: Path) -> None:
    assert "ZeroDivisionError: a mistake" in run("predict", "--widths", "10", "--debug").err


def _environment(**more: str) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", **more}


def test_a_real_process_predicts_501() -> None:
    command = [*VARPROP, "predict", "--input", "half_on:1000", "--widths", "1"]
    command += ["--weights", "standard_normal", "--biases", "standard_normal"]
    done = subprocess.run(command, capture_output=True, text=True, env=_environment(), check=True)
    assert " 501 " in done.stdout
    assert done.stderr == ""


def test_a_real_process_refuses_with_2() -> None:
    done = subprocess.run([*VARPROP, "predict", "--widths", "0"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (BAD_INPUT, "")
    assert len(done.stderr.splitlines()) == 1


def test_a_closed_pipe_is_silent() -> None:
    command = [*VARPROP, "list", "initializers", "--format", "json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
        assert process.wait() == PIPE


def test_ctrl_c_is_one_line(tmp_path: Path) -> None:
    command = [*VARPROP, "simulate", "--widths", "500x20", "--draws", "100000", "--sampler", "dense"]
    command += ["--store", str(tmp_path / "run.sqlite")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=_environment()
    ) as process:
        deadline = time.monotonic() + 60
        while not (tmp_path / "run.sqlite").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        try:
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, out) == (INTERRUPTED, "")
    assert len(err.strip().splitlines()) == 1
    assert "--resume" in err


def test_an_ascii_terminal_is_no_reason_to_fail() -> None:
    environment = _environment(PYTHONIOENCODING="ascii", LC_ALL="C")
    done = subprocess.run(
        [*VARPROP, "list", "activations"], capture_output=True, env=environment, check=False
    )
    assert done.returncode == 0
    assert done.stderr == b""


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from varprop.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'numpy', 'pandas', 'scipy', 'matplotlib', 'seaborn', 'rich', 'jinja2', 'pydantic', 'torch'}\n"
        "sys.exit(str(sorted(heavy & set(sys.modules))) if heavy & set(sys.modules) else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
