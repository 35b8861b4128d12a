"""A few of the faults of `python -m tests.faults`; kills are in ``test_kill``, ``test_execute``, ``test_heartbeat``."""

from __future__ import annotations

import pytest

from tests.faults import disks, processes


def test_runs_at_once(tmp_path):
    tally = processes.run_at_once(tmp_path, 1, processes=2)
    assert (tally.tried, tally.problems) == (1, [])


@pytest.mark.skipif(not disks.can_mount(), reason="file systems can be mounted by root on Linux only")
def test_full_and_read_only_disks(tmp_path):
    assert disks.fill_disks(tmp_path, 2).problems == []
    assert disks.freeze_disks(tmp_path).problems == []


WAITS_FOR_A_BLOCK = 1


def test_a_lost_block_is_found_by_the_campaign(tmp_path, monkeypatch):
    """Negative control: where nothing is kept, the first kill after a block is reported as a loss.

    With this seed the campaign waits for a reported block before it kills, however slow the machine is.
    """
    monkeypatch.setattr(processes, "blocks_of", lambda store: set())
    problems = processes.kill_parents(tmp_path, 1, seed=WAITS_FOR_A_BLOCK).problems
    assert any("reported" in problem for problem in problems)
