"""No damage to a store is believed; `python -m tests.faults` does the same at large."""

from __future__ import annotations

import sqlite3

import pytest

from tests.cli.running import run
from tests.faults import damage


def test_flipped_bits(tmp_path):
    tally = damage.flip_bits(tmp_path, 8)
    assert (tally.tried, tally.problems) == (8, [])
    assert tally.noticed  # most of the file is content; unused space may change


def test_cut_files(tmp_path):
    tally = damage.cut_files(tmp_path, 5)
    assert (tally.tried, tally.noticed, tally.problems) == (5, 5, [])


def test_edited_records(tmp_path):
    tally = damage.edit_records(tmp_path, resume_every=3)
    assert (tally.tried, tally.noticed, tally.problems) == (len(damage.EDITS), len(damage.EDITS), [])


def test_a_store_that_gives_another_table_is_found_by_the_campaign(tmp_path, monkeypatch):
    """Negative control: without its checksums, an edited value is reported as wrong."""
    from varprop.montecarlo import loading

    monkeypatch.setattr(loading, "damages", lambda connection: iter(()))
    tally = damage.edit_records(tmp_path, only="a value")
    assert "a value: load gave another table" in tally.problems


def test_verify_says_it_with_lines_and_codes(tmp_path):
    path, _ = damage.finished_store(tmp_path)
    assert run("verify", str(path)).out == "sound\n"
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE results SET value = 0 WHERE rowid = 3")
        connection.execute("UPDATE blocks SET content = x'00' WHERE block = 1")
    connection.close()
    outcome = run("verify", str(path))
    assert (outcome.code, outcome.err) == (1, "")
    assert len(outcome.out.splitlines()) == 3
    assert "block 2 (20 draws) of case 1" in outcome.out
    assert "results are not as they were written" in outcome.out
    for bad in (tmp_path, tmp_path / "missing", __file__):
        outcome = run("verify", str(bad))
        assert (outcome.code, outcome.out) == (2, "")
        assert len(outcome.err.splitlines()) == 1


@pytest.mark.parametrize("statement", ["DELETE FROM results", "UPDATE meta SET value = '0'"])
def test_damaged_records_are_written_anew_where_blocks_prove_the_run(tmp_path, statement):
    path, expected = damage.finished_store(tmp_path)
    with sqlite3.connect(path) as connection:
        connection.execute(statement if "meta" not in statement else statement + " WHERE name <> 'layout'")
    connection.close()
    with pytest.warns(RuntimeWarning, match="written anew"):
        damage.simulate_networks(damage.NETWORKS, **damage.SETTINGS, store=path)
    assert damage.same_numbers(damage.load_store(path), expected)
    assert damage.verify_store(path) == []
