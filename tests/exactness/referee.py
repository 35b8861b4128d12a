"""The referee: networks drawn with explicit weight matrices, forward and back by hand, in plain NumPy.

It reads a `Case` (plain data) and nothing of varprop. Every quantity of the contract becomes one number per draw, so
that the mean over draws estimates the quantity and the draws are the replicates:

- averages (means, second moments, fractions, gradients) are averaged over units and inputs within the draw;
- ``preactivation_variance``: squared distance from the chunk's own mean at that unit and input, times C/(C-1);
- ``correlation``: the chunk's ratio of moments, plus each draw's linear influence on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.exactness import laws
from tests.exactness.functions import Phi, function, head, saturation

CHUNK = 20_000
Row = tuple[int, str]


@dataclass(frozen=True)
class Dense:
    """One layer: the spellings of what it is made of."""

    width: int
    activation: str
    weights: str
    biases: str
    gain: float = 1.0


@dataclass(frozen=True)
class Case:
    """One network as plain data.

    Attributes
    ----------
    name : str
    x : ndarray
        Inputs, shape (n_0, B).
    layers : tuple of Dense
    head : str
    targets : ndarray or None
        Shape (n_L, B); whole numbers of shape (B,) for ``softmax_ce``.
    """

    name: str
    x: np.ndarray
    layers: tuple[Dense, ...]
    head: str = "unit"
    targets: Any = None

    @property
    def batch(self) -> int:
        return int(self.x.shape[1])

    def fans(self, number: int) -> tuple[int, int]:
        """Return fan_in and fan_out of layer `number`, counted from 1."""
        below = self.x.shape[0] if number == 1 else self.layers[number - 2].width
        return int(below), self.layers[number - 1].width

    def fixed_up_to(self, number: int) -> bool:
        """Say whether layers 1 to `number` are the same in every draw."""
        return all(laws.is_fixed(d.weights) and laws.is_fixed(d.biases) for d in self.layers[:number])


def draw(case: Case, draws: int, seed: list[int], wanted: set[Row] | None = None) -> dict[Row, np.ndarray]:
    """Return one number per draw for every row (layer, quantity), shape (draws,).

    Parameters
    ----------
    case : Case
    draws : int
    seed : list of int
    wanted : set of (int, str), optional
        The rows to keep, all by default.
    """
    rng = np.random.default_rng(seed)
    count = max(1, round(draws / CHUNK))
    sizes = [draws // count + (i < draws % count) for i in range(count)]
    parts: dict[Row, list[np.ndarray]] = {}
    for size in sizes:
        with np.errstate(all="ignore"):
            found = _chunk(case, size, rng)
        for key, values in found.items():
            if wanted is None or key in wanted:
                parts.setdefault(key, []).append(values)
    return {key: np.concatenate(values) for key, values in parts.items()}


def _chunk(case: Case, size: int, rng: np.random.Generator) -> dict[Row, np.ndarray]:
    h = np.broadcast_to(case.x, (size, *case.x.shape))
    arriving, matrices, slopes = [], [], []
    out: dict[Row, np.ndarray] = {}
    for number, layer in enumerate(case.layers, start=1):
        fans = case.fans(number)
        w = laws.sampler(layer.weights, *fans, layer.gain)(rng, (size, fans[1], fans[0]))
        b = laws.sampler(layer.biases, *fans)(rng, (size, fans[1]))
        phi = function(layer.activation)
        z = w @ h + b[:, :, None]
        if phi.kinks and laws.has_atoms(layer.weights) and laws.has_atoms(layer.biases):
            z = _snapped(z, np.abs(w) @ np.abs(h) + np.abs(b)[:, :, None], phi.kinks)
        a, slope = phi.value(z), phi.slope(z)
        arriving.append(h)
        matrices.append(w)
        slopes.append(slope)
        out |= {(number, name): x for name, x in _forward(case, layer, phi, z, a, slope).items()}
        h = a
    upward, loss = head(case.head, h, case.targets, rng)
    # The unit head stands for dL/dz itself; a loss is a function of the activations.
    delta = upward if case.head == "unit" else upward * slopes[-1]
    if loss is not None:
        out[len(case.layers), "initial_loss"] = loss.mean(axis=1)
    for number in range(len(case.layers), 0, -1):
        h, w = arriving[number - 1], matrices[number - 1]
        back = w.transpose(0, 2, 1) @ delta
        square = np.square(delta).mean(axis=1)
        out[number, "gradient_preactivation"] = out[number, "gradient_bias"] = square.mean(axis=1)
        out[number, "gradient_weight"] = (square * np.square(h).mean(axis=1)).mean(axis=1)
        whole = delta @ h.transpose(0, 2, 1) / case.batch
        out[number, "gradient_weight_batch"] = np.square(whole).mean(axis=(1, 2))
        out[number, "gradient_input"] = np.square(back).mean(axis=(1, 2))
        if number > 1:
            delta = back * slopes[number - 2]
    return out


def _snapped(z: np.ndarray, size: np.ndarray, kinks: tuple[float, ...]) -> np.ndarray:
    """Put on the kink what misses it by rounding: sums of atoms tie there with positive probability."""
    for kink in kinks:
        z = np.where(np.abs(z - kink) <= 1e-14 * size, kink, z)
    return z


def _forward(
    case: Case, layer: Dense, phi: Phi, z: np.ndarray, a: np.ndarray, slope: np.ndarray
) -> dict[str, np.ndarray]:
    low, high = saturation(layer.activation)
    size, inactive = len(z), phi.is_inactive(z)
    found = {
        "preactivation_mean": z.mean(axis=(1, 2)),
        "preactivation_second_moment": np.square(z).mean(axis=(1, 2)),
        "preactivation_variance": np.square(z - z.mean(axis=0)).mean(axis=(1, 2)) * (size / (size - 1)),
        "activation_mean": a.mean(axis=(1, 2)),
        "activation_second_moment": np.square(a).mean(axis=(1, 2)),
        "saturated_fraction": ((z <= low) | (z >= high)).mean(axis=(1, 2)),
        "inactive_fraction": inactive.mean(axis=(1, 2)),
        "dead_fraction": inactive.all(axis=2).mean(axis=1),
        "derivative_second_moment": np.square(slope).mean(axis=(1, 2)),
    }
    if case.batch > 1:
        found["data_variance"] = z.var(axis=2, ddof=1).mean(axis=1)
        found["correlation"] = _correlation(z)
    return found


def _correlation(z: np.ndarray) -> np.ndarray:
    top = np.abs(z).max()
    products = np.einsum("ria,rib->rab", z / (top or 1.0), z / (top or 1.0)) / z.shape[1]
    means = products.mean(axis=0)
    q = np.diagonal(means)
    total, pairs = np.zeros(len(z)), 0
    for i in range(len(q)):
        for j in range(i):
            if q[i] > 0.0 and q[j] > 0.0:
                root = np.sqrt(q[i] * q[j])
                rho = means[i, j] / root
                shift = 0.5 * rho * (products[:, i, i] / q[i] + products[:, j, j] / q[j] - 2.0)
                total += products[:, i, j] / root - shift
                pairs += 1
    return total / pairs if pairs else np.full(len(z), np.nan)
