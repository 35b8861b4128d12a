"""How long it takes to begin: imports and ``--help``, beside a bare interpreter and NumPy."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import numpy": [sys.executable, "-c", "import numpy"],
    "import varprop": [sys.executable, "-c", "import varprop"],
    "varprop --help": [str(Path(sysconfig.get_path("scripts")) / "varprop"), "--help"],
    "import torch": [sys.executable, "-c", "import torch"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_start(benchmark, name):
    benchmark.group = "starting"
    benchmark.extra_info.update(name=name, unit="start")
    command = COMMANDS[name]
    benchmark.pedantic(
        subprocess.run, (command,), {"check": True, "capture_output": True}, rounds=15, warmup_rounds=2
    )
