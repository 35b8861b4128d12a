"""Weight-free against explicit weights: two samples of every statistic that varies from draw to draw.

For every network, each site's quantities (some hundred statistics) are compared by the two-sample test of Kolmogorov
and Smirnov, Bonferroni-corrected over the network's statistics at alpha = 1e-3: the seven tests together raise a false
alarm with probability below 0.7 %; seeds are fixed. With 1200 draws each and 300 statistics a test rejects where two
distribution functions differ by about 0.11, a shift of 0.28 standard deviations.

The negative control makes the fresh part of every backward map 5 % too large, which the gradients below must show.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ks_2samp

import varprop.montecarlo.maps as maps
from varprop.montecarlo.graphs.block import group_sizes
from varprop.montecarlo.graphs.program import compile_graph
from varprop.montecarlo.graphs.walk import walk_graph
from varprop.montecarlo.normals import Noise
from varprop.montecarlo.samplers.conditional import GaussianMap
from varprop.montecarlo.statistics import NAMES
from varprop.spec import Network

from .networks import NETWORKS

DRAWS, ALPHA = 1200, 1e-3


def sample(network: Network, explicit: bool, seed: int, draws: int = DRAWS) -> np.ndarray:
    """Return every draw's statistics, shape (draws, sites · quantities)."""
    program = compile_graph(network, 0.0396)
    noise = Noise(np.random.Generator(np.random.SFC64(seed)))
    parts = [
        walk_graph(program, noise, size, explicit=explicit) for size in group_sizes(program, explicit, draws)
    ]
    return np.concatenate([np.ldexp(p.value, p.exponent) for p in parts]).reshape(draws, -1)


def least_p(one: np.ndarray, two: np.ndarray) -> tuple[float, int, int]:
    """Return the least p-value times the number of statistics, that number, and the place of the least."""
    varied = np.flatnonzero(
        np.isfinite(one).all(axis=0) & (np.ptp(one, axis=0) > 1e-3 * np.abs(one).mean(axis=0))
    )
    jackknifed = NAMES.index(
        "preactivation_variance"
    )  # pseudo-values, where the mean is not known, are no sample
    varied = varied[varied % len(NAMES) != jackknifed]
    p = np.array([ks_2samp(one[:, i], two[:, i], method="asymp").pvalue for i in varied])
    return float(p.min() * len(p)), len(p), int(varied[p.argmin()])


@pytest.mark.parametrize("name", NETWORKS)
def test_weight_free_has_the_law_of_explicit_weights(name: str) -> None:
    network = NETWORKS[name]()
    p, count, worst = least_p(sample(network, False, 11), sample(network, True, 12))
    site = network.graph.nodes[network.graph.sites[worst // len(NAMES)].node].name
    assert count >= 30
    assert p > ALPHA, f"{site}, {NAMES[worst % len(NAMES)]}: {p:.1e} over {count} statistics"


class _Louder:
    """Noise that is 5 % too large."""

    def __init__(self, noise: Noise) -> None:
        self.noise = noise

    def normal(self, shape: tuple[int, ...]) -> np.ndarray:
        return self.noise.normal(shape, 1.05)


class Wrong(GaussianMap):
    def backward(self, columns: object) -> np.ndarray:
        self.noise = _Louder(self.noise)  # type: ignore[assignment]
        return super().backward(columns)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["gpt", "gated", "residual_mlp"])
def test_noise_that_is_five_percent_too_large_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network = NETWORKS[name]()
    explicit = sample(network, True, 12)
    monkeypatch.setattr(maps, "GaussianMap", Wrong)
    p, _, worst = least_p(sample(network, False, 11), explicit)
    assert p < ALPHA
    assert NAMES[worst % len(NAMES)].startswith("gradient")
