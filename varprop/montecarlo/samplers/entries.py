"""Many weight matrices at once, from the fast noise where the law allows, else from the law's own sampler."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from varprop.initializers.sampling import sample_law
from varprop.montecarlo.samplers.program import extreme

if TYPE_CHECKING:
    from varprop.initializers import Law
    from varprop.montecarlo.normals import Noise
    from varprop.montecarlo.samplers.program import Step

Array = NDArray[Any]

# Redrawing what falls outside costs one over the probability of falling inside.
_WORTH_REDRAWING = 0.3


def draw_weights(step: Step, draws: int, noise: Noise) -> Array:
    """Return weights of shape (draws, fan_out, fan_in)."""
    shape = (draws, step.fan_out, step.fan_in)
    fast = _fast(step.weight, shape, noise)
    if fast is not None:
        return fast
    if step.weight.own is not None:
        return step.weight.own(shape, noise.rng).astype(noise.dtype, copy=False)
    dtype = np.float64 if extreme(step.weight) else np.float32
    return step.layer.sample_weights(
        step.fan_in, step.fan_out, rng=noise.rng, draws=draws, dtype=dtype
    ).astype(noise.dtype, copy=False)


def draw_biases(step: Step, draws: int, noise: Noise) -> Array:
    """Return the random part of the biases (without the law's mean), shape (draws, fan_out)."""
    shape = (draws, step.fan_out)
    if step.bias.own is not None:
        return (step.bias.own(shape, noise.rng) - step.bias.mean).astype(noise.dtype, copy=False)
    fast = _fast(step.bias, shape, noise)
    if fast is None:
        dtype = np.float64 if extreme(step.bias) else np.float32
        drawn = step.layer.sample_biases(step.fan_in, step.fan_out, rng=noise.rng, draws=draws, dtype=dtype)
        fast = drawn.astype(noise.dtype, copy=False)
    if step.bias.mean:
        fast -= noise.dtype.type(step.bias.mean)
    return fast


def draw_entries(law: Law, shape: tuple[int, ...], noise: Noise) -> Array:
    """Return entries of a law; the last two of at least two axes are (rows, columns) for laws of whole matrices."""
    fast = _fast(law, shape, noise)
    if fast is not None:
        return fast
    dtype = np.float64 if extreme(law) or law.deterministic else np.float32
    return sample_law(law, shape, noise.rng, np.dtype(dtype)).astype(noise.dtype, copy=False)


def _fast(law: Law, shape: tuple[int, ...], noise: Noise) -> Array | None:
    if law.family == "constant":
        return np.full(shape, law.mean, noise.dtype)
    if law.family == "normal":
        values = noise.normal(shape, law["std"])
        if law.mean:
            values += noise.dtype.type(law.mean)
        return values
    if law.family == "uniform":
        return noise.uniform(shape, law["low"], law["high"])
    if law.family == "rademacher":
        return noise.signs(shape, law["std"])
    if law.family == "truncated_normal":
        location, scale = law["location"], law["scale"]
        low, high = (law["low"] - location) / scale, (law["high"] - location) / scale
        if math.erf(high / math.sqrt(2)) - math.erf(low / math.sqrt(2)) > 2 * _WORTH_REDRAWING:
            values = noise.truncated(shape, low, high)
            values *= noise.dtype.type(scale)
            if location:
                values += noise.dtype.type(location)
            return values
    return None
