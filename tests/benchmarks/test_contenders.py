"""The same work by everyone: forward and backward, every quantity and the histograms, in one run, as ratios.

Every contender waits in a process of its own, and they take turns of a second or so, so that a busy spell of the
machine meets all of them. Slow ones do fewer draws and are scaled up; ours do all of them, fixed costs included.
"""

from __future__ import annotations

import contextlib

import pytest

from tests.benchmarks.alone import Alone, alone
from tests.benchmarks.contenders import present
from tests.benchmarks.peers import Workload

DRAWS = 200

# (name, draws of a turn)
FIELD = [
    ("NumPy, plain", 1),
    ("NumPy, tuned float32", 1),
    ("PyTorch", 4),
    ("PyTorch, rebuilt", 2),
    ("JAX", 4),
    ("varprop, dense", 8),
    ("varprop, conditional", DRAWS),
    ("varprop, conditional, compiled", DRAWS),
    ("varprop, dense, 2 processes", 16),
    ("varprop, conditional, 2 threads", DRAWS),
    ("varprop, conditional, 2 processes", DRAWS),
    ("varprop, conditional, compiled, 2 processes", DRAWS),
]


@pytest.fixture(scope="module")
def waiting():
    """Lend contenders that stay for all their turns, by name, width, depth, batch and law."""
    kept: dict[tuple, Alone] = {}
    with contextlib.ExitStack() as stack:

        def call(name, draws, width, depth, batch, law):
            key = (name, width, depth, batch, law)
            if key not in kept:
                kept[key] = stack.enter_context(alone(name, Workload.of(width, depth, batch, law)))
                if name != "NumPy, plain":  # which has nothing to warm up
                    kept[key].run(draws if name == "JAX" else min(draws, 16))
            return kept[key]

        yield call


def turn_of(benchmark, contender, group, name, draws, per=DRAWS):
    benchmark.group = group
    benchmark.extra_info.update(name=name, unit=f"{per} draws", work=draws / per)
    benchmark.pedantic(contender.run, (draws,), rounds=1)
    if not name.endswith("processes"):
        benchmark.extra_info["memory"] = contender.peak


@pytest.mark.parametrize("batch", [1, 32])
@pytest.mark.parametrize(("name", "draws"), [f for f in FIELD if present(f[0])])
@pytest.mark.parametrize("turn", range(11))
def test_standard_work(benchmark, waiting, turn, name, draws, batch):
    """Width 1000, depth 20, tanh with sigma_w² = 1."""
    contender = waiting(name, draws, 1000, 20, batch, "normal")
    turn_of(benchmark, contender, f"width 1000, depth 20, B = {batch}", name, draws)


LAWS = [
    (law, name, draws)
    for law, own in [
        ("uniform", ("varprop, dense", 16)),
        ("truncated", ("varprop, dense", 16)),
        ("orthogonal", ("varprop, conditional", DRAWS)),
    ]
    for name, draws in [("NumPy, plain", 1), ("PyTorch", 4), own]
    if present(name)
]


@pytest.mark.parametrize(("law", "name", "draws"), LAWS)
@pytest.mark.parametrize("turn", range(5))
def test_other_laws(benchmark, waiting, turn, law, name, draws):
    contender = waiting(name, draws, 1000, 20, 1, law)
    turn_of(benchmark, contender, f"{law} weights, width 1000, depth 20, B = 1", name, draws)


WIDE = [("NumPy, plain", 1), ("PyTorch", 1), ("varprop, dense", 2), ("varprop, conditional", 50)]


@pytest.mark.parametrize(("name", "draws"), [f for f in WIDE if present(f[0])])
@pytest.mark.parametrize("turn", range(3))
def test_width_10000(benchmark, turn, name, draws):
    # Not kept waiting: the peers hold gigabytes.
    with alone(name, Workload.of(width=10_000, depth=5)) as contender:
        if name != "NumPy, plain":
            contender.run(min(draws, 16))
        turn_of(benchmark, contender, "width 10000, depth 5, B = 1", name, draws, per=10)
