from __future__ import annotations

import pytest

from tests import synthetic
from varprop.reporting.evidence import Evidence
from varprop.spec import Study, half_on, mlp


def made(cases: tuple[str, ...] = synthetic.CASES, depth: int = 4, **study: object) -> Evidence:
    """Return evidence on a study whose tables are made up."""
    networks = tuple(
        mlp([256] * (depth - 1) + [10], "tanh", "he_normal", input=half_on(64), name=case) for case in cases
    )
    return Evidence.of(
        Study("made up", networks, **study),  # type: ignore[arg-type]
        synthetic.predicted(cases, depth),
        synthetic.simulated(cases, depth),
        synthetic.compared(cases, depth),
        seconds={"theory": 0.1},
        settings={"order": "best"},
        histograms=synthetic.histograms(cases, depth),
    )


@pytest.fixture(scope="session")
def evidence() -> Evidence:
    return made()


@pytest.fixture(scope="session")
def small() -> Evidence:
    """One case of one layer, for what does not depend on the content."""
    return made(synthetic.CASES[:1], depth=1)
