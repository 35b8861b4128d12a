"""Single against double precision on the same random numbers: what rounding does to every quantity."""

import numpy as np
import pytest

from varprop.montecarlo.normals import Noise
from varprop.montecarlo.samplers.conditional import ConditionalMaps
from varprop.montecarlo.samplers.dense import DenseMaps
from varprop.montecarlo.samplers.program import compile_network
from varprop.montecarlo.samplers.reductions import NeedsDouble
from varprop.montecarlo.samplers.walk import walk
from varprop.montecarlo.simulation import simulate_network
from varprop.montecarlo.statistics import PLACE, ROUNDING_SINGLE
from varprop.results.schema import CHAIN_QUANTITIES
from varprop.spec import gaussian, half_on, mlp

DRAWS = 24


def records(network, kind, dtype):
    noise = Noise(np.random.Generator(np.random.SFC64(5)), dtype)
    maps = ConditionalMaps(noise) if kind is ConditionalMaps else DenseMaps(DRAWS, noise, True)
    return walk(compile_network(network, 0.04, False), maps, noise, DRAWS)[0]


@pytest.mark.parametrize("kind", [DenseMaps, ConditionalMaps])
@pytest.mark.parametrize(
    "network",
    [
        mlp("300x12", "tanh", "lecun_normal", input=half_on(300)),
        mlp("200x8", "tanh", "he_normal", "normal(std=0.1)", gaussian(200, 6)),
        mlp("200x8", "sigmoid", "he_normal", "constant(value=8.0)", half_on(200)),
        mlp("200x8", "elu", "he_normal", input=gaussian(200, 6)),
        mlp("1000x4", "tanh", "lecun_normal", input=gaussian(1000, 32)),
    ],
    ids=["tanh, one input", "tanh", "saturated sigmoid", "elu", "many inputs"],
)
def test_single_precision_biases_means_by_less_than_it_says(network, kind):
    """Means over 24 draws of the same numbers; measured: at most 7e-7, and single draws 1e-5."""
    single, double = records(network, kind, np.float32), records(network, kind, np.float64)
    for name in CHAIN_QUANTITIES:
        one, two = (r.value[:, :, PLACE[name]] for r in (single, double))
        if np.isnan(two).all():
            continue
        if name.endswith("_fraction"):
            assert np.abs(one - two).max() <= 2 / 200  # a unit at a threshold may fall on either side
            continue
        scale = np.abs(two).mean(axis=0)
        if name in ("preactivation_mean", "activation_mean"):
            moment = name.replace("mean", "second_moment")
            scale = np.sqrt(double.value[:, :, PLACE[moment]].mean(axis=0))
        bias = np.abs((one - two).mean(axis=0)) / scale
        assert bias.max() < ROUNDING_SINGLE, name


def test_what_single_precision_cannot_hold_is_noticed():
    collapsed = mlp("50x12", "tanh", "normal(std=0.05)", "ones", gaussian(50, 3))
    with pytest.raises(NeedsDouble):
        records(collapsed, ConditionalMaps, np.float32)
    huge = mlp("50x3", "elu", "normal(std=1e12)", input=half_on(50))
    with pytest.raises(NeedsDouble):
        records(huge, ConditionalMaps, np.float32)


@pytest.mark.agreement
def test_distances_survive_their_collapse():
    """Inputs become equal to 1e-20 of q; both samplers see how far apart they still are. 5 sigma on the logs."""
    network = mlp("100x30", "tanh", "normal(std=0.05)", "constant(value=0.3)", gaussian(100, 3))
    logs = []
    for seed, sampler in enumerate(("dense", "conditional")):
        frame = simulate_network(network, draws=60, sampler=sampler, seed=seed)
        row = ((frame["quantity"] == "data_variance") & (frame["layer"] == 30)).to_numpy()
        assert frame["value"][row].iloc[0] < 1e-19
        logs.append(frame.loc[row, ["log_mean", "log_std"]].to_numpy()[0])
    (one, first), (two, second) = logs
    assert abs(one - two) < 5 * np.hypot(first, second) / np.sqrt(60)
