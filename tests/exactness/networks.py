"""Random networks for the battery, each from a seed and a number.

Widths are small, so that what holds only for wide layers fails visibly; most have 1 to 5 layers. Four profiles: one
kind of (leaky) ReLU or linear layer (theory is exact there at any depth), layers alike, layers each of its own kind,
and layers without randomness below or between random ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.exactness.choices import BIASES, INPUTS, OFTEN, WEIGHTS, Rng, one_of, spelled
from tests.exactness.functions import NAMES as ACTIVATIONS
from tests.exactness.referee import Case, Dense
from varprop.spec import Head, Input, Layer, Network

HOMOGENEOUS = ("relu", "leaky_relu", "linear")
HEADS = ("unit", "mse", "bce", "softmax_ce")
PROFILES = {"homogeneous": 0.3, "alike": 0.35, "mixed": 0.25, "fixed": 0.1}
FIXED = ("constant", "identity", "zeros", "torch.dirac_", "torch.eye_", "ones")
GAUSSIAN = ("he_normal", "lecun_normal", "glorot_normal", "normal", "standard_normal")
STEEP = ("squared_relu",)
"""Powers of these grow quickly with depth and scale: few draws would decide the means."""


@dataclass(frozen=True)
class Drawn:
    """A case and the kind of input that it has."""

    case: Case
    input: str


def random_case(seed: int, number: int) -> Drawn:
    """Return network `number` of the stream `seed`."""
    rng = np.random.default_rng([seed, number])
    profile = _pick(rng, PROFILES, PROFILES)
    depth = int(rng.choice([1, 2, 3, 4, 5, 8], p=[0.12, 0.26, 0.27, 0.2, 0.1, 0.05]))
    least, most = (1, 9) if depth < 3 else (2, 9) if depth < 5 else (6, 15)
    widths = [int(w) for w in rng.integers(least, most, depth)]
    kind = _pick(rng, INPUTS, OFTEN)
    x = INPUTS[kind](rng, int(rng.integers(1, 9)), int(rng.integers(1, 6)))
    layers = _layers(rng, profile, x.shape[0], widths)
    steep = any(d.activation in STEEP for d in layers) and kind in ("huge", "large", "near and large")
    # Waves of 1e120 are decided by how the argument was rounded.
    if steep or (kind == "huge" and any(d.activation in ("sin", "cos") for d in layers)):
        x = x / np.abs(x).max()
    head = str(rng.choice(HEADS, p=[0.55, 0.2, 0.13, 0.12]))
    if head == "softmax_ce" and widths[-1] < 2:
        head = "bce"
    targets = _targets(rng, head, widths[-1], x.shape[1])
    return Drawn(Case(f"{seed}/{number}", x, layers, head, targets), kind)


def network(case: Case) -> Network:
    """Return the case as varprop's network."""
    layers = [Layer(d.width, d.activation, d.weights, d.biases, d.gain) for d in case.layers]
    targets = None if case.targets is None else case.targets.T
    return Network(Input(case.x), tuple(layers), Head(case.head, targets), case.name)


def describe(case: Case) -> str:
    """Return the case in one line."""
    parts = [
        f"{d.width} {d.activation} {d.weights}{f' x{d.gain:g}' if d.gain != 1.0 else ''} + {d.biases}"
        for d in case.layers
    ]
    rows, columns = case.x.shape
    return f"{rows}x{columns} up to {np.abs(case.x).max():.3g} | {' | '.join(parts)} | {case.head}"


def _targets(rng: Rng, head: str, width: int, batch: int) -> Any:
    if head == "unit":
        return None
    if head == "softmax_ce":
        return rng.integers(0, width, batch)
    if head == "bce":
        return rng.integers(0, 2, (width, batch)).astype(float)
    return np.zeros((width, batch)) if rng.random() < 0.3 else rng.standard_normal((width, batch))


def _layers(rng: Rng, profile: str, size: int, widths: Sequence[int]) -> tuple[Dense, ...]:
    depth = len(widths)
    weights, biases = _pick(rng, WEIGHTS, OFTEN), _pick(rng, BIASES, OFTEN)
    phi = _activation(rng, profile, depth)
    if profile == "homogeneous":
        weights = str(rng.choice(GAUSSIAN)) if rng.random() < 0.4 else weights
        biases = "zeros" if rng.random() < 0.5 else biases
    output = "linear" if rng.random() < 0.65 else _activation(rng, "any", depth)
    layers = []
    for below, width in zip([size, *widths], widths, strict=False):
        if profile == "mixed" or (profile == "fixed" and rng.random() < 0.5):
            weights, biases = _pick(rng, WEIGHTS, OFTEN), _pick(rng, BIASES, OFTEN)
            phi = _activation(rng, profile, depth)
        elif profile == "fixed":
            weights = str(rng.choice(FIXED))
        gain = one_of(rng, 1.0, 0.5, 1.5) if rng.random() < 0.15 else 1.0
        own = output if len(layers) == depth - 1 else phi
        layers.append(
            Dense(width, own, WEIGHTS[weights](rng, below, width), BIASES[biases](rng, below, width), gain)
        )
    return tuple(layers)


def _pick(rng: Rng, table: Mapping[str, Any], often: Mapping[str, float]) -> str:
    shares = np.array([often.get(name, 1.0) for name in table])
    return str(rng.choice([*table], p=shares / shares.sum()))


def _activation(rng: Rng, profile: str, depth: int) -> str:
    names = HOMOGENEOUS if profile == "homogeneous" else ACTIVATIONS
    name = _pick(rng, {n: n for n in names if depth < 4 or n not in STEEP}, OFTEN)
    if name == "leaky_relu":
        return spelled(name, slope=one_of(rng, 0.01, 0.2, -0.5, 0.5))
    if name in ("elu", "celu") and rng.random() < 0.5:
        return spelled(name, alpha=one_of(rng, 0.5, 2.0))
    return name
