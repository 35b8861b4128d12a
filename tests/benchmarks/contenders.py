"""Who takes part, each as ``run(draws)`` on a workload, with all cores of the machine at its disposal."""

from __future__ import annotations

import contextlib
import importlib.util
import math
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor

from threadpoolctl import threadpool_limits

import varprop as vp
from tests.benchmarks import peers
from tests.benchmarks.peers import Workload
from varprop.montecarlo import open_executor, simulate_network

Run = Callable[[int], object]
CORES = os.cpu_count() or 1
WEIGHTS = {
    "normal": "lecun_normal",
    "uniform": "lecun_uniform",
    "orthogonal": "orthogonal",
}


def network_of(work: Workload) -> vp.Network:
    """Return the workload as our spec."""
    width = work.widths[0]
    weights = WEIGHTS.get(work.law, f"truncated_normal(std={1 / math.sqrt(width)}, bound=2)")
    return vp.mlp(list(work.widths[1:]), "tanh", weights, input=vp.data(work.x.T))


@contextlib.contextmanager
def contender(name: str, work: Workload) -> Iterator[Run]:
    """Lend a contender, ready to run in this process."""
    with threadpool_limits(CORES, user_api="blas"):
        if name == "NumPy, plain":
            yield lambda draws: peers.numpy_plain(work, draws)
        elif name == "NumPy, tuned float32":
            yield lambda draws: peers.numpy_tuned(work, draws)
        elif name in ("PyTorch", "PyTorch, rebuilt"):
            import torch

            run = peers.TorchModel(work, rebuilt=name != "PyTorch").run
            torch.set_num_threads(_best_threads(run, torch.set_num_threads))
            yield run
        elif name == "JAX":
            yield peers.jax_mapped(work)
        else:
            with _executor(name) as executor:
                yield ours(name, work, executor)


def _best_threads(run: Run, set_threads: Callable[[int], None]) -> int:
    """Return the faster number of threads: where cores are shared, threads that wait for one another lose."""
    seconds = {}
    for threads in (1, CORES):
        set_threads(threads)
        run(1)
        start = time.perf_counter()
        run(2)
        seconds[threads] = time.perf_counter() - start
    return min(seconds, key=seconds.__getitem__)


@contextlib.contextmanager
def _executor(name: str) -> Iterator[Executor | None]:
    if name.endswith("2 threads"):
        with ThreadPoolExecutor(2) as pool:
            yield pool
    elif name.endswith("2 processes"):
        with open_executor(2) as pool:
            yield pool
    else:
        yield None


def ours(name: str, work: Workload, executor: Executor | None = None, **options: object) -> Run:
    """Return our simulation with every quantity and the histograms on; "compiled" in the name uses the kernels."""
    network = network_of(work)
    sampler, *how = name.removeprefix("varprop, ").split(", ")
    options["compiled"] = "compiled" in how
    if executor is not None and work.batch == 1 and sampler == "conditional":
        options.setdefault("block_size", 25)  # 200 draws would be one block

    def run(draws: int) -> object:
        return simulate_network(
            network, draws=draws, sampler=sampler, executor=executor, memory=2**34, **options
        )

    return run


def present(name: str) -> bool:
    """Say whether a contender's library is installed."""
    needs = {"PyTorch": "torch", "JAX": "jax", "compiled": "numba"}
    return all(importlib.util.find_spec(needs[part]) for part in name.split(", ") if part in needs)
