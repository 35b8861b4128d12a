"""Print the lowest versions that ``pyproject.toml`` allows, as requirements for pip: ``make test-lowest``.

What only checks the source (ruff, mypy, stubs) is left out: it runs at its newest version anyway.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

COMPANIONS = {"pyparsing": "3.1.0"}
"""What the lowest versions need but do not bound from above; newer releases warn of what they do."""

CHECKERS = {"ruff", "mypy", "import-linter", "pandas-stubs", "scipy-stubs"}
_BOUND = re.compile(r"(?P<name>[A-Za-z0-9_.-]+)>=(?P<version>[0-9.]+)")


def lowest_versions(text: str) -> dict[str, str]:
    """Return the lower bound of every run-time, optional and test dependency, by name.

    Raises
    ------
    ValueError
        If a dependency has no lower bound, or more than that.
    """
    project = tomllib.loads(text)["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    found: dict[str, str] = {}
    for requirement in (r for group in groups for r in group if not r.startswith(project["name"])):
        match = _BOUND.fullmatch(requirement)
        if match is None:
            raise ValueError(f"{requirement}: expected name>=version")
        if match["name"] not in CHECKERS:
            found[match["name"]] = match["version"]
    return found


if __name__ == "__main__":
    for name, version in {**lowest_versions(Path("pyproject.toml").read_text()), **COMPANIONS}.items():
        print(f"{name}=={version}")
