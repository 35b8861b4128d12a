"""What the machine can do at best, and how near our samplers come to it, on one core."""

from __future__ import annotations

import time

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from tests.benchmarks.contenders import ours
from tests.benchmarks.peers import Workload
from varprop.montecarlo.normals import Noise

SIZE = 1 << 20
FAST = np.random.Generator(np.random.SFC64(0))
NOISE = Noise(np.random.Generator(np.random.SFC64(0)))
NUMBERS = {
    "raw 64-bit words, SFC64": FAST.bit_generator.random_raw,
    "NumPy normal float64, PCG64": np.random.default_rng(0).standard_normal,
    "NumPy normal float32, SFC64": lambda n: FAST.standard_normal(n, dtype=np.float32),
    "varprop normal float32": lambda n: NOISE.normal((n,)),
    "varprop uniform float32": lambda n: NOISE.uniform((n,), -1.0, 1.0),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_random_numbers(benchmark, name):
    benchmark.group = "random numbers, one core"
    benchmark.extra_info.update(name=name, unit="million numbers", work=SIZE / 1e6)
    benchmark.pedantic(NUMBERS[name], (SIZE,), rounds=20, warmup_rounds=2)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_matrix_product(benchmark, dtype):
    n = 1000
    a, b = (np.random.default_rng(i).standard_normal((n, n)).astype(dtype) for i in (0, 1))
    benchmark.group = "matrix product, one core"
    benchmark.extra_info.update(name=dtype, unit="GFLOP", work=2 * n**3 / 1e9)
    with threadpool_limits(1, user_api="blas"):
        benchmark.pedantic(np.matmul, (a, b), rounds=20, warmup_rounds=2)


def seconds(call, *arguments) -> float:
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        call(*arguments)
        best = min(best, time.perf_counter() - start)
    return best


@pytest.mark.parametrize(
    ("name", "batch", "draws"),
    [("varprop, conditional", 1, 200), ("varprop, conditional", 32, 40), ("varprop, dense", 1, 16)],
)
def test_distance_from_the_bound(benchmark, name, batch, draws):
    """The least any sampler of this kind must do: its random numbers, one tanh each way, its products."""
    work = Workload.of(batch=batch)
    width, depth = 1000, 20
    z = NOISE.normal((16, width))
    normal = seconds(NOISE.normal, (SIZE,)) / SIZE
    tanh = seconds(np.tanh, z) / z.size
    a = NOISE.normal((width, width))
    with threadpool_limits(1, user_api="blas"):
        flop = seconds(np.matmul, a, a) / (2 * width**3)
    if "dense" in name:
        numbers, flops = width * width, 4 * width * width * batch
    else:
        numbers, flops = 2 * width * batch, 14 * width * batch**2
    bound = depth * (numbers * normal + 2 * width * batch * tanh + flops * flop)
    benchmark.group = "distance from the bound, width 1000, depth 20, one core"
    benchmark.extra_info.update(name=f"{name}, B = {batch}", unit="draw", work=draws)
    with threadpool_limits(1, user_api="blas"):
        benchmark.pedantic(ours(name, work), (draws,), rounds=5, warmup_rounds=1)
    reached = benchmark.stats.stats.median / draws
    benchmark.extra_info["note"] = f"bound {bound:.3g} s, {reached / bound:.2g} times it"
