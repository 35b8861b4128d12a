"""The guide in docs/ does what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

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
