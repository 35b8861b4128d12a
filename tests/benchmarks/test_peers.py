"""The contenders of the benchmarks measure the same thing: their averages agree with ours."""

from __future__ import annotations

import numpy as np
import pytest

from tests.benchmarks.contenders import network_of, present
from tests.benchmarks.peers import COLUMNS, TorchModel, Workload, jax_mapped, numpy_plain, numpy_tuned
from varprop.montecarlo import simulate_network

PEERS = {
    "plain": lambda work: lambda draws, seed: numpy_plain(work, draws, seed),
    "tuned": lambda work: lambda draws, seed: numpy_tuned(work, draws, seed),
}
if present("PyTorch"):
    PEERS["torch"] = lambda work: TorchModel(work).run
    PEERS["torch, rebuilt"] = lambda work: TorchModel(work, rebuilt=True).run
if present("JAX"):
    PEERS["jax"] = jax_mapped


@pytest.mark.agreement
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("peer", PEERS)
def test_peers_measure_what_we_measure(peer, batch):
    """Two-sample z tests of 4 layers and 12 or 13 quantities at 5 standard errors of the difference.

    Under the null at most 52 tests a case fail with probability 3e-5. A relative error of 0.1 (a forgotten
    factor is far more) in any second moment is 8 standard errors or more at 1000 draws.
    """
    draws = 1000
    work = Workload.of(width=48, depth=4, batch=batch)
    averages, counts = PEERS[peer](work)(draws, 7)
    frame = simulate_network(network_of(work), draws=draws, seed=1, sampler="dense").set_index(
        ["layer", "quantity"]
    )
    assert 0.95 < counts.sum() / (draws * 4 * 48 * batch) <= 1.0
    for layer in range(1, 5):
        for column, name in enumerate(COLUMNS):
            if batch == 1 and name in ("correlation", "data_variance"):
                continue
            row = frame.loc[(layer, name)]
            error = np.hypot(row.std_error, row.std_error) + 1e-6 * abs(row.value)
            assert abs(averages[layer - 1, column] - row.value) <= 5 * error, (layer, name)
