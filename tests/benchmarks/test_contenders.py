"""The same work by everyone: forward and backward, every quantity and the histograms, in one run, as ratios.

Every contender works in a process of its own, in turns. Slow ones do fewer draws and are scaled up; ours do all of
them, fixed costs included.
"""

from __future__ import annotations

import pytest

from tests.benchmarks.alone import alone
from tests.benchmarks.contenders import present
from tests.benchmarks.peers import Workload

DRAWS = 200

TURNS = range(5)

# (name, draws of a round)
FIELD = [
    ("NumPy, plain", 1),
    ("NumPy, tuned float32", 2),
    ("PyTorch", 4),
    ("PyTorch, rebuilt", 2),
    ("JAX", 4),
    ("varprop, dense", 16),
    ("varprop, conditional", DRAWS),
    ("varprop, conditional, compiled", DRAWS),
    ("varprop, dense, 2 processes", 32),
    ("varprop, conditional, 2 threads", DRAWS),
    ("varprop, conditional, 2 processes", DRAWS),
    ("varprop, conditional, compiled, 2 processes", DRAWS),
]


def race(benchmark, group, name, work, draws, rounds=2, per=DRAWS):
    benchmark.group = group
    benchmark.extra_info.update(name=name, unit=f"{per} draws", work=draws / per)
    with alone(name, work) as contender:
        if name != "NumPy, plain":  # which has nothing to warm up
            contender.run(draws if name == "JAX" else min(draws, 16))
        benchmark.pedantic(contender.run, (draws,), rounds=rounds)
        if not name.endswith("processes"):
            benchmark.extra_info["memory"] = contender.peak


@pytest.mark.parametrize("batch", [1, 32])
@pytest.mark.parametrize(("name", "draws"), [f for f in FIELD if present(f[0])])
@pytest.mark.parametrize("turn", TURNS)
def test_standard_work(benchmark, turn, name, draws, batch):
    """Width 1000, depth 20, tanh with sigma_w² = 1."""
    group = f"width 1000, depth 20, B = {batch}"
    rounds = 5 if batch == 1 and "conditional" in name else 1
    race(benchmark, group, name, Workload.of(batch=batch), draws, rounds)


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
@pytest.mark.parametrize("turn", TURNS)
def test_other_laws(benchmark, turn, law, name, draws):
    group = f"{law} weights, width 1000, depth 20, B = 1"
    race(benchmark, group, name, Workload.of(law=law), draws, rounds=5 if "conditional" in name else 1)


WIDE = [("NumPy, plain", 1), ("PyTorch", 1), ("varprop, dense", 4), ("varprop, conditional", 50)]


@pytest.mark.parametrize(("name", "draws"), [f for f in WIDE if present(f[0])])
def test_width_10000(benchmark, name, draws):
    work = Workload.of(width=10_000, depth=5)
    race(benchmark, "width 10000, depth 5, B = 1", name, work, draws, rounds=3, per=10)
