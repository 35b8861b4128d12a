"""What the README shows is run: its Python, its commands, its study, its links."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)


def of_kind(kind):
    return [body for name, body in BLOCKS if name == kind]


def test_the_python_examples_run(capsys):
    names = {}
    for body in of_kind("python"):
        exec(compile(body, "README.md", "exec"), names)
    printed = capsys.readouterr().out
    assert "501.0 0.8373" in printed
    assert "1.5 0.000175" in printed
    assert "healthy exploding" in printed


def commands():
    lines = [line[2:] for body in of_kind("console") for line in body.splitlines() if line.startswith("$ ")]
    return [line.split("   #")[0].strip() for line in lines if line.startswith("varprop ")]


@pytest.mark.parametrize("command", [c for c in commands() if "study.toml" not in c])
def test_the_commands_run(command, tmp_path):
    import varprop as vp

    folder = ROOT
    if "run.sqlite" in command:  # the store that the commands before it have made
        vp.simulate(vp.mlp("10x2"), draws=4, store=tmp_path / "run.sqlite")
        folder = tmp_path
    words = [sys.executable, "-m", "varprop", *shlex.split(command)[1:]]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_the_study_can_be_read(tmp_path):
    import varprop as vp

    for body in of_kind("toml"):
        path = tmp_path / "study.toml"
        path.write_text(body, encoding="utf-8")
        study = vp.read_study(path)
        assert len(study.networks) >= 2


def test_every_link_leads_somewhere():
    targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", TEXT)
    assert targets
    missing = [t for t in targets if not (ROOT / t).exists()]
    assert not missing


def test_the_readme_names_the_two_commands():
    assert "make report" in TEXT
    assert "make test" in TEXT
