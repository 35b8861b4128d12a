"""A store holds blocks of one environment: what would change a bit is refused, wherever it is computed."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.montecarlo import engine
from varprop import InputError
from varprop.montecarlo import simulate_network
from varprop.montecarlo.environment import environment, notes, relevant
from varprop.montecarlo.execution import measured_block
from varprop.montecarlo.store import BlockStore

FAST = {"draws": 29, "block_size": 5, "seed": 3}
SCRIPT = """
import json, sys
from tests.montecarlo import engine
from varprop import InputError
from varprop.montecarlo import simulate_network
from varprop.montecarlo.environment import environment
print(json.dumps(environment()))
try:
    simulate_network(engine.network(), draws=39, block_size=5, seed=3, store=sys.argv[1])
except InputError as error:
    print(error)
"""


def under(store, **variables: str) -> tuple[dict[str, str], str]:
    """Run `SCRIPT` in a process with these variables; return its environment and its complaint."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(store)],
        capture_output=True,
        text=True,
        check=True,
        cwd=engine.ROOT,
        env={**os.environ, **variables},
    )
    first, *complaint = done.stdout.splitlines()
    return json.loads(first), "\n".join(complaint)


@pytest.mark.parametrize(
    ("variable", "values", "name"),
    [
        ("OPENBLAS_CORETYPE", ("Nehalem", "Haswell"), "blas"),
        ("NPY_DISABLE_CPU_FEATURES", ("X86_V3 X86_V4 AVX512_ICL AVX512_SPR", "AVX2 FMA3 AVX512F"), "simd"),
    ],
)
def test_a_run_does_not_go_on_under_another_kernel(tmp_path, variable, values, name):
    """Half of the blocks by one matrix product and half by another: before, accepted."""
    path = tmp_path / "run.sqlite"
    simulate_network(engine.network(), **FAST, store=path)
    for value in values:
        other, complaint = under(path, **{variable: value})
        if other[name] != environment()[name]:
            assert f"{name} {environment()[name]} in the store, {other[name]} now" in complaint
            return
    pytest.skip(f"this machine's {name} cannot be changed: {environment()[name]}")


def test_a_block_from_a_worker_of_another_kernel_is_refused(tmp_path):
    plan = engine.plan()
    block = next(iter(plan.blocks()))
    statistics, seconds, made_in = measured_block(plan, block, 1)
    with BlockStore(tmp_path / "run.sqlite", [plan]) as store:
        store.put(plan, block, statistics, seconds, made_in)
        elsewhere = made_in | {"blas": "openblas 0.3.0 Prescott", "numba": "9"}
        with pytest.raises(InputError, match=r"executor: a worker elsewhere .* blas .* here, openblas 0.3.0"):
            store.put(plan, block, statistics, seconds, elsewhere)
        store.put(plan, block, statistics, seconds, made_in | {"numba": "9"})  # nothing is compiled


def test_the_environment_names_what_computes():
    names = environment()
    assert all(names.values())
    assert relevant(names, compiled=True) == names
    assert "numba" not in relevant(names, compiled=False)
    assert notes()["cpu"]
