"""Each ``torch.…`` and ``keras.…`` law and sampler against the framework's own sampler, where installed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

import varprop as vp
from tests.initializers.cases import EVERY_CASE, z_scores
from varprop._registry import parse_spelling
from varprop.initializers.base import bias_of

FAN_IN, FAN_OUT, DRAWS = 30, 20, 300


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


@pytest.fixture(scope="module")
def keras(torch):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_BACKEND", "torch")
        return pytest.importorskip("keras")


def split(spelling):
    name, arguments = parse_spelling(spelling)
    return name.split(".")[1], arguments


def torch_draws(torch, name, arguments):
    torch.manual_seed(0)
    if name == "linear_default":
        return np.stack([torch.nn.Linear(FAN_IN, FAN_OUT).weight.detach().numpy() for _ in range(DRAWS)])
    fill = getattr(torch.nn.init, name)
    # dirac_ wants a convolution: kernel size 1 is a dense layer.
    shape = (FAN_OUT, FAN_IN, 1) if name == "dirac_" else (FAN_OUT, FAN_IN)
    draws = [fill(torch.empty(shape), **arguments).numpy() for _ in range(DRAWS)]
    return np.stack(draws).reshape(DRAWS, FAN_OUT, FAN_IN)


def as_numpy(keras, tensor):
    # keras.ops.convert_to_numpy asks NumPy 2 for a copy in a deprecated way.
    return keras.ops.convert_to_tensor(tensor).detach().numpy()


def keras_draws(keras, name, arguments):
    keras.utils.set_random_seed(0)
    if name == "dense_default":
        layers = [keras.layers.Dense(FAN_OUT) for _ in range(DRAWS)]
        for layer in layers:
            layer.build((None, FAN_IN))
        kernels = [as_numpy(keras, layer.kernel) for layer in layers]
    else:
        make = getattr(keras.initializers, name)
        kernels = [as_numpy(keras, make(**arguments)((FAN_IN, FAN_OUT))) for _ in range(DRAWS)]
    return np.stack(kernels).swapaxes(1, 2)


def check(entry, theirs):
    """Moments of the law against the framework's values, and its values against ours.

    Bounds: 5.2 (Student's t over 300 draws, 3e-7) and p > 1e-6 (two-sample Kolmogorov–Smirnov on 180,000
    values each); under 1e-4 false alarms over all names. A variance wrong by 2 % is seen.
    """
    law = entry.law(FAN_IN, FAN_OUT)
    ours = entry.sample(theirs.shape, rng=np.random.default_rng(2), dtype=np.float32)
    if law.deterministic:
        np.testing.assert_array_equal(theirs, ours)
        return
    theirs = theirs.astype(np.float64)
    spread = max(law.std, abs(law.mean))
    centred = theirs - law.mean
    assert abs(z_scores(centred.mean(axis=(1, 2)), 0.0, spread)) < 5.2
    assert abs(z_scores((centred**2).mean(axis=(1, 2)), law.variance, spread**2)) < 5.2
    fourth = (law.excess_kurtosis + 3) * law.variance**2
    assert abs(z_scores((centred**4).mean(axis=(1, 2)), fourth, spread**4)) < 5.2
    assert stats.ks_2samp(theirs.ravel(), ours.ravel()).pvalue > 1e-6


@pytest.mark.agreement
@pytest.mark.torch
@pytest.mark.parametrize("spelling", [s for s in EVERY_CASE if s.startswith("torch.")])
def test_torch(torch, spelling):
    name, arguments = split(spelling)
    check(vp.initializer(spelling), torch_draws(torch, name, arguments))


@pytest.mark.agreement
@pytest.mark.keras
@pytest.mark.parametrize("spelling", [s for s in EVERY_CASE if s.startswith("keras.")])
def test_keras(keras, spelling):
    name, arguments = split(spelling)
    check(vp.initializer(spelling), keras_draws(keras, name, arguments))


@pytest.mark.agreement
@pytest.mark.torch
def test_bias_of_torch_linear(torch):
    """Variance of 20 biases over 300 layers: relative standard error 1.2 %, bound 5.2 errors."""
    torch.manual_seed(1)
    layers = [torch.nn.Linear(FAN_IN, FAN_OUT) for _ in range(DRAWS)]
    biases = np.stack([layer.bias.detach().numpy() for layer in layers]).astype(np.float64)
    law = bias_of(vp.initializer("torch.linear_default")).law(FAN_IN, FAN_OUT)
    assert abs(z_scores((biases**2).mean(axis=1), law.variance, law.variance)) < 5.2
    assert abs(biases).max() <= law["high"] * (1 + 1e-6)


@pytest.mark.keras
def test_bias_of_keras_dense(keras):
    layer = keras.layers.Dense(FAN_OUT)
    layer.build((None, FAN_IN))
    assert not as_numpy(keras, layer.bias).any()
    assert bias_of(vp.initializer("keras.dense_default")).law(FAN_IN, FAN_OUT).mean == 0


@pytest.mark.torch
@pytest.mark.parametrize(
    "nonlinearity", ["linear", "conv2d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"]
)
def test_gains(torch, nonlinearity):
    entry = vp.initializer(f"torch.kaiming_normal_(a=0.3, nonlinearity={nonlinearity})")
    gain = torch.nn.init.calculate_gain(nonlinearity, 0.3)
    assert math.isclose(entry.variance(10, 20), gain**2 / 10, rel_tol=1e-14)
