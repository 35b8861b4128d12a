"""No file of the user's is lost, whatever `--force`, another process or a kill does while a report is written."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.running import refused, run
from tests.reporting import killable
from varprop._files import Busy, exchange, locked, write_atomic
from varprop._validation import InputError
from varprop.reporting import folder as folders
from varprop.reporting.folder import claimed_folder
from varprop.reporting.record import not_ours

FILES = {"report.md": "# words\n", "figures/a.svg": "<svg/>", "layers.csv": "a,b\n1,2\n"}


def write(target: Path, version: str = "1", *, force: bool = True) -> None:
    with claimed_folder(target, force=force) as claim:
        claim.publish({**FILES, "report.md": f"# version {version}\n"}, {"varprop": version})


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    write(tmp_path / "out")
    return tmp_path / "out"


# What is not ours is never replaced


@pytest.mark.parametrize(
    "name",
    ["thesis.tex", "figures/thesis.tex", "figures/deep/er.txt", "run.sqlite", ".hidden", "report.html"],
)
def test_an_added_file_at_any_depth_protects_the_folder(out: Path, name: str) -> None:
    (out / name).parent.mkdir(exist_ok=True)
    (out / name).write_text("years of work")
    before = contents(out.parent)
    with pytest.raises(InputError, match=Path(name).parts[-1] if "deep" not in name else "deep"):
        write(out, "2")
    assert contents(out.parent) == before


@pytest.mark.parametrize("name", ["report.md", "figures/a.svg", "provenance.json"])
def test_an_edited_file_protects_the_folder(out: Path, name: str) -> None:
    text = (out / name).read_text()
    (out / name).write_text(
        text.replace('"varprop": "1"', '"varprop": "7"') if name == "provenance.json" else text + "my words"
    )
    before = contents(out.parent)
    with pytest.raises(InputError, match=f"{name}.*edited"):
        write(out, "2")
    assert contents(out.parent) == before


@pytest.mark.parametrize("kind", ["link", "folder", "folder in place of a file"])
def test_links_and_folders_of_the_user_protect_it_too(out: Path, tmp_path: Path, kind: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "thesis.tex").write_text("mine")
    if kind == "link":
        (out / "report.md").unlink()
        (out / "report.md").symlink_to(tmp_path / "elsewhere" / "thesis.tex")
    elif kind == "folder":
        (out / "notes").mkdir()
    else:
        (out / "report.md").unlink()
        (out / "report.md").mkdir()
    with pytest.raises(InputError, match=r"report\.md|notes"):
        write(out, "2")
    assert (tmp_path / "elsewhere" / "thesis.tex").read_text() == "mine"
    assert not_ours(out, "provenance.json") is not None


def test_a_record_cannot_name_files_outside_its_folder(tmp_path: Path) -> None:
    """A folder from a stranger lists ``../thesis.tex``: replacing the folder leaves that alone."""
    import hashlib

    from varprop.reporting.record import sealed

    (tmp_path / "thesis.tex").write_text("mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "provenance.json").write_bytes(sealed({}, {"../thesis.tex": b"mine"}))
    assert hashlib.sha256(b"mine").hexdigest() in (tmp_path / "out" / "provenance.json").read_text()
    write(tmp_path / "out", "2")
    assert (tmp_path / "thesis.tex").read_text() == "mine"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"files": 3}', '{"varprop": "0.1"}', "[" * 100_000])
def test_a_folder_whose_record_says_nothing_is_not_ours(tmp_path: Path, text: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "provenance.json").write_text(text)
    with pytest.raises(InputError, match=r"provenance\.json"):
        write(tmp_path / "out")
    assert (tmp_path / "out" / "provenance.json").read_text() == text


def test_a_file_that_the_user_deleted_is_no_obstacle(out: Path) -> None:
    (out / "report.md").unlink()
    write(out, "2")
    assert (out / "report.md").read_text() == "# version 2\n"


# What happens meanwhile


@pytest.mark.parametrize("force", [False, True])
def test_a_folder_created_meanwhile_is_kept(tmp_path: Path, force: bool) -> None:
    def work() -> None:
        with claimed_folder(tmp_path / "out", force=force) as claim:
            (tmp_path / "out" / "figures").mkdir(parents=True)
            (tmp_path / "out" / "figures" / "thesis.tex").write_text("mine")
            claim.publish(FILES, {})

    with pytest.raises(InputError, match=r"thesis\.tex|figures"):
        work()
    assert contents(tmp_path) == {"out/figures/thesis.tex": b"mine"}


@pytest.mark.parametrize("atomic", [True, False])
def test_a_file_put_in_between_the_last_look_and_the_exchange_is_kept(
    out: Path, monkeypatch: pytest.MonkeyPatch, atomic: bool
) -> None:
    first: list[bool] = []

    def late(a: Path, b: Path) -> bool:
        if not first:
            first.append(True)
            (out / "thesis.tex").write_text("mine")
        return exchange(a, b) if atomic else False

    monkeypatch.setattr(folders, "exchange", late)
    if atomic:
        with pytest.raises(InputError, match=r"thesis\.tex"):
            write(out, "2")
        assert (out / "thesis.tex").read_text() == "mine"
        assert [p.name for p in out.parent.iterdir()] == ["out"]
    else:  # no way back in one step: the former report is kept in sight
        write(out, "2")
        (kept,) = (p for p in out.parent.iterdir() if p != out)
        assert kept.name.startswith("out-kept-")
        assert (kept / "thesis.tex").read_text() == "mine"


def test_a_second_process_is_refused_at_once_and_the_first_goes_on(tmp_path: Path) -> None:
    with claimed_folder(tmp_path / "out") as claim:
        other = subprocess.run(
            [
                sys.executable,
                "-m",
                "varprop",
                "report",
                "-o",
                str(tmp_path / "out"),
                "--force",
                "--widths",
                "3",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        assert other.returncode == 2
        assert "another process is writing" in other.stderr
        claim.publish(FILES, {})
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_without_locks_only_one_of_two_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a file system without locks the place is compared with what it was when it was claimed."""
    from contextlib import contextmanager

    @contextmanager
    def none(_: Path):
        yield False

    monkeypatch.setattr(folders, "locked", none)
    for force in (True, False):
        with claimed_folder(tmp_path / "out", force=force) as slow:
            write(tmp_path / "out", "quick", force=force)
            with pytest.raises(InputError, match=r"meanwhile|exists"):
                slow.publish(FILES, {})
        assert (tmp_path / "out" / "report.md").read_text() == "# version quick\n"
        assert [p.name for p in tmp_path.iterdir()] == ["out"]
        write(tmp_path / "out")
        folders.shutil.rmtree(tmp_path / "out")


