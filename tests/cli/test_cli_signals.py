"""``kill`` and Ctrl-C end a command in one line, at any moment, with all its processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.montecarlo.engine import ROOT
from tests.montecarlo.processes import descendants, survivors
from varprop.cli.boundary import INTERRUPTED, TERMINATED
from varprop.cli.signals import Ending
from varprop.montecarlo.verification import verify_store

COMMAND = [sys.executable, "-m", "varprop", "simulate", "--widths", "300x10", "--draws", "100000"]


def start(*more: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [*COMMAND, *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )


def test_kill_ends_a_run_like_ctrl_c(tmp_path):
    store = tmp_path / "run.sqlite"
    process = start("--store", str(store), "--workers", "2")
    deadline = time.monotonic() + 60
    while not (store.exists() and store.stat().st_size > 40000) and time.monotonic() < deadline:
        time.sleep(0.05)  # some blocks are there
    started = descendants(process.pid)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (TERMINATED, "")
    assert len(err.splitlines()) == 1
    assert "stopped by SIGTERM" in err
    assert len(started) >= 2
    assert survivors(started) == []
    assert [path.name for path in tmp_path.iterdir()] == [store.name]
    assert verify_store(store) == []


def handles_kill(pid: int) -> bool:
    """Say whether the process has a handler for SIGTERM; Python itself installs none."""
    status = Path(f"/proc/{pid}/status").read_text()
    (caught,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)


@pytest.mark.parametrize("seconds", [0.0, 0.2, 0.7])
def test_ctrl_c_during_imports_is_quiet(seconds):
    """Sent to the whole group, as a terminal does: neither the command nor a worker shows a traceback.

    Before Python has reached this package a signal is Python's own, so the time counts from there.
    """
    process = start("--workers", "2")
    while not handles_kill(process.pid):
        time.sleep(0.005)
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (INTERRUPTED, "")
    assert len(err.splitlines()) == 1, err


def test_a_signal_waits_for_an_import_and_no_longer(tmp_path, monkeypatch):
    """Python code of a module under import is not interrupted; what follows is, or a second signal."""
    ending = Ending(sys._getframe())
    before = {number: signal.signal(number, ending.handle) for number in (signal.SIGINT, signal.SIGALRM)}
    (tmp_path / "slow_module.py").write_text(
        "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nwhole = sum(range(1000))\n"
    )
    (tmp_path / "stubborn_module.py").write_text(
        "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nwhole = True\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    try:
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012 -- the import, then the wait
            import slow_module

            assert slow_module.whole == 499500
            time.sleep(5)
        with pytest.raises(KeyboardInterrupt):
            import stubborn_module  # noqa: F401 -- the second signal
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
    assert ending.code == INTERRUPTED


def test_a_closed_terminal_ends_a_command_too():
    code = (  # what nohup starts ignores the signal, the suite included
        "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"
        "from varprop.cli.signals import ending_in_one_line\n"
        "with ending_in_one_line(None, for_good=True) as ending:\n"
        "    try:\n        signal.raise_signal(signal.SIGHUP)\n"
        "    except KeyboardInterrupt:\n        print(ending, ending.code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "stopped by SIGHUP 129\n"


def test_what_is_ignored_stays_ignored():
    """A background job ignores Ctrl-C, nohup a closed terminal."""
    code = (
        "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "from varprop.cli.signals import ending_in_one_line\n"
        "with ending_in_one_line(None, for_good=False):\n    signal.raise_signal(signal.SIGHUP)\n"
        "print('fine')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "fine\n"
