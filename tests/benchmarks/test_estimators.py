"""What the control estimator gains at equal wall time."""

from __future__ import annotations

import pytest

from tests.benchmarks.contenders import network_of
from tests.benchmarks.peers import Workload
from varprop.montecarlo import simulate_network

DRAWS = 200
WATCHED = [(20, "preactivation_second_moment"), (20, "saturated_fraction"), (1, "gradient_preactivation")]


@pytest.mark.parametrize("estimator", ["plain", "control"])
def test_estimators(benchmark, estimator):
    network = network_of(Workload.of())
    benchmark.group = "estimators, conditional sampler, width 1000, depth 20, B = 1"
    benchmark.extra_info.update(name=estimator, unit=f"{DRAWS} draws")
    frame = benchmark.pedantic(
        lambda: simulate_network(network, draws=DRAWS, estimator=estimator), rounds=5, warmup_rounds=1
    ).set_index(["layer", "quantity"])
    root = benchmark.stats.stats.median**0.5
    parts = [
        f"layer {layer} {name}: {frame.loc[(layer, name), 'std_error'] * root:.3g}" for layer, name in WATCHED
    ]
    benchmark.extra_info["note"] = "standard error × √second: " + "; ".join(parts)
