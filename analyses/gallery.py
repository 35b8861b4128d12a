"""Make the gallery: run every analysis whose page is not up to date, then write the index.

    python analyses/gallery.py [NAME …] [--all] [--list]

A NAME is an analysis or the beginning of one (``e5``); named ones are always run. A page is up to date when its
stamp is the present one; so an interrupted run goes on where it stopped. The stamp is a digest of the analysis and of
the whole package: every change of the code makes every page out of date, which costs time but is never wrong.
Stamps lie in reports/.stamps/, outside version control: a fresh copy of the repository makes every page anew.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import runpy
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
REPORTS = ROOT / "reports"
STAMPS = REPORTS / ".stamps"

ORDER = (
    "e1_one_neuron",
    "e2_zero_initialization",
    "e3_too_small",
    "e4_glorot_and_he",
    "e5_zeros_random_he",
    "e6_many_starts",
    "e7_every_initializer",
    "e8_deep_networks",
    "e9_zero_mean_normalised_data",
    "e12_at_birth",
    "explore_in_pandas",
)
"""Reading order: a short course in initialization."""


def stamp(name: str) -> str:
    """Digest of the analysis and of the package's source: what the page depends on."""
    digest = hashlib.sha256()
    for path in (HERE / f"{name}.py", *sorted((ROOT / "varprop").rglob("*.py"))):
        digest.update(path.relative_to(ROOT).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def chosen(names: list[str]) -> list[str]:
    unknown = [n for n in names if not any(a.startswith(n) for a in ORDER)]
    if unknown:
        sys.exit(f"gallery: no analysis begins with {unknown[0]!r}; there are {', '.join(ORDER)}")
    return [a for a in ORDER if any(a.startswith(n) for n in names)]


def main() -> None:
    description = __doc__.replace("``", "")
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(usage=argparse.SUPPRESS, description=description, formatter_class=raw)
    parser.add_argument("names", nargs="*", metavar="NAME", help="analyses to run, by the beginning of their names")
    parser.add_argument("--all", action="store_true", help="run also those that are up to date")
    parser.add_argument("--list", action="store_true", help="say what there is and stop")
    arguments = parser.parse_args()
    os.chdir(ROOT)
    from varprop._files import write_atomic
    from varprop.reporting.pages import index_text, read_card

    def current(name: str) -> bool:
        noted = STAMPS / name
        made = (REPORTS / name / "README.md").is_file() and noted.is_file()
        return made and noted.read_text(encoding="utf-8") == stamp(name)

    if arguments.list:
        for name in ORDER:
            print(f"{name:<32}{'up to date' if current(name) else 'to be made'}")
        return
    names = chosen(arguments.names) if arguments.names else list(ORDER)
    todo = [n for n in names if arguments.names or arguments.all or not current(n)]
    for number, name in enumerate(todo, start=1):
        print(f"[{number}/{len(todo)}] {name} …", end=" ", flush=True, file=sys.stderr)
        start, made_from = time.perf_counter(), stamp(name)
        runpy.run_path(str(HERE / f"{name}.py"), run_name="__main__")
        STAMPS.mkdir(parents=True, exist_ok=True)
        write_atomic(STAMPS / name, made_from)
        print(f"{time.perf_counter() - start:.0f} s", file=sys.stderr)
    cards = [card for name in ORDER if (card := read_card(REPORTS / name)) is not None]
    write_atomic(REPORTS / "README.md", index_text(cards))
    print((REPORTS / "README.md").relative_to(ROOT))


if __name__ == "__main__":
    main()
