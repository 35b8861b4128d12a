from __future__ import annotations

import json
import re
import tempfile
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests import synthetic
from tests.reporting.conftest import made
from varprop import InputError
from varprop.plots.labels import short
from varprop.reporting import folder as folders
from varprop.reporting.evidence import Evidence
from varprop.reporting.write import FILES, write_report
from varprop.results.schema import COMPARED_COLUMNS, SIMULATED_COLUMNS
from varprop.spec import read_study


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, evidence: Evidence) -> Path:
    return write_report(evidence, tmp_path_factory.mktemp("reports") / "out").parent


def test_every_promised_file_is_there_and_nothing_else(folder: Path) -> None:
    assert sorted(p.name for p in folder.iterdir()) == sorted(FILES)
    stems = {
        p.suffix: {q.stem for q in (folder / "figures").glob(f"*{p.suffix}")}
        for p in folder.glob("figures/*")
    }
    assert stems[".svg"] == stems[".png"] != set()
    assert [p.name for p in folder.parent.iterdir()] == ["out"]


def test_tables_are_the_contract_s(folder: Path, evidence: Evidence) -> None:
    compared = pd.read_csv(folder / "comparison.csv")
    assert tuple(compared.columns) == COMPARED_COLUMNS
    assert compared["measured"].to_numpy() == pytest.approx(evidence.compared["measured"].to_numpy(), rel=0)
    layers = pd.read_csv(folder / "layers.csv")
    assert tuple(layers.columns) == ("source", *SIMULATED_COLUMNS)
    assert layers["source"].value_counts().to_dict() == {
        "theory": len(evidence.predicted),
        "monte_carlo": len(evidence.simulated),
    }


def test_the_study_can_be_read_again(folder: Path, evidence: Evidence) -> None:
    assert read_study(folder / "study.toml").digest() == evidence.study.digest()


def test_provenance_says_how_it_was_made(folder: Path, evidence: Evidence) -> None:
    facts = json.loads((folder / "provenance.json").read_text())
    assert facts["digest"] == evidence.study.digest()
    assert {"seed", "draws", "python", "platform", "packages", "seconds"} <= set(facts)
    assert facts["seconds"]["figures"] > 0


class _Page(HTMLParser):
    """Collects what a page would load, and checks that its tags nest."""

    void = frozenset({"meta", "br", "link", "img", "path", "use", "rect", "image"})

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.ids: list[str] = []
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            self.attributes.add(name)
            if name in ("src", "href", "xlink:href", "data", "action", "srcset"):
                self.loads.append(value or "")
            if name == "id":
                self.ids.append(value or "")
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.void:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.void:
            assert self.open.pop() == tag


def _page(folder: Path) -> _Page:
    page = _Page()
    page.feed((folder / "report.html").read_text(encoding="utf-8"))
    return page


def test_the_page_is_self_contained(folder: Path) -> None:
    page = _page(folder)
    assert page.open == []
    assert all(target.startswith(("#", "data:image/png;base64,")) for target in page.loads)
    assert "script" not in page.tags
    assert "link" not in page.tags
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"@import|url\((?!#)", text)


def test_ids_are_unique_and_references_hit_them(folder: Path) -> None:
    page = _page(folder)
    assert len(page.ids) == len(set(page.ids))
    assert {target[1:] for target in page.loads if target.startswith("#")} <= set(page.ids)


def test_the_first_screen_has_question_verdicts_and_picture_in_this_order(folder: Path) -> None:
    text = (folder / "report.html").read_text(encoding="utf-8")
    places = [text.index(f'class="{name}"') for name in ("question", "headline", "card")]
    assert places == sorted(places)
    first = text[: text.index("Saturated, inactive and dead units</h2>")]
    for name in ("standard_normal", "lecun_normal", "he_normal"):
        assert name in first
    assert first.count("<svg") >= 1 + 3  # the picture, and a key for each initializer


def test_every_figure_says_what_to_see_and_has_words_for_it(folder: Path, evidence: Evidence) -> None:
    from varprop.reporting.study_document import study_document

    figures = study_document(evidence).figures()
    assert len(figures) >= 5
    for figure in figures:
        assert figure.sees.endswith(".")
        assert len(figure.alt) > 40
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.count('role="img" aria-label="') == page.count("<figcaption>")


def test_markdown_links_only_to_files_that_exist(folder: Path) -> None:
    text = (folder / "report.md").read_text(encoding="utf-8")
    links = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text)
    assert links
    assert all((folder / link).is_file() for link in links)


def test_the_same_evidence_gives_the_same_bytes(folder: Path, evidence: Evidence, tmp_path: Path) -> None:
    again = write_report(evidence, tmp_path / "again").parent
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix in (".svg", ".png", ".csv", ".toml"):
            assert path.read_bytes() == (again / path.relative_to(folder)).read_bytes(), path.name


