"""What is finished is never lost, never mixed up with another run's, and never believed when damaged."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import varprop as vp
from tests.montecarlo import engine
from varprop import InputError
from varprop.montecarlo import load_store, simulate_network, simulate_networks, store
from varprop.montecarlo.environment import environment
from varprop.montecarlo.loading import read_store
from varprop.montecarlo.simulation import measure_networks
from varprop.montecarlo.store import BlockStore

FAST = {"draws": 29, "block_size": 5, "seed": 3}


class Interrupt:
    """A progress callback that stops the run after some blocks, and counts those computed."""

    def __init__(self, blocks: int | None = None) -> None:
        self.blocks, self.seen = blocks, 0

    def __call__(self, report) -> None:
        self.seen += 1
        if self.seen == self.blocks:
            raise KeyboardInterrupt


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.sqlite"


def counted(monkeypatch):
    """Count the blocks that are really computed."""
    from varprop.montecarlo import execution

    computed = []
    real = execution.run_block

    def run_block(plan, block):
        computed.append((plan.case, block.index))
        return real(plan, block)

    monkeypatch.setattr(execution, "run_block", run_block)
    return computed


def digest(frame) -> str:
    return frame.attrs["digest"]


def blocks_in(path) -> list[tuple]:
    with sqlite3.connect(path) as connection:
        rows = connection.execute(
            "SELECT position, block, draws, checksum FROM blocks ORDER BY 1, 2"
        ).fetchall()
    connection.close()
    return rows


@pytest.mark.parametrize("stop", [1, 3, 5])
def test_an_interrupted_run_goes_on_and_ends_equal(path, stop, monkeypatch):
    whole = simulate_network(engine.network(), **FAST)
    with pytest.raises(KeyboardInterrupt):
        simulate_network(engine.network(), **FAST, store=path, progress=Interrupt(stop))
    assert len(blocks_in(path)) == stop
    computed = counted(monkeypatch)
    resumed = simulate_network(engine.network(), **FAST, store=path)
    assert computed == [(0, block) for block in range(stop, 6)]
    assert digest(resumed) == digest(whole)
    pd.testing.assert_frame_equal(resumed, whole, check_exact=True)


def test_a_finished_run_computes_nothing_again(path, monkeypatch):
    first = simulate_network(engine.network(), **FAST, store=path)
    computed = counted(monkeypatch)
    assert digest(simulate_network(engine.network(), **FAST, store=path)) == digest(first)
    assert computed == []


def test_more_draws_use_the_blocks_there_are(path, monkeypatch):
    simulate_network(engine.network(), **FAST, store=path)
    computed = counted(monkeypatch)
    more = simulate_network(engine.network(), **FAST | {"draws": 39}, store=path)
    assert [block for _, block in computed] == [5, 6, 7]  # the sixth was not full
    assert digest(more) == digest(simulate_network(engine.network(), **FAST | {"draws": 39}))


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({}, {"seed": 4}, "seed 3 in the store, 4 now"),
        ({}, {"block_size": 6}, "block_size 5 in the store, 6 now"),
        ({}, {"share": 0.1}, r"share 0\.0396 in the store, 0\.1 now"),
        ({}, {"draws": 28}, "draws 29 in the store, 28 now"),
        ({}, {"histogram": False}, "histogram True in the store, False now"),
        ({}, {"sampler": "dense"}, "sampler conditional in the store, dense now"),
        ({"activation": "relu"}, {}, r"layers\[1\]\.activation tanh in the store, relu now"),
        (
            {"weights": "normal(std=0.5)"},
            {},
            r"layers\[3\]\.weights lecun_normal in the store, normal\(std=0\.5\) now",
        ),
        ({"depth": 4}, {}, "depth 3 in the store, 4 now"),
        ({"input": vp.gaussian(12, 2, seed=1)}, {}, "input|network"),
    ],
)
def test_another_run_is_refused_with_the_differences(path, changes, options, message):
    base = FAST | {"sampler": "conditional"}
    frame = simulate_network(engine.network(), **base, store=path)
    before = blocks_in(path)
    with pytest.raises(InputError, match=message):
        simulate_network(engine.network(**changes), **base | options, store=path)
    assert blocks_in(path) == before
    pd.testing.assert_frame_equal(load_store(path), frame, check_exact=True)


def test_another_version_is_refused(path, monkeypatch):
    simulate_network(engine.network(), **FAST, store=path)
    later = environment() | {"format": "999", "varprop": "9.9", "numpy": "1.0", "scipy": "2.0"}
    monkeypatch.setattr(store, "environment", lambda: later)
    expected = r"format \d+ in .* 999 now; varprop .* 9\.9 now; numpy .* 1\.0 now; scipy .* 2\.0 now"
    with pytest.raises(InputError, match=expected):
        simulate_network(engine.network(), **FAST, store=path)


def test_fewer_cases_are_refused_and_more_are_welcome(path, monkeypatch):
    nets = [engine.network(), engine.network(activation="relu"), engine.network(activation="sin")]
    simulate_networks(nets[:2], **FAST, store=path)
    with pytest.raises(
        InputError, match=r"case 2 \(lecun_normal · relu\) is in the store and not in this run"
    ):
        simulate_networks(nets[:1], **FAST, store=path)
    computed = counted(monkeypatch)
    grown = simulate_networks(nets, **FAST, store=path)
    assert {case for case, _ in computed} == {2}
    assert digest(grown) == digest(simulate_networks(nets, **FAST))


def test_an_existing_file_needs_consent(path):
    simulate_network(engine.network(), **FAST, store=path)
    with pytest.raises(InputError, match="resume"):
        simulate_network(engine.network(), **FAST, store=path, resume=False)
    simulate_network(engine.network(), **FAST, store=path.with_name("new.sqlite"), resume=False)


def test_a_damaged_block_is_noticed_and_recomputed(path, monkeypatch):
    whole = simulate_network(engine.network(), **FAST, store=path)
    good = blocks_in(path)
    with sqlite3.connect(path) as connection:
        (content,) = connection.execute("SELECT content FROM blocks WHERE block = 2").fetchone()
        bad = bytearray(content)
        bad[len(bad) // 2] ^= 1
        connection.execute("UPDATE blocks SET content = ? WHERE block = 2", (bytes(bad),))
    connection.close()
    computed = counted(monkeypatch)
    with pytest.warns(RuntimeWarning, match=r"block 3 of .* is damaged and is computed again"):
        again = simulate_network(engine.network(), **FAST, store=path)
    assert computed == [(0, 2)]
    assert digest(again) == digest(whole)
    assert blocks_in(path) == good


def test_a_bit_flipped_on_the_disk_is_noticed(path):
    whole = simulate_network(engine.network(), **FAST, store=path)
    with sqlite3.connect(path) as connection:
        (content,) = connection.execute("SELECT content FROM blocks WHERE block = 4").fetchone()
    connection.close()
    raw = bytearray(path.read_bytes())
    place = raw.find(content[:64])  # the beginning of a block's archive, as it lies in the file
    assert place > 0
    raw[place + 40] ^= 0x10
    path.write_bytes(raw)
    with pytest.warns(RuntimeWarning, match="block 5"):
        assert digest(simulate_network(engine.network(), **FAST, store=path)) == digest(whole)


def test_exchanged_blocks_are_noticed(path, monkeypatch):
    whole = simulate_network(engine.network(), **FAST, store=path)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE blocks SET block = 100 WHERE block = 1")
        connection.execute("UPDATE blocks SET block = 1 WHERE block = 2")
        connection.execute("UPDATE blocks SET block = 2 WHERE block = 100")
    connection.close()
    computed = counted(monkeypatch)
    with pytest.warns(RuntimeWarning, match="block 2 of"), pytest.warns(RuntimeWarning, match="block 3 of"):
        assert digest(simulate_network(engine.network(), **FAST, store=path)) == digest(whole)
    assert computed == [(0, 1), (0, 2)]


def test_a_second_run_on_the_store_exits_clearly(path):
    plans = [engine.plan()]
    with BlockStore(path, plans):
        with pytest.raises(InputError, match="no other run is using"):
            BlockStore(path, plans)
        with pytest.raises(InputError, match="no other run is using"):
            load_store(path)
        script = (
            "from tests.montecarlo import engine; from varprop.montecarlo.store import BlockStore; "
            f"BlockStore({str(path)!r}, [engine.plan()])"
        )
        second = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=engine.ROOT
        )
        assert "no other run is using" in second.stderr.splitlines()[-1]
    BlockStore(path, plans).close()


@pytest.mark.parametrize("content", [b"not a database at all, just some text" * 50, b"\x00" * 5000])
def test_other_files_are_refused_and_left_alone(path, content):
    path.write_bytes(content)
    for use in (lambda: simulate_network(engine.network(), **FAST, store=path), lambda: load_store(path)):
        with pytest.raises(InputError, match="block store"):
            use()
    assert path.read_bytes() == content


def test_another_sqlite_file_is_refused_and_left_alone(path):
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE precious (x)")
    connection.close()
    before = path.read_bytes()
    for use in (lambda: simulate_network(engine.network(), **FAST, store=path), lambda: load_store(path)):
        with pytest.raises(InputError, match="block store of varprop"):
            use()
    assert path.read_bytes() == before


def test_an_empty_file_becomes_a_store(path):
    path.touch()
    simulate_network(engine.network(), **FAST, store=path)
    assert len(blocks_in(path)) == 6


@pytest.mark.parametrize("place", ["missing/run.sqlite", ".", "/proc/run.sqlite"])
def test_places_that_cannot_be_written(tmp_path, place):
    with pytest.raises(InputError, match="store:"):
        simulate_network(engine.network(), **FAST, store=tmp_path / place)


def test_a_full_disk_is_said_and_old_blocks_are_intact(path, monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        simulate_network(engine.network(), **FAST, store=path, progress=Interrupt(2))
    kept = blocks_in(path)
    real = store._connect

    def small(target: Path) -> sqlite3.Connection:
        connection = real(target)
        connection.execute(f"PRAGMA max_page_count = {target.stat().st_size // 4096 + 2}")
        return connection

    monkeypatch.setattr(store, "_connect", small)
    with pytest.raises(InputError, match="a disk with room left; what was finished is intact"):
        simulate_network(engine.network(), **FAST, store=path)
    monkeypatch.undo()
    assert blocks_in(path)[:2] == kept
    assert digest(simulate_network(engine.network(), **FAST, store=path)) == digest(
        simulate_network(engine.network(), **FAST)
    )


def test_a_file_that_may_not_grow_is_said_and_old_blocks_are_intact(path):
    """The operating system refuses the write (as a quota or a failing disk does), not SQLite."""
    with pytest.raises(KeyboardInterrupt):
        simulate_network(engine.network(), **FAST, store=path, progress=Interrupt(2))
    kept = blocks_in(path)
    script = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "from tests.montecarlo import engine; from varprop.montecarlo import simulate_network; "
        "import varprop.montecarlo.estimates; "
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({path.stat().st_size}, {path.stat().st_size})); "
        f"simulate_network(engine.network(), **{FAST}, store={str(path)!r})"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=engine.ROOT
    )
    assert run.returncode == 1
    assert "InputError: store: " in run.stderr.splitlines()[-1]
    assert blocks_in(path)[:2] == kept
    assert digest(simulate_network(engine.network(), **FAST, store=path)) == digest(
        simulate_network(engine.network(), **FAST)
    )


def test_a_read_only_store_can_be_read_and_not_run(path, monkeypatch):
    frame = simulate_network(engine.network(), **FAST, store=path)

    def read_only(target: Path) -> sqlite3.Connection:
        connection = sqlite3.connect(f"{target.as_uri()}?mode=ro", uri=True, timeout=0, isolation_level=None)
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        return connection

    monkeypatch.setattr(
        store, "_connect", read_only
    )  # root may write anywhere, so the mode stands for the place
    before = path.read_bytes()
    with pytest.raises(InputError, match="can be written"):
        simulate_network(engine.network(), **FAST | {"draws": 50}, store=path)
    assert path.read_bytes() == before
    pd.testing.assert_frame_equal(load_store(path), frame, check_exact=True)


def test_load_gives_the_table_back(path):
    nets = [engine.network(), engine.network(activation="relu")]
    frame = simulate_networks(nets, **FAST, store=path)
    loaded = load_store(path)
    pd.testing.assert_frame_equal(loaded, frame, check_exact=True)
    assert loaded.attrs["unfinished"] == {}
    assert loaded.attrs["digest"] == frame.attrs["digest"]
    for net in nets:
        stored, fresh = (f.attrs["cases"][net.case] for f in (loaded, frame))
        assert stored == fresh
    kept, drawn = read_store(path).histograms, measure_networks(nets, **FAST).histograms
    for one, two in zip(kept, drawn, strict=True):
        assert (one.case, one.layer) == (two.case, two.layer)
        np.testing.assert_array_equal(one.edges, two.edges)
        np.testing.assert_array_equal(one.counts, two.counts)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_load_says_what_is_unfinished(path):
    nets = [engine.network(), engine.network(activation="relu")]
    with pytest.raises(KeyboardInterrupt):
        simulate_networks(nets, **FAST, store=path, progress=Interrupt(3))
    with pytest.raises(InputError, match="15 of 29 draws"):
        load_store(path)
    with pytest.raises(KeyboardInterrupt):
        simulate_networks(nets, **FAST, store=path, progress=Interrupt(8))
    loaded = load_store(path)
    assert set(loaded["case"]) == {"lecun_normal · tanh"}
    assert loaded.attrs["unfinished"] == {"lecun_normal · relu": "10 of 29 draws"}


def test_results_can_be_read_without_us(path):
    frame = simulate_network(engine.network(), **FAST, store=path)
    connection = sqlite3.connect(path)
    read = pd.read_sql("SELECT * FROM results", connection).drop(columns="position")
    connection.close()
    assert read["quantity"].tolist() == frame["quantity"].tolist()
    assert read["n_draws"].tolist() == frame["n_draws"].tolist()


def test_load_of_a_missing_file(path):
    with pytest.raises(InputError, match="an existing block store"):
        load_store(path)
    assert not path.exists()


def test_nothing_is_pickled(path):
    simulate_network(engine.network(), **FAST, store=path)
    with sqlite3.connect(path) as connection:
        contents = [row[0] for row in connection.execute("SELECT content FROM blocks")]
    connection.close()
    assert contents
    for content in contents:
        assert content[:2] == b"PK"  # an .npz archive
        assert b"\x80\x04" not in content[:4]


def test_the_lock_is_given_back_by_kill_9(path):
    script = (
        "import os, signal; from tests.montecarlo import engine; "
        "from varprop.montecarlo.store import BlockStore; "
        f"BlockStore({str(path)!r}, [engine.plan()]); os.kill(os.getpid(), signal.SIGKILL)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False, cwd=engine.ROOT)
    assert run.returncode == -9
    BlockStore(path, [engine.plan()]).close()
    assert list(path.parent.iterdir()) == [path]
