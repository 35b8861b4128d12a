"""Whether a store, and a worker's block, belong to this very run: same plans, and an environment of the same bits."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

from varprop._validation import InputError, described
from varprop.montecarlo.blocks import Plan
from varprop.montecarlo.description import describe, differences
from varprop.montecarlo.environment import relevant
from varprop.montecarlo.records import block_checksum


def check_same_run(
    connection: sqlite3.Connection, path: Path, plans: Sequence[Plan], environment: Mapping[str, str]
) -> None:
    """Refuse a store that another run has made, and say in what they differ."""
    meta = dict(connection.execute("SELECT name, value FROM meta"))
    now = relevant(environment, any(plan.compiled for plan in plans))
    found = differences({name: meta[name] for name in now if name in meta}, now)
    stored = connection.execute("SELECT position, label, draws, description FROM cases")
    for position, label, draws, description in stored.fetchall():
        if position >= len(plans):
            found.append(f"case {position + 1} ({label}) is in the store and not in this run")
            continue
        plan = plans[position]
        listed = differences(json.loads(description), describe(plan))
        if draws > plan.draws:
            listed.append(f"draws {draws} in the store, {plan.draws} now")
        found += [f"case {position + 1}: {line}" for line in listed]
    if found:
        more = f"; and {len(found) - 8} more" if len(found) > 8 else ""
        raise InputError(
            "store",
            str(path),
            f"a store made by this very run, or a new file; they differ in {'; '.join(found[:8])}{more}",
        )


def check_proven(connection: sqlite3.Connection, path: Path, facts: Sequence[str], damage: str) -> None:
    """Refuse a store with damaged records unless its blocks prove that it is of this run.

    A block's checksum covers the environment and the plan that made it, so one that holds is proof.
    """
    sound = False
    for position, block, draws, checksum, content in connection.execute(
        "SELECT position, block, draws, checksum, content FROM blocks"
    ):
        if not isinstance(position, int) or not 0 <= position < len(facts):
            sound = False  # a case that this run does not have
            break
        sound = sound or (
            isinstance(content, bytes)
            and checksum == block_checksum((position, block, draws), facts[position], content)
        )
    if not sound:
        raise InputError(
            "store",
            str(path),
            f"an undamaged block store, or a new file: {damage}, and no block proves that it is of this run",
        )


def check_worker(made_in: Mapping[str, str], environment: Mapping[str, str], plan: Plan) -> None:
    """Refuse a block that was computed where the same plan may give other bits."""
    there, here = relevant(made_in, plan.compiled), relevant(environment, plan.compiled)
    if there != here:
        listed = "; ".join(
            f"{name} {here.get(name, 'absent')} here, {there.get(name, 'absent')} there"
            for name in {**here, **there}
            if here.get(name) != there.get(name)
        )
        allowed = f"workers that give the same bits as this process; they differ in {listed}"
        raise InputError("executor", described("a worker elsewhere"), allowed)
