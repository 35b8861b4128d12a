"""Reports killed and raced: ``python -m tests.reporting.killable [--kills N] [--rounds N]`` prints a table.

A child process writes reports into one folder, each in the place of the former. It is killed (``kill -9``) at random
times, which fall anywhere between the building of a report and the removal of the former one. After each kill the
folder must be a whole report, or be restored by the next run; nothing else may be lost or left lying about.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from varprop._validation import InputError
from varprop.reporting import folder as folders
from varprop.reporting.folder import claimed_folder
from varprop.reporting.record import not_ours, read_record

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Outcome:
    """How often what happened.

    ``lost``: a report or a user's file was gone (or, in a race, an exit with 0 left no report). ``torn``: the folder
    was not a whole report. ``litter``: hidden files were left after the next run. ``restored``: the next run put a
    former report back.
    """

    killed: int = 0
    lost: int = 0
    torn: int = 0
    litter: int = 0
    restored: int = 0
    won: int = 0
    refused: int = 0


def write_for_ever(target: Path, atomic: bool) -> None:
    """Write one report after the other; a line on standard output for each.

    Every step in which folders change their names is followed by a pause, so that kills fall between them too.
    """
    rename, exchange = Path.rename, folders.exchange

    def slow_rename(self: Path, target: Path) -> Path:
        moved = rename(self, target)
        time.sleep(0.01)
        return moved

    def slow_exchange(first: Path, second: Path) -> bool:
        done = atomic and exchange(first, second)
        time.sleep(0.01)
        return done

    Path.rename = slow_rename  # type: ignore[method-assign, assignment]
    folders.exchange = slow_exchange
    number = 0
    while True:
        number += 1
        files = {f"figures/{i}.svg": f"<!-- {number} -->" * 2000 for i in range(12)}
        with claimed_folder(target, force=True) as claim:
            claim.publish({"report.html": f"{number}", **files}, {"number": number})
        print(number, flush=True)


def battery(folder: Path, *, kills: int, atomic: bool, seed: int) -> Outcome:
    """Kill the child `kills` times."""
    rng = random.Random(seed)
    outcome = Outcome()
    target, mine = folder / "out", folder / "thesis.tex"
    mine.write_text("years of work")
    with claimed_folder(target, force=True) as claim:
        claim.publish({"report.html": "0"}, {"number": 0})
    for _ in range(kills):
        command = [sys.executable, "-m", "tests.reporting.killable", "--child", str(target)]
        command += [] if atomic else ["--two-renames"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True) as process:
            assert process.stdout is not None
            process.stdout.readline()
            start = time.perf_counter()
            process.stdout.readline()
            time.sleep(rng.uniform(0.0, 1.1 * (time.perf_counter() - start)))  # anywhere within one report
            process.kill()
        outcome.killed += process.returncode == -9
        outcome.lost += mine.read_text() != "years of work"
        if not target.exists():
            outcome.lost += atomic
            try:  # any next run restores, even one that is then refused
                with claimed_folder(target, force=False):
                    outcome.lost += 1
            except InputError:
                outcome.restored += 1
        _inspect(target, outcome)
        with claimed_folder(target, force=True) as claim:
            claim.publish({"report.html": "next"}, {"number": -1})
        _inspect(target, outcome)
        outcome.litter += sorted(p.name for p in folder.iterdir()) != ["out", "thesis.tex"]
    return outcome


def _inspect(target: Path, outcome: Outcome) -> None:
    record = read_record(target, "provenance.json")
    if record is None:
        outcome.lost += 1
        return
    whole = all((target / name).is_file() for name in record["files"])
    outcome.torn += not whole or not_ours(target, "provenance.json") is not None


def _piped(command: list[str]) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=ROOT)


def commands(folder: Path, *, kills: int, seed: int) -> Outcome:
    """Kill ``varprop report --force`` itself, at any moment from its start to its end."""
    rng = random.Random(seed)
    outcome = Outcome()
    target = folder / "command"
    command = [sys.executable, "-m", "varprop", "report", "-o", str(target), "--force"]
    command += ["--widths", "20x3", "--draws", "10"]
    start = time.perf_counter()
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    whole = time.perf_counter() - start
    for _ in range(kills):
        with _piped(command) as process:
            time.sleep(rng.uniform(0.0, 1.1 * whole))
            process.kill()
        outcome.killed += process.returncode == -9
        _inspect(target, outcome)
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    _inspect(target, outcome)
    outcome.litter += [p.name for p in folder.iterdir() if p.name.startswith(".")] != []
    return outcome


def race(folder: Path, *, processes: int, rounds: int) -> Outcome:
    """Let several processes report into one folder at once, with ``--force``."""
    outcome = Outcome()
    for number in range(rounds):
        target = folder / f"out{number}"
        command = [sys.executable, "-m", "tests.reporting.killable", "--once", str(target)]
        running = [_piped([*command, str(i)]) for i in range(processes)]
        for process in running:
            assert process.stdout is not None
            process.stdout.readline()  # it has started
        for process in running:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        winners = []
        for i, process in enumerate(running):
            _, errors = process.communicate()
            if process.returncode == 0:
                winners.append(i)
            else:
                outcome.refused += "InputError" in errors or "meanwhile" in errors
        outcome.won += len(winners)
        record = read_record(target, "provenance.json") or {}
        outcome.lost += record.get("number") not in winners or len(winners) != 1
        _inspect(target, outcome)
    return outcome


def write_once(target: Path, number: int) -> None:
    """When told to, claim the folder, work for a while, write."""
    print("ready", flush=True)
    sys.stdin.readline()
    with claimed_folder(target, force=True) as claim:
        time.sleep(1.0)
        claim.publish({"report.html": str(number)}, {"number": number})


def main() -> None:
    """Run the child, or the large batteries."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--child", type=Path)
    parser.add_argument("--two-renames", action="store_true")
    parser.add_argument("--once", nargs=2)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    if given.child is not None:
        write_for_ever(given.child, not given.two_renames)
    elif given.once is not None:
        write_once(Path(given.once[0]), int(given.once[1]))
    else:
        print("\n".join(table(given.kills, given.rounds)))


def table(kills: int, rounds: int) -> list[str]:
    """Run the large batteries and return their outcomes as Markdown."""
    lines = ["| fault | times | lost | torn | litter | restored | won | refused |"]
    lines.append("| :-- | --: | --: | --: | --: | --: | --: | --: |")
    with tempfile.TemporaryDirectory() as folder:
        for name, atomic in (("kill, one exchange", True), ("kill, two renames", False)):
            place = Path(folder) / str(atomic)
            place.mkdir()
            o = battery(place, kills=kills, atomic=atomic, seed=10)
            lines.append(f"| {name} | {o.killed} | {o.lost} | {o.torn} | {o.litter} | {o.restored} | – | – |")
        o = commands(Path(folder), kills=kills, seed=11)
        lines.append(
            f"| kill, varprop report --force | {o.killed} | {o.lost} | {o.torn} | {o.litter} | – | – | – |"
        )
        o = race(Path(folder), processes=4, rounds=rounds)
        lines.append(
            f"| four reports at once | {rounds} | {o.lost} | {o.torn} | – | – | {o.won} | {o.refused} |"
        )
    return lines


if __name__ == "__main__":
    main()
