"""The committed gallery: small, every picture in words and with its numbers, every link leads somewhere."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[2]
REPORTS = ROOT / "reports"
ORDER = runpy.run_path(str(ROOT / "analyses" / "gallery.py"), run_name="gallery")["ORDER"]
PAGES = [REPORTS / name / "README.md" for name in ORDER]
LIMIT, PAGE_LIMIT = 10_000_000, 1_000_000
"""Bytes of all reports together, and of one page's folder."""


def test_every_analysis_has_its_place_in_the_gallery():
    assert set(ORDER) == {p.stem for p in (ROOT / "analyses").glob("*.py")} - {"gallery"}


def test_the_reports_stay_small():
    sizes = {p.parent.name: sum(f.stat().st_size for f in p.parent.iterdir()) for p in PAGES}
    assert sum(sizes.values()) < LIMIT
    assert max(sizes.values()) < PAGE_LIMIT


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.parent.name)
def test_every_picture_has_words_and_numbers(page):
    text = page.read_text(encoding="utf-8")
    figures = re.findall(r"!\[(.*?)\]\((\w+)\.png\)\n\n\*(.+?)\* \(\[numbers\]\((\w+)\.csv\)\)", text, re.S)
    assert len(figures) == text.count("![") >= 1
    for alt, name, sees, numbers in figures:
        assert len(alt) > 20
        assert len(sees) > 20
        assert numbers == name
        assert len(pd.read_csv(page.parent / f"{numbers}.csv")) > 1


@pytest.mark.parametrize("page", [REPORTS / "README.md", *PAGES], ids=lambda p: p.parent.name)
def test_every_link_leads_somewhere(page):
    targets = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    assert targets
    for target in targets:
        if not target.startswith("http"):
            assert (page.parent / target.split("#")[0]).exists(), target


def test_the_front_page_shows_every_page_in_reading_order():
    text = (REPORTS / "README.md").read_text(encoding="utf-8")
    places = [text.index(f"({name}/thumbnail.png)") for name in ORDER]
    assert places == sorted(places)
    assert all((REPORTS / name / "thumbnail.png").is_file() for name in ORDER)


def gallery(*arguments):
    command = [sys.executable, str(ROOT / "analyses" / "gallery.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_the_gallery_lists_its_pages_and_refuses_unknown_ones():
    listed = gallery("--list")
    assert listed.returncode == 0
    assert [line.split()[0] for line in listed.stdout.splitlines()] == list(ORDER)
    unknown = gallery("e99")
    assert unknown.returncode != 0
    assert "e99" in unknown.stderr
    assert "Traceback" not in unknown.stderr


def test_help_says_when_a_page_is_made_anew():
    assert "every change of the code makes every page out of date" in gallery("--help").stdout
