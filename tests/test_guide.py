"""The guides in docs/ do what they say."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.cli.running import run
from varprop.spec import parse_study

GUIDE = Path(__file__).parents[1] / "docs" / "verify-a-formula.md"


def test_the_code_of_the_guide(capsys: pytest.CaptureFixture[str]) -> None:
    right, wrong, test = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    names: dict[str, object] = {}
    exec(right, names)
    assert capsys.readouterr().out.count("agrees") == 4
    exec(wrong, names)
    first, *rows = capsys.readouterr().out.splitlines()
    assert first.startswith("3 of 4 rows do not agree")
    assert [re.search(r"layer (\d), .*: differs: ", row)[1] for row in rows] == ["2", "3", "4"]  # type: ignore[index]
    exec(test.replace("@pytest.mark.varprop\n", ""), names)
    names["test_he"]()  # type: ignore[operator]


def test_the_guide_to_networks_that_are_no_chains(capsys: pytest.CaptureFixture[str]) -> None:
    text = GUIDE.with_name("networks-that-are-no-chains.md").read_text()
    blocks = re.findall(r"```(\w+)\n(.*?)```", text, re.DOTALL)
    names: dict[str, object] = {}
    for body in (body for kind, body in blocks if kind == "python"):
        exec(body, names)
    printed = capsys.readouterr().out
    assert "block3.stream" in printed
    assert "body[1].residual[1].gian: 2 is not allowed; expected 'gain'" in printed
    assert "124,439,808" in printed
    (study,) = (parse_study(body) for kind, body in blocks if kind == "toml")
    assert study.cases == ("by parts", "gpt2")
    for line in (line for kind, body in blocks if kind == "console" for line in body.splitlines()):
        outcome = run(*shlex.split(line.removeprefix("$ varprop ")))
        assert (outcome.code, outcome.err) == (0, "")
        assert outcome.out.strip()
