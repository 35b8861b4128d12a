"""A store is whole or empty from its first moment, and a copy of it alone has what was finished."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.montecarlo import engine
from varprop import InputError
from varprop.montecarlo import load_store, simulate_network
from varprop.montecarlo.complaints import APPLICATION_ID
from varprop.montecarlo.store import BlockStore
from varprop.montecarlo.verification import verify_store

FAST = {"draws": 29, "block_size": 5, "seed": 3}


def header(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(statement)
    connection.close()
    assert path.stat().st_size == 4096


@pytest.mark.parametrize(
    "statement", ["VACUUM", "PRAGMA journal_mode = WAL", f"PRAGMA application_id = {APPLICATION_ID}"]
)
@pytest.mark.parametrize("length", [0, 1, 100, 4095, 4096])
def test_a_database_with_nothing_in_it_is_new(tmp_path, statement, length):
    path = tmp_path / "run.sqlite"
    header(path, statement)
    path.write_bytes(path.read_bytes()[:length])
    for read in (load_store, verify_store):
        with pytest.raises(InputError, match="store"):
            read(path)
    frame = simulate_network(engine.network(), **FAST, store=path, resume=False)
    assert load_store(path).equals(frame)
    assert verify_store(path) == []
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_page_of_somebody_else_is_left_alone(tmp_path):
    path = tmp_path / "run.sqlite"
    header(path, "PRAGMA application_id = 7")
    for length in (4096, 500):
        content = path.read_bytes()[:length]
        path.write_bytes(content)
        with pytest.raises(InputError, match="block store"):
            simulate_network(engine.network(), **FAST, store=path)
        assert path.read_bytes() == content


KILLED = """
import os, sys
from tests.montecarlo import engine
from varprop.montecarlo import store

real, plans, calls = store._connect, [engine.plan()], 0

class Dying:
    # A connection whose process is killed at its nth statement.
    def __init__(self, connection, last): self.connection, self.left = connection, last
    def execute(self, *arguments):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), 9)
        return self.connection.execute(*arguments)
    def __enter__(self): self.connection.__enter__(); return self
    def __exit__(self, *error): return self.connection.__exit__(*error)
    def __getattr__(self, name): return getattr(self.connection, name)

for statement in range(1, 100):
    if (child := os.fork()) == 0:
        store._connect = lambda path: Dying(real(path), statement)
        store.BlockStore(f"{sys.argv[1]}/{statement}.sqlite", plans).close()
        os._exit(0)
    if os.waitpid(child, 0)[1] == 0:
        break
print(statement)
"""


def test_killed_at_any_statement_the_file_goes_on(tmp_path):
    """Every statement that makes a store, one after the other; before, a kill after the third was final."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        check=True,
        cwd=engine.ROOT,
        capture_output=True,
        text=True,
    )
    assert int(done.stdout) > 20
    for statement in range(1, int(done.stdout)):
        BlockStore(tmp_path / f"{statement}.sqlite", [engine.plan()]).close()
        assert verify_store(tmp_path / f"{statement}.sqlite") == []


def test_a_copy_of_the_file_alone_has_the_finished_blocks(tmp_path):
    """Killed after its fourth block, without time to fold anything: before, the copy was an empty database."""
    path, copy = tmp_path / "run.sqlite", tmp_path / "copy.sqlite"
    script = (
        "import os, sys; from tests.montecarlo import engine; from varprop.montecarlo import simulate_network; "
        f"simulate_network(engine.network(), **{FAST}, store=sys.argv[1], "
        "progress=lambda report: report.blocks == 4 and os.kill(os.getpid(), 9))"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], check=False, cwd=engine.ROOT)
    assert done.returncode == -9
    assert path.with_name("run.sqlite-wal").exists()
    shutil.copyfile(path, copy)
    for store, least in ((path, 20), (copy, 5)):  # the first block is folded at once
        with pytest.raises(InputError, match=r"\d+ of 29 draws") as said:
            load_store(store)
        assert int(str(said.value).split("tanh': '")[1].split()[0]) >= least
        assert verify_store(store) == []
        assert simulate_network(engine.network(), **FAST, store=store).equals(
            simulate_network(engine.network(), **FAST)
        )
