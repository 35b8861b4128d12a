"""Every analysis is a short script of percent cells; the fast ones still give the committed numbers."""

from __future__ import annotations

import ast
import re
import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[2]
ANALYSES = sorted(p for p in (ROOT / "analyses").glob("*.py") if p.stem != "gallery")
FAST = ("e2_zero_initialization", "e7_every_initializer", "explore_in_pandas")
"""Those that take a few seconds."""

RELATIVE, ABSOLUTE = 1e-6, 1e-9
"""Everything is seeded, so what another machine changes is the order of floating-point sums."""


@pytest.mark.parametrize("path", ANALYSES, ids=lambda p: p.stem)
def test_an_analysis_is_short_and_made_of_percent_cells(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 80
    assert text.startswith("# %% [markdown]\n# # ")
    cells = re.split(r"(?m)^# %%", text)[1:]
    assert len(cells) >= 4
    assert cells[0].strip().splitlines()[1].startswith("# # ")
    for cell in cells:
        ast.parse(f"# %%{cell}")  # each cell can be run on its own, so it must parse on its own


@pytest.mark.parametrize("path", ANALYSES, ids=lambda p: p.stem)
def test_an_analysis_leaves_the_work_to_the_package(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = [n for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom)]
    names = {a.name for n in nodes if isinstance(n, ast.Import) for a in n.names}
    names |= {n.module for n in nodes if isinstance(n, ast.ImportFrom)}
    allowed = {
        "varprop",
        "numpy",
        "pandas",
        "matplotlib",
        "scipy",
        "seaborn",
        "itertools",
        "functools",
        "dataclasses",
        "time",
    }
    assert {name.split(".")[0] for name in names} <= allowed


@pytest.mark.slow
@pytest.mark.parametrize("name", FAST)
def test_fast_analyses_give_the_committed_numbers(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(ROOT / "analyses" / f"{name}.py"), run_name="__main__")
    made, kept = tmp_path / "reports" / name, ROOT / "reports" / name
    assert {p.name for p in made.iterdir()} == {p.name for p in kept.iterdir()}
    for path in sorted(made.glob("*.csv")):
        new, old = pd.read_csv(path), pd.read_csv(kept / path.name)
        assert new.columns.tolist() == old.columns.tolist()
        assert len(new) == len(old)
        for column in new:
            if pd.api.types.is_float_dtype(new[column]):
                np.testing.assert_allclose(
                    new[column], old[column], rtol=RELATIVE, atol=ABSOLUTE, err_msg=f"{path.name}, {column}"
                )
            else:
                assert new[column].equals(old[column]), f"{path.name}, {column}"
