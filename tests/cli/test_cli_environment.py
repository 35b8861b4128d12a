"""The environment's faults are one line and exit code 74, never a traceback or "a mistake in varprop"."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from varprop.cli.boundary import BAD_INPUT, PIPE, SYSTEM

ROOT = Path(__file__).resolve().parents[2]
VARPROP = f"{shlex.quote(sys.executable)} -m varprop"


def shell(command: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", command.replace("varprop", VARPROP, 1)],
        capture_output=True,
        text=True,
        cwd=cwd,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment},
    )


def one_line(done: subprocess.CompletedProcess[str]) -> None:
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "mistake" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "command",
    [
        "varprop --help >/dev/full",
        "varprop --version >/dev/full",
        "varprop list quantities >/dev/full",
        "varprop list quantities --format csv >/dev/full",
        "varprop list quantities >&- <&-",
        "varprop report --widths 3 --draws 2 -o out >/dev/full",
    ],
)
def test_an_output_that_takes_nothing_is_the_system_s_fault(tmp_path: Path, command: str) -> None:
    done = shell(command, tmp_path)
    assert done.returncode == SYSTEM, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("varprop: ")]
    assert len(lines) == 1
    assert "mistake" not in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    if "report" in command:
        assert (tmp_path / "out" / "report.html").is_file()


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("varprop list quantities <&- 2>&-", 0),
        ("varprop --wdths 2>/dev/full", BAD_INPUT),
        ("varprop --wdths 2>&-", BAD_INPUT),
        ("varprop --wdths <&- >&- 2>&-", BAD_INPUT),
        ("varprop --version >/dev/full 2>/dev/full", SYSTEM),
        ("varprop simulate --widths 3 --draws 2 --store run.sqlite <&- >&- 2>&-", SYSTEM),
    ],
)
def test_closed_streams_change_neither_the_work_nor_the_code(tmp_path: Path, command: str, code: int) -> None:
    done = shell(command, tmp_path)
    assert done.returncode == code
    assert done.stderr == ""
    if "store" in command:  # nothing that was printed has gone into the file that took the stream's place
        again = shell("varprop simulate --widths 3 --draws 2 --store run.sqlite", tmp_path)
        assert again.returncode == 0, again.stderr


@pytest.mark.parametrize("form", ["table", "csv"])
def test_a_reader_that_leaves_is_no_fault(tmp_path: Path, form: str) -> None:
    """Standard output is a pipe whose other end is closed before anything is written."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "varprop", "list", "initializers", "--format", form],
        stdout=writer,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (PIPE, b"")


def test_no_display_no_home_and_no_folder_for_temporary_files(tmp_path: Path) -> None:
    nowhere = dict.fromkeys(("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"), "/proc/none")
    done = shell("varprop report --widths 3 --draws 2 -o out", tmp_path, MPLBACKEND="nonsense", **nowhere)
    assert done.returncode == 0, done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr  # the headline
    assert (tmp_path / "out" / "report.html").is_file()


def test_too_few_files_or_too_large_ones(tmp_path: Path) -> None:
    done = shell("ulimit -f 1; varprop report --widths 3 --draws 2 -o out", tmp_path)
    assert done.returncode in (BAD_INPUT, SYSTEM)
    one_line(done)
    assert list(tmp_path.iterdir()) == []


def test_a_mistake_of_ours_is_told_even_where_its_details_cannot_be_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import tempfile

    from tests.cli.running import run
    from varprop import pipeline

    def mistake(*_: object, **__: object) -> None:
        raise ZeroDivisionError("ours")

    def full(*_: object, **__: object) -> None:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(pipeline, "predict", mistake)
    monkeypatch.setattr(tempfile, "NamedTemporaryFile", full)
    outcome = run("predict", "--widths", "3")
    assert outcome.code == 70
    assert len(outcome.err.splitlines()) == 1
    assert "--debug" in outcome.err
