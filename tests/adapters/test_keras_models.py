"""Keras 3 on the torch backend: the same measurements, under Keras' own names."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest

pytest.importorskip("torch")

pytestmark = [
    pytest.mark.keras,
    pytest.mark.skipif(importlib.util.find_spec("keras") is None, reason="the extra keras is not installed"),
]

# Keras fixes its backend when it is imported, so the check has a process of its own.
CHECK = """
import keras, numpy as np, torch
from varprop.auditing import audit, diagnose_one
from varprop.adapters.torch.draws import draw_seed
from varprop.adapters.torch.preserve import seed_everything
from varprop._validation import InputError

def factory():
    layers = [keras.layers.Dense(64, activation="relu", kernel_initializer="he_normal") for _ in range(3)]
    return keras.Sequential([keras.layers.Input((32,)), *layers, keras.layers.Dropout(0.5), keras.layers.Dense(5)])

inputs = np.random.default_rng(0).normal(size=(8, 32)).astype(np.float32)
table = audit(factory, inputs, draws=4, alpha=0.001)
linear = table[(table.op == "linear") & (table.quantity == "preactivation_second_moment")]
assert len(linear) == 4, table[["module", "kind", "op"]].drop_duplicates()
assert linear.module.tolist() == ["dense", "dense_1", "dense_2", "dense_3"]
assert (linear.n_draws == 4).all()
by_hand, kernels = [], []
for draw in range(4):
    seed_everything(draw_seed(0, draw))
    model = factory()
    weight, bias = model.layers[0].kernel.value, model.layers[0].bias.value
    z = torch.tensor(inputs) @ weight + bias
    by_hand.append(float((z.detach().double() ** 2).mean()))
    kernels.append(float(weight.detach().double().std(correction=0)))
assert np.isclose(linear.measured.iloc[0], np.mean(by_hand), rtol=1e-5)
first = linear.module.iloc[0]
kernel = table[(table.module == first) & (table.parameter == "kernel")].set_index("quantity").measured
assert np.isclose(kernel["parameter_std"], np.mean(kernels), rtol=1e-6)
assert (kernel["fan_in"], kernel["fan_out"], kernel["fan_in_factor"]) == (32, 64, 1)
assert (table.activation[table.op == "activation"] == "relu").all()
assert linear.predicted.notna().all() and not (table.verdict == "differs").any()
assert diagnose_one(table).healthy
assert "Dense" in set(table.kind)
instance = factory()
before = [v.numpy().copy() for v in instance.variables]
single = audit(instance, inputs, draws=3)
assert "a single draw" in " ".join(single.attrs["notes"])
assert all((a == v.numpy()).all() for a, v in zip(before, instance.variables))
trained = audit(factory, inputs, draws=2, mode="train")
drop = trained[(trained.kind == "dropout") & (trained.quantity == "preactivation_second_moment")]
print("checked", len(table), len(drop))
"""


def test_keras_on_torch():
    """No row differs: false alarms 1e-3. Four draws see gross errors alone; the script compares values by hand."""
    environment = {**os.environ, "KERAS_BACKEND": "torch"}
    found = subprocess.run(
        [sys.executable, "-c", CHECK],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert found.returncode == 0, found.stderr[-3000:]
    assert "checked" in found.stdout