# What may stand in the way


def test_an_existing_report_is_kept_without_force(small: Evidence, tmp_path: Path) -> None:
    page = write_report(small, tmp_path / "out")
    before = page.read_bytes()
    with pytest.raises(InputError, match="--force"):
        write_report(made(synthetic.CASES[:1], depth=1, title="another"), tmp_path / "out")
    assert page.read_bytes() == before
    write_report(made(synthetic.CASES[:1], depth=1, title="another"), tmp_path / "out", force=True)
    assert b"another" in page.read_bytes()
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("force", [False, True])
def test_files_of_the_user_are_never_deleted(small: Evidence, tmp_path: Path, force: bool) -> None:
    mine = tmp_path / "out"
    mine.mkdir()
    (mine / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match=r"thesis\.tex"):
        write_report(small, mine, force=force)
    assert (mine / "thesis.tex").read_text() == "years of work"


def test_a_note_added_to_a_report_protects_it(small: Evidence, tmp_path: Path) -> None:
    folder = write_report(small, tmp_path / "out").parent
    (folder / "note.txt").write_text("mine")
    with pytest.raises(InputError, match=r"note\.txt"):
        write_report(small, folder, force=True)
    assert (folder / "note.txt").exists()


def test_an_empty_folder_may_be_filled(small: Evidence, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert write_report(small, tmp_path / "out").exists()


@pytest.mark.parametrize("force", [False, True])
def test_a_file_or_link_in_the_way_is_refused(small: Evidence, tmp_path: Path, force: bool) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "target").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    for name in ("file", "link", "file/below"):
        with pytest.raises(InputError, match="output"):
            write_report(small, tmp_path / name, force=force)
    assert (tmp_path / "file").read_text() == "x"


def test_an_unwritable_place_is_one_clear_line(
    small: Evidence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "mkdtemp", denied)  # root, who runs many a container, may write anywhere
    with pytest.raises(InputError, match=r"can be written \(Permission denied\)"):
        write_report(small, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_an_impossible_place_is_one_clear_line(small: Evidence) -> None:
    for place in ("/proc/varprop/out", "/dev/null/out", "a\0b", "x" * 5000):
        with pytest.raises(InputError, match="output") as caught:
            write_report(small, place)
        assert len(str(caught.value).splitlines()) == 1


def test_a_failure_on_the_way_leaves_everything_as_it_was(
    small: Evidence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = write_report(small, tmp_path / "out")
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folders, "write_files", full)
    with pytest.raises(InputError, match="No space left"):
        write_report(small, tmp_path / "out", force=True)
    with pytest.raises(InputError, match="No space left"):
        write_report(small, tmp_path / "new")
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before
    assert page.exists()


HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "$x$ and $",
    "_hidden",
    "a|b *c* [d](http://e) `f`",
    "../x",
    '" onmouseover="alert(1)',
    "{{ 7 * 7 }} {% raw %}",
    "L" * 200,
    "]]> &amp; --><svg/onload=1>",
    'id="x" href="#y" url(#z) #1d2329',
)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    evidence = made(HOSTILE, depth=2, title=HOSTILE[0])
    return write_report(evidence, tmp_path_factory.mktemp("hostile") / "out").parent


def test_hostile_names_are_shown_letter_by_letter(hostile: Path) -> None:
    page = _page(hostile)
    assert page.open == []
    assert page.tags.isdisjoint({"script", "img", "iframe", "object"})
    assert not [name for name in page.attributes if name.startswith("on")]
    assert all(target.startswith(("#", "data:image/png;base64,")) for target in page.loads)
    for name in HOSTILE:
        assert short(name) in page.text
    assert sorted(p.name for p in hostile.parent.rglob("*") if p.is_dir()) == ["figures", "out"]
    for svg in hostile.glob("figures/*.svg"):
        assert "<script" not in svg.read_text(encoding="utf-8")


def test_hostile_names_break_no_markdown(hostile: Path) -> None:
    from markdown_it import MarkdownIt

    html = (
        MarkdownIt("commonmark").enable("table").render((hostile / "report.md").read_text(encoding="utf-8"))
    )
    page = _Page()
    page.feed(html)
    assert page.tags.isdisjoint({"script", "a", "svg", "code"})
    assert all(target.startswith("figures/") for target in page.loads)
    for name in HOSTILE:
        assert short(name) in page.text


def test_a_study_without_text_is_reported_too(tmp_path: Path) -> None:
    """A lambda has no spelling; the report says so in study.toml instead of failing before or after the work."""
    import varprop as vp

    page = vp.report(vp.mlp("3,2", lambda z: np.tanh(z)), tmp_path / "out", draws=4)
    assert (page.parent / "study.toml").read_text().startswith("# This study has no text")