def test_the_store_may_not_lie_in_the_report(tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    line = refused("report", "-o", out, "--store", f"{out}/figures/run.sqlite", "--widths", "3")
    assert "outside the report's folder" in line
    assert list(tmp_path.iterdir()) == []


# Without an exchange in one step, and after a kill


def test_without_exchange_the_report_is_replaced_too(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "exchange", lambda *_: False)
    write(out, "2")
    assert (out / "report.md").read_text() == "# version 2\n"
    assert [p.name for p in out.parent.iterdir()] == ["out"]


def test_exchange_is_one_step_or_none(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").touch()
    (tmp_path / "b").mkdir()
    if exchange(tmp_path / "a", tmp_path / "b"):
        assert [p.name for p in (tmp_path / "b").iterdir()] == ["x"]
    with pytest.raises(FileNotFoundError):
        exchange(tmp_path / "a", tmp_path / "none")


@pytest.mark.parametrize("force", [False, True])
def test_a_report_left_aside_is_restored_by_the_next_run(out: Path, force: bool) -> None:
    """What a kill between two renames leaves: nothing in place, the former report in a hidden folder."""
    stem = folders._stem(out)
    out.rename(out.with_name(f"{stem}abc.old"))
    (out.with_name(f"{stem}abc.part") / "figures").mkdir(parents=True)
    (out.with_name(f"{stem}abc.part") / "report.md").write_text("half")
    if force:
        write(out, "2")
        assert (out / "report.md").read_text() == "# version 2\n"
    else:
        with pytest.raises(InputError, match="--force"):
            write(out, force=False)
        assert (out / "report.md").read_text() == "# version 1\n"
    assert [p.name for p in out.parent.iterdir()] == ["out"]


def test_hidden_folders_of_other_names_are_left_alone(out: Path) -> None:
    other = out.with_name(f"{folders._stem(out.with_name('out.x'))}abc.part")
    other.mkdir()
    mine = out.with_name(".out.part")
    mine.mkdir()
    write(out, "2")
    assert other.exists()
    assert mine.exists()


@pytest.mark.parametrize("atomic", [True, False])
def test_kills_leave_a_whole_report(tmp_path: Path, atomic: bool) -> None:
    """Eight kills at random times while reports replace one another; `make faults` has the large version."""
    outcome = killable.battery(tmp_path, kills=8, atomic=atomic, seed=3)
    assert outcome.lost == outcome.torn == outcome.litter == 0
    assert outcome.killed == 8


def test_concurrent_reports_are_never_lost_in_silence(tmp_path: Path) -> None:
    """Four at once: whoever exits with 0 has its report in place at that moment; the others say so."""
    outcome = killable.race(tmp_path, processes=4, rounds=1)
    assert outcome.lost == 0
    assert outcome.won >= 1
    assert outcome.won + outcome.refused == 4


# Places, and the small parts


def test_the_working_folder_and_those_above_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for place in (".", "..", "/", str(tmp_path), "../here/", ""):
        with pytest.raises(InputError, match="working folder"):
            write(place)
    assert list(tmp_path.rglob("*")) == [tmp_path / "here"]


def test_a_deleted_working_folder_is_one_line(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    code = "import os, sys; os.rmdir(os.getcwd()); from varprop.cli import main; main(sys.argv[1:])"
    environment = {**os.environ, "PYTHONPATH": str(Path(folders.__file__).parents[2])}
    for arguments, status in ((["report"], 2), (["describe", "tanh"], 0)):
        gone.mkdir(exist_ok=True)
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            cwd=gone,
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )
        assert done.returncode == status, done.stderr
        assert len(done.stderr.splitlines()) == (1 if status else 0)


def test_the_lock_is_exclusive_and_dies_with_its_process(tmp_path: Path) -> None:
    place = tmp_path / "lock"
    with locked(place) as held:
        if not held:
            pytest.skip("no locks here")
        with pytest.raises(Busy), locked(place):
            pass
    assert not place.exists()
    code = (
        "import time\nfrom pathlib import Path\nfrom varprop._files import locked\n"
        f"with locked(Path({str(place)!r})):\n    print(1, flush=True)\n    time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(Busy), locked(place):
            pass
        process.send_signal(signal.SIGKILL)
    with locked(place):
        pass
    assert not place.exists()


def test_records_list_every_file(out: Path) -> None:
    record = json.loads((out / "provenance.json").read_text())
    assert set(record["files"]) == set(contents(out)) - {"provenance.json"}
    assert not_ours(out, "provenance.json") is None


def test_a_single_file_is_replaced_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_atomic(tmp_path / "a.toml", "old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(InputError, match="a path"):
        write_atomic("a\0b", "new")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left"):
        write_atomic(tmp_path / "a.toml", "new")
    assert contents(tmp_path) == {"a.toml": b"old"}


def test_the_audit_has_the_same_rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out" / "figures").mkdir(parents=True)
    (tmp_path / "out" / "figures" / "thesis.tex").write_text("mine")
    place = ("audit", "nowhere:f", "--input", "2x3", "-o", "out")
    assert "thesis.tex" in refused(*place, "--force") or "figures" in refused(*place, "--force")
    assert run(*place).code == 2
    assert (tmp_path / "out" / "figures" / "thesis.tex").read_text() == "mine"
