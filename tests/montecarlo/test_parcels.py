"""Functions and laws that no worker could import travel to every kind of worker, and give the same bits there."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

import varprop as vp
from tests.montecarlo import engine
from tests.spec.test_spec_identity import TEMPLATES, made
from varprop._identity import identity
from varprop._validation import InputError
from varprop.montecarlo import simulate_network
from varprop.montecarlo.parcels import Parcel, pack
from varprop.montecarlo.planning import make_plan
from varprop.spec import half_on, mlp

NOTEBOOK = """
import math, sys
import numpy as np
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
import varprop as vp
from varprop.initializers import laws
from varprop.montecarlo import simulate_network

slope = 0.7
class Steep:
    def __init__(self, power):
        self.power = power
    def __call__(self, z):
        return np.tanh(slope * z) * self.power
def bent(z):
    return Steep(2.0)(z) + np.sqrt(z * z + 1.0)
def rule(fan_in, fan_out):
    return laws.normal(slope / math.sqrt(fan_in))

def table(executor, activation):
    network = vp.mlp("6,5", activation, vp.Initializer("own", rule), input=vp.half_on(4))
    return simulate_network(network, draws=12, block_size=4, sampler="dense", executor=executor).attrs["digest"]

if __name__ == "__main__":
    def local(z):
        return np.arctan(slope * z)
    assert table(2, bent) == table(None, bent)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        for activation in (Steep(0.5), local, lambda z: np.sinh(np.tanh(z))):
            assert table(pool, activation) == table(None, activation)
    print("same bits")
"""


def test_functions_of_a_script_travel(tmp_path):
    """Defined in ``__main__``, as in a notebook, before or after the guard: own processes and a caller's pool."""
    script = tmp_path / "cells.py"
    script.write_text(NOTEBOOK)
    ran = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=300, check=False
    )
    assert (ran.returncode, ran.stdout) == (0, "same bits\n"), ran.stderr


@pytest.mark.parametrize("name", TEMPLATES)
def test_what_travels_by_value_keeps_its_identity(name):
    """Otherwise a worker would refuse it."""
    function = made(TEMPLATES[name].format("0.5"))
    plan = make_plan(mlp("4,4", vp.activation(function, kinks=()), "he_normal"))
    again = pack(plan).open()
    assert again.network == plan.network
    assert identity(again.network.layers[0].activation.origin.function) == identity(function)
    assert identity(made(TEMPLATES[name].format("0.5"))) == identity(function)


def test_a_module_that_a_worker_would_not_find_travels_by_value(tmp_path, monkeypatch):
    """As with code in the working folder that was on the path only while the study was read."""
    (tmp_path / "varprop_lost.py").write_text(
        "import numpy as np\nk = 0.5\ndef f(z):\n    return np.tanh(k * z)\n"
    )
    with monkeypatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        network = mlp("5,4", "varprop_lost:f", "he_normal", input=half_on(3))
    options = {"draws": 12, "block_size": 4}
    expected = simulate_network(network, **options).attrs["digest"]
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert simulate_network(network, **options, executor=pool).attrs["digest"] == expected
    sys.modules.pop("varprop_lost")


def test_a_worker_with_another_version_refuses(tmp_path, monkeypatch):
    """A module edited after it was imported: this process has the old function, a worker would import the new."""
    module = tmp_path / "varprop_edited.py"
    module.write_text("import numpy as np\ndef f(z):\n    return np.tanh(z)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    network = mlp("5,4", "varprop_edited:f", "he_normal", input=half_on(3))
    module.write_text("import numpy as np\ndef f(z):\n    return np.tanh(2.0 * z)  # edited\n")
    with (
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool,
        pytest.raises(InputError, match="changed since"),
    ):
        simulate_network(network, draws=12, block_size=4, executor=pool)
    sys.modules.pop("varprop_edited")


def test_a_parcel_that_cannot_be_opened_is_one_line():
    with pytest.raises(InputError, match="executor") as refusal:
        Parcel(b"\x80\x04cno_such_module\nf\n.").open()
    assert len(str(refusal.value).splitlines()) == 1


def test_every_worker_opens_a_plan_once():
    parcel = pack(engine.plan())
    assert parcel.open() is Parcel(parcel.data).open()
