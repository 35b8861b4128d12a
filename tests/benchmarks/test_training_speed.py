"""Two hundred two-circle networks at a time, beside the same work one network at a time."""

from __future__ import annotations

import numpy as np
import pytest

import varprop as vp
from tests.benchmarks import training_peers
from tests.benchmarks.contenders import present
from varprop.training import circles, train

NETWORKS, STEPS, WHOLE = 200, 300, 15_000
GROUP = "200 two-circle networks"


@pytest.fixture(scope="module")
def network():
    return vp.mlp([10, 5, 1], "relu", "he_normal", input=circles(300), head="bce")


PEERS = {"NumPy, plain": training_peers.numpy_training, "PyTorch": training_peers.torch_training}


@pytest.mark.parametrize("name", [name for name in PEERS if present(name)])
def test_one_network_at_a_time(benchmark, network, name):
    x, y = network.input.array(), network.input.labels[None].astype(float)
    benchmark.group = GROUP
    benchmark.extra_info.update(name=name, unit="1000 steps of each", work=1 / NETWORKS)
    if name == "PyTorch":
        # One small network is a job for one thread: more threads only get in each other's way.
        import torch

        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        benchmark.pedantic(PEERS[name], (x, y, 1000), rounds=5, warmup_rounds=1)
        torch.set_num_threads(threads)
    else:
        benchmark.pedantic(PEERS[name], (x, y, 1000), rounds=5, warmup_rounds=1)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_two_hundred_networks_together(benchmark, network, dtype):
    benchmark.group = GROUP
    benchmark.extra_info.update(name=f"varprop, {dtype}", unit="1000 steps of each", work=STEPS / 1000)
    options = {"steps": STEPS, "learning_rate": 0.01, "seeds": NETWORKS, "record": [0], "statistics": []}
    benchmark.pedantic(train, (network,), {**options, "dtype": dtype}, rounds=5, warmup_rounds=1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_whole_experiment(benchmark, network, dtype):
    """Two hundred networks, 15,000 steps, cost every 1000: the aim is 60 s on two idle cores."""
    benchmark.group = "200 two-circle networks, 15,000 steps"
    benchmark.extra_info.update(name=f"varprop, {dtype}", unit="experiment")
    options = {"steps": WHOLE, "learning_rate": 0.01, "seeds": NETWORKS, "record": 1000, "dtype": dtype}
    result = benchmark.pedantic(train, (network,), options, rounds=1)
    assert result.complete
    assert np.isfinite(result.history["loss"]).all()
