"""A real Dask cluster on this machine: worker processes, one of which is killed during the run."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest

from tests.montecarlo import engine
from varprop import InputError
from varprop.montecarlo import executors, open_executor, simulate_network
from varprop.montecarlo.blocks import Block
from varprop.montecarlo.executors import count_workers
from varprop.spec import half_on, mlp

distributed = pytest.importorskip("distributed")

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

SETTINGS = {"draws": 200, "block_size": 5, "seed": 3}


@pytest.fixture(scope="module")
def expected() -> str:
    return simulate_network(engine.network(), **SETTINGS).attrs["digest"]


@pytest.fixture
def cluster():
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
    ) as cluster:
        yield cluster


def test_same_bits_on_a_cluster_that_loses_a_worker(cluster, expected):
    with distributed.Client(cluster) as client:
        executor = client.get_executor()
        assert count_workers(executor) == 2
        assert simulate_network(engine.network(), **SETTINGS, executor=executor).attrs["digest"] == expected
        victims = list(client.run(os.getpid).values())

        def kill(report) -> None:
            if report.blocks == 10:
                os.kill(victims[0], signal.SIGKILL)

        # Another number of draws, so that nothing is taken from the cluster's memory of the first run.
        changed = SETTINGS | {"seed": 4}
        found = simulate_network(engine.network(), **changed, executor=executor, progress=kill)
        assert found.attrs["digest"] == simulate_network(engine.network(), **changed).attrs["digest"]
        survivors = list(client.run(os.getpid).values())
        assert victims[0] not in survivors


def test_closures_travel(cluster):
    factor = 0.6
    network = mlp("5,4", lambda z: np.tanh(factor * z), "he_normal", input=half_on(3))
    expected = simulate_network(network, draws=12, block_size=4).attrs["digest"]
    with distributed.Client(cluster) as client:
        found = simulate_network(network, draws=12, block_size=4, executor=client.get_executor())
    assert found.attrs["digest"] == expected


def test_scheduler_address(cluster, expected):
    with open_executor(cluster.scheduler_address) as executor:
        assert simulate_network(engine.network(), **SETTINGS, executor=executor).attrs["digest"] == expected


def test_nobody_at_the_address(monkeypatch):
    monkeypatch.setattr(executors, "CONNECT_SECONDS", 1)
    with (
        pytest.raises(InputError, match="the address of a Dask scheduler"),
        open_executor("tcp://127.0.0.1:9"),
    ):
        pass


def test_cluster_without_workers():
    with (
        distributed.LocalCluster(n_workers=0, dashboard_address=None, silence_logs=50) as empty,
        pytest.raises(InputError, match="at least one worker"),
        open_executor(empty.scheduler_address),
    ):
        pass


def test_blocks_travel(cluster):
    """The parts of a call survive the cluster's own serialisation."""
    from varprop.montecarlo.execution import measured_block

    plan = engine.plan()
    with distributed.Client(cluster) as client:
        statistics, seconds, _ = client.submit(measured_block, plan, Block(0, 4), 1).result()
    assert seconds > 0
    assert statistics.draws == 4
