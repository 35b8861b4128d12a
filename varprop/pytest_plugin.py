"""The pytest plugin: tests marked ``varprop`` share one probability of a false alarm.

With m marked tests in the session each gets ``varprop_alpha``/m (0.05 unless the configuration says otherwise), so that
with right formulas the whole session fails with at most that probability. Every worker of pytest-xdist collects all
tests, so m is the same there. The fixture ``assert_agrees`` is `varprop.testing.assert_agrees`; a test that asks for it
counts as marked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

_SHARES = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the setting ``varprop_alpha``."""
    parser.addini(
        "varprop_alpha", "probability of a false alarm over all tests marked varprop", default="0.05"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line(
        "markers",
        "varprop: verifies a formula with varprop.testing; shares varprop_alpha with the other such tests",
    )


def pytest_collection_finish(session: pytest.Session) -> None:
    """Count the tests that share."""
    session.config.stash[_SHARES] = sum(_takes_part(item) for item in session.items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Run a marked test with its share."""
    if not _takes_part(item):
        return (yield)
    from varprop.testing import spending

    with spending(_alpha(item.config)):
        return (yield)


@pytest.fixture
def assert_agrees() -> Callable[..., Any]:
    """Return `varprop.testing.assert_agrees`, within the test's share of ``varprop_alpha``."""
    from varprop import testing

    return testing.assert_agrees


@pytest.fixture
def varprop_share(request: pytest.FixtureRequest) -> float:
    """Return the share of ``varprop_alpha`` that each marked test has."""
    return _alpha(request.config)


def _alpha(config: pytest.Config) -> float:
    text = config.getini("varprop_alpha")
    try:
        alpha = float(text)
    except ValueError:
        alpha = float("nan")
    if not 0.0 < alpha < 1.0:
        raise pytest.UsageError(f"varprop_alpha must be a number between 0 and 1, not {text!r}")
    return alpha / max(config.stash.get(_SHARES, 1), 1)


def _takes_part(item: pytest.Item) -> bool:
    return item.get_closest_marker("varprop") is not None or "assert_agrees" in getattr(
        item, "fixturenames", ()
    )
