"""What became of the faults of one kind."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Tally:
    """Counts of one kind of fault; `problems` must end empty.

    Attributes
    ----------
    fault : str
        What was done.
    tried, noticed : int
        How often, and how often varprop said so. The others changed nothing that it gives out.
    by : Counter
        Who said so: verify, load, a warning.
    problems : list of str
        What was lost, wrong, or ended in another way than it should.
    """

    fault: str
    tried: int = 0
    noticed: int = 0
    by: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def detected(self, by: list[str]) -> None:
        """Count one fault with those that noticed it."""
        self.tried += 1
        self.noticed += bool(by)
        self.by.update(set(by))

    def wrong(self, what: str) -> None:
        """Keep what must not happen."""
        self.problems.append(what)
