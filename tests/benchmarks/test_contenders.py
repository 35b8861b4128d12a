"""The same work by everyone: forward and backward, every quantity and the histograms, in one run, as ratios.

Slow contenders do fewer draws in a round and are scaled up; ours do all of them, fixed costs included.
"""

from __future__ import annotations

import pytest

from tests.benchmarks.contenders import contender, ours, present
from tests.benchmarks.peak import peak_mib
from tests.benchmarks.peers import Workload
from varprop.montecarlo import open_executor

DRAWS = 200

TURNS = 3

# (name, draws of a round at batch 1, at batch 32)
FIELD = [
    ("NumPy, plain", 1, 1),
    ("NumPy, tuned float32", 2, 2),
    ("PyTorch", 4, 4),
    ("PyTorch, rebuilt", 2, 2),
    ("JAX", 4, 4),
    ("varprop, dense", 16, 16),
    ("varprop, conditional", 200, 60),
    ("varprop, conditional, compiled", 200, 60),
]


def race(benchmark, group, name, work, draws, rounds=2, per=DRAWS, memory=True):
    benchmark.group = group
    benchmark.extra_info.update(name=name, unit=f"{per} draws", work=draws / per)
    if memory:
        benchmark.extra_info["memory"] = peak_mib(name, work, draws)
    with contender(name, work) as run:
        benchmark.pedantic(run, (draws,), rounds=rounds, warmup_rounds=int(name != "NumPy, plain"))


@pytest.mark.parametrize("batch", [1, 32])
@pytest.mark.parametrize(("name", "single", "many"), [f for f in FIELD if present(f[0])])
@pytest.mark.parametrize("turn", range(TURNS))
def test_standard_work(benchmark, turn, name, single, many, batch):
    """Width 1000, depth 20, tanh with sigma_w² = 1."""
    group = f"width 1000, depth 20, B = {batch}"
    draws, rounds = (single if batch == 1 else many), 5 if "conditional" in name else 2
    race(benchmark, group, name, Workload.of(batch=batch), draws, rounds, memory=turn == 0)


@pytest.mark.parametrize("batch", [1, 32])
@pytest.mark.parametrize(
    "name", ["varprop, dense", *(n for n, *_ in FIELD if "conditional" in n and present(n))]
)
def test_two_processes(benchmark, batch, name):
    """Workers that are already there; what starting them costs has a row of its own."""
    draws = 32 if "dense" in name else DRAWS
    benchmark.group = f"width 1000, depth 20, B = {batch}"
    benchmark.extra_info.update(name=f"{name}, 2 processes", unit=f"{DRAWS} draws", work=draws / DRAWS)
    with open_executor(2) as pool:
        block = {"block_size": 25} if batch == 1 and draws == DRAWS else {}
        run = ours(name, Workload.of(batch=batch), pool, **block)
        benchmark.pedantic(run, (draws,), rounds=5 if batch == 1 else 3, warmup_rounds=1)


LAWS = [
    (law, name, draws)
    for law, own in [
        ("uniform", ("varprop, dense", 16)),
        ("truncated", ("varprop, dense", 16)),
        ("orthogonal", ("varprop, conditional", 200)),
    ]
    for name, draws in [("NumPy, plain", 1), ("PyTorch", 4), own]
    if present(name)
]


@pytest.mark.parametrize(("law", "name", "draws"), LAWS)
def test_other_laws(benchmark, law, name, draws):
    race(
        benchmark,
        f"{law} weights, width 1000, depth 20, B = 1",
        name,
        Workload.of(law=law),
        draws,
        rounds=3,
        memory=False,
    )


WIDE = [("NumPy, plain", 1), ("PyTorch", 1), ("varprop, dense", 4), ("varprop, conditional", 50)]


@pytest.mark.parametrize(("name", "draws"), [f for f in WIDE if present(f[0])])
def test_width_10000(benchmark, name, draws):
    work = Workload.of(width=10_000, depth=5)
    rounds = 2 if name.startswith("NumPy") else 3
    race(benchmark, "width 10000, depth 5, B = 1", name, work, draws, rounds, per=10)
