"""Text from files and users acts on no terminal, spreadsheet or Markdown reader; numbers stay numbers."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import varprop as vp
from tests.cli.running import refused
from tests.reporting.conftest import made
from varprop._validation import InputError, check_one_of
from varprop.reporting.markdown import escape
from varprop.reporting.tables import to_csv, to_json
from varprop.reporting.write import write_report
from varprop.spec import parse_study

ATTACKS = (
    "\x1b[31mred",
    "\x1b]0;title\x07",
    "a\rb",
    "a\nb",
    "\u202eevil",
    "\u2066x\u2069",
    "\u200b",
    "\x9b31m",
    "\x00",
)


@pytest.mark.parametrize("attack", ATTACKS)
def test_keys_of_a_study_are_shown_harmlessly(tmp_path: Path, attack: str) -> None:
    key = "".join(f"\\u{ord(c):04x}" for c in attack)
    texts = (
        f'"{key}" = 1\n[[network]]\nwidths = "3"\n',
        f'[[network]]\nwidths = "3"\n"{key}" = 1\n',
        f'[[network]]\nwidths = "3"\nhead = {{"{key}" = 1}}\n',
        f'[[network]]\nwidths = "3"\n[input]\nkind = "half_on"\n"{key}" = 1\n',
        f'[grid]\n"{key}" = 1\n',
        f'name = "{key}"\n[[network]]\nwidths = "3"\n',
        f'[[network]]\nwidths = "3"\nweights = "{key}"\n',
    )
    for text in texts:
        with pytest.raises(InputError) as caught:
            parse_study(text)
        assert str(caught.value).isprintable()
        (tmp_path / "s.toml").write_text(text, encoding="utf-8")
        refused("describe", str(tmp_path / "s.toml"))  # one printable line


@pytest.mark.parametrize("attack", [a for a in ATTACKS if a not in ("a\rb", "a\nb", "\x00")])
def test_headers_of_a_data_file_are_shown_harmlessly(tmp_path: Path, attack: str) -> None:
    (tmp_path / "x.csv").write_text(f"{attack},b\n1,2\n3,5\n", encoding="utf-8")
    (tmp_path / "y.csv").write_text(f"a,b\n1,2\n3,{attack}\n", encoding="utf-8")
    for call in (lambda: vp.data(tmp_path / "x.csv", labels="none"), lambda: vp.data(tmp_path / "y.csv")):
        with pytest.raises(InputError) as caught:
            call()
        assert str(caught.value).isprintable()


@pytest.mark.parametrize("text", ["x" * 10**6, "\x1b" * 10**5])
def test_messages_fit_a_screen(tmp_path: Path, text: str) -> None:
    """A screen is 80 columns by 25 lines; a message takes at most a third of it."""
    (tmp_path / "x.csv").write_text(
        ",".join(f"{text[:100_000]}{i}" for i in range(50)) + "\n" + "1," * 49 + "2\n"
    )
    calls = (
        lambda: vp.data(tmp_path / "x.csv", labels="none"),
        lambda: parse_study(f'"{"y" * 10**5}" = 1\n'),
        lambda: parse_study(f"[[network]]\nwidths = '3'\nname = '{'z' * 10**5}'\n"),
        lambda: check_one_of(text, f"{text}1", [text, f"{text}2"]),
        lambda: vp.mlp("3", text),
        lambda: vp.mlp([text, 1]),
        lambda: vp.mlp("3", input=text),
        lambda: vp.mlp("3", gain=[text] * 1000),  # type: ignore[arg-type]
        lambda: vp.mlp("3", head=text),
        lambda: vp.read_study(tmp_path / text[:3000]),
    )
    for call in calls:
        with pytest.raises(InputError) as caught:
            call()
        assert len(str(caught.value)) < 80 * 25 // 3
        assert str(caught.value).isprintable()


FORMULAS = ("=1+1", "+1+1", "-1+1", "@SUM(A1)", "=cmd|' /C calc'!A0", " =1+1", "＝1+1", "-", "=-1.5")
NUMBERS = ("-1.5", "+2", "-1e-3", "-inf")


def test_csv_cells_are_no_formulas_and_numbers_stay_numbers() -> None:
    frame = pd.DataFrame(
        {
            "case": pd.Categorical([*FORMULAS, *NUMBERS]),
            "value": np.linspace(-1.5, 1.5, 13),
            "mixed": ["=x", -1.5, None, *["a"] * 10],
            "@head": -1,
        }
    )
    text = to_csv(frame)
    back = pd.read_csv(io.StringIO(text))
    assert back["value"].tolist() == frame["value"].tolist()
    assert back["case"].tolist()[: len(FORMULAS)] == [f"'{formula}" for formula in FORMULAS]
    assert back["case"].tolist()[len(FORMULAS) :] == list(NUMBERS)
    assert back["mixed"].tolist()[:2] == ["'=x", "-1.5"]
    assert list(back.columns) == ["case", "value", "mixed", "'@head"]
    assert (back["'@head"] == -1).all()
    assert list(frame.columns)[-1] == "@head"  # the frame itself is left alone
    for line in text.splitlines():
        for cell in line.split(","):
            harmless = not cell.lstrip('" ').startswith(("=", "+", "-", "@"))
            assert harmless or not math.isnan(float(cell))


def test_json_keeps_texts_as_they_are() -> None:
    assert '"=1+1"' in to_json(pd.DataFrame({"case": ["=1+1"]}))


@pytest.mark.parametrize("text", FORMULAS)
def test_markdown_shows_a_formula_as_text(text: str) -> None:
    shown = escape(text)
    assert not shown.lstrip().startswith(("=", "+", "-", "@"))
    assert shown.replace("\\", "") == text.replace("\\", "")


@pytest.mark.parametrize("text", NUMBERS)
def test_markdown_leaves_numbers_alone(text: str) -> None:
    assert escape(text) == text


def test_a_report_on_networks_called_like_formulas(tmp_path: Path) -> None:
    cases = ("=1+1", "+cmd|' /C calc'!A0", "@SUM(A1:A9)")
    folder = write_report(made(cases, depth=2), tmp_path / "out").parent
    for name in ("layers.csv", "comparison.csv"):
        back = pd.read_csv(folder / name)
        assert set(back["case"]) == {f"'{case}" for case in cases}
    for line in (folder / "report.md").read_text(encoding="utf-8").splitlines():
        for cell in line.strip("|").split("|"):
            assert not cell.strip().startswith(("=1", "+cmd", "@SUM"))


@pytest.mark.torch
def test_modules_of_a_model_are_shown_harmlessly() -> None:
    nn = pytest.importorskip("torch.nn")
    from varprop.auditing.command import Outcome, terminal_lines
    from varprop.diagnosis import diagnose_one

    model = nn.Sequential()
    for i in range(4):
        model.add_module(f"\x1b[31m{i}", nn.Linear(16, 16))
    table = vp.audit(model, np.ones((4, 16), np.float32), draws=2)
    changes = vp.suggest(table)
    diagnosis = diagnose_one(table)
    lines = terminal_lines(Outcome(table, diagnosis, changes, "", None), 100)
    assert all(line.isprintable() and len(line) <= 100 for line in lines)
    assert to_csv(table).replace("\n", "").isprintable()
