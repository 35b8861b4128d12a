"""The chain sampler: norms alone, O(1) random numbers a layer, for one input and homogeneous activations.

Let phi have slopes a (z < 0) and b (z > 0), no biases, iid N(0, s) weights. Given the layer's input h, the
pre-activations are iid N(0, s|h|²), so K ~ Bin(n, 1/2) of them are positive, and with independent chi-square
numbers X of K and Y of n - K degrees of freedom

    |z|² = s|h|² (X + Y),   |phi(z)|² = s|h|² (b² X + a² Y).

Way back, head ``unit``: flipping the sign of a row of W together with the mask of its unit leaves the law of the
Jacobian as it is, so the Jacobian has the law of a product with masks independent of the weights (Hanin and Nica
2020, Commun. Math. Phys. 376, 287), and |delta^l|, a function of the masks from layer l up, is
independent of |h^{l-1}|. Hence with the same K and fresh chi-square numbers

    |Wᵀ delta|² = s|delta|² (X' + Y'),   |delta'|² = s|delta|² (b² X' + a² Y').

Where nothing arrives (a zero input; above a dead layer, relu with K = 0) every pre-activation of a layer is 0, and so
is the gradient of its weights; but the gradient passes with the slope c = phi'(0) of every unit, and W is still
independent of it: |delta'|² = s|delta|² c² (X' + Y'). That ends at the dead layer, whose slopes are all 0.
Each quantity has its exact law in every layer. Means of z and phi(z) are no functions of norms and are not given;
nor are histograms.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from varprop.montecarlo.samplers.program import Program, Step
from varprop.montecarlo.samplers.records import Records

if TYPE_CHECKING:
    from varprop.spec import Network

Array = NDArray[Any]


def why_not_chain(network: Network) -> str:
    """Return why the chain sampler is not exact for a network, or an empty text."""
    if network.input.batch > 1:
        return f"the input has {network.input.batch} examples, and the chain sampler takes one"
    for number, layer in enumerate(network.layers, start=1):
        weight, bias = network.weight_law(number), network.bias_law(number)
        if weight.family != "normal" or weight.mean != 0.0:
            return (
                f"layer {number} has {layer.weights.name} weights, and a chain needs normal ones with mean 0"
            )
        if not (bias.deterministic and bias.mean == 0.0):
            return f"layer {number} has {layer.biases.name} biases, and a chain needs none"
        if layer.activation.slopes is None:
            return f"layer {number} has the activation {layer.activation.name}, and a chain needs homogeneous ones"
    return ""


def run_chain(program: Program, rng: np.random.Generator, draws: int) -> Records:
    """Draw the norms of `draws` networks and return every quantity they determine."""
    records = Records(draws, program.depth)
    largest = float(np.abs(program.x).max())
    # Scaled first, because squares of 1e155 leave the range.
    start = math.log2(((program.x / largest) ** 2).sum()) + 2 * math.log2(largest) if largest else -math.inf
    size = np.full(draws, start)  # log2 |h|²
    inputs, positives = [], []
    for step in program.steps:
        inputs.append(size)
        size, positive = _forward(step, size, rng, records)
        positives.append(positive)
    if program.network.head.kind == "unit":
        _backward(program, inputs, positives, size, rng, records)
    records.finish()
    return records


def _forward(step: Step, size: Array, rng: np.random.Generator, records: Records) -> tuple[Array, Array]:
    n, alive = step.fan_out, np.isfinite(size)
    positive = rng.binomial(n, 0.5, len(size))
    upper, lower = _chi_square(rng, positive), _chi_square(rng, n - positive)
    scale = size + 2 * math.log2(step.weight["std"])
    low, high = _slopes(step)
    number = step.number
    q = scale + _log2((upper + lower) / n)
    records.put_log("preactivation_second_moment", number, q)
    records.put_log("preactivation_variance", number, q)
    after = scale + _log2(high**2 * upper + low**2 * lower)
    records.put_log("activation_second_moment", number, after - np.log2(n))
    zero, at_zero = np.zeros(1), _slope_at_zero(step) ** 2
    slopes = (high**2 * positive + low**2 * (n - positive)) / n
    records.put("derivative_second_moment", number, np.where(alive, slopes, at_zero))
    off = bool(step.activation.is_inactive(zero)[0])
    for name, part in (("inactive_fraction", _inactive(step)), ("saturated_fraction", _saturated(step))):
        share = (part[0] * (n - positive) + part[1] * positive) / n
        held = off if name == "inactive_fraction" else step.low >= 0.0 or step.high <= 0.0
        records.put(name, number, np.where(alive, share, float(held)))
        if name == "inactive_fraction":
            records.put("dead_fraction", number, np.where(alive, share, float(held)))
    return after, positive


def _backward(
    program: Program,
    inputs: list[Array],
    positives: list[Array],
    output: Array,
    rng: np.random.Generator,
    records: Records,
) -> None:
    draws, last = len(output), program.depth - 1
    size = _log2(_chi_square(rng, np.full(draws, program.steps[-1].fan_out)))
    for i in range(last, -1, -1):
        step, number = program.steps[i], program.steps[i].number
        records.put_log("gradient_preactivation", number, size - np.log2(step.fan_out))
        records.put_log("gradient_bias", number, size - np.log2(step.fan_out))
        entry = size + inputs[i] - np.log2(step.fan_out) - np.log2(step.fan_in)
        records.put_log("gradient_weight", number, entry)
        records.put_log("gradient_weight_batch", number, entry)
        scale = size + 2 * math.log2(step.weight["std"])
        if i == 0:
            everything = _chi_square(rng, np.full(draws, step.fan_in))
            records.put_log("gradient_input", number, scale + _log2(everything / step.fan_in))
            return
        below, positive = program.steps[i - 1], positives[i - 1]
        upper, lower = _chi_square(rng, positive), _chi_square(rng, below.fan_out - positive)
        records.put_log("gradient_input", number, scale + _log2((upper + lower) / step.fan_in))
        low, high = _slopes(below)
        alive = np.isfinite(inputs[i - 1])
        passed = np.where(
            alive, high**2 * upper + low**2 * lower, _slope_at_zero(below) ** 2 * (upper + lower)
        )
        size = scale + _log2(passed)


def _chi_square(rng: np.random.Generator, degrees: Array) -> Array:
    return 2.0 * rng.standard_gamma(degrees / 2.0)


def _log2(x: Array) -> Array:
    with np.errstate(divide="ignore"):
        return np.log2(x)


def _slopes(step: Step) -> tuple[float, float]:
    assert step.activation.slopes is not None
    return step.activation.slopes


def _slope_at_zero(step: Step) -> float:
    return float(step.activation.derivative(np.zeros(1))[0])


def _inactive(step: Step) -> tuple[bool, bool]:
    """Say whether the negative and the positive side are inactive."""
    low, high = step.activation.is_inactive(np.array([-1.0, 1.0]))
    return bool(low), bool(high)


def _saturated(step: Step) -> tuple[bool, bool]:
    """Say whether the negative and the positive side are saturated; a homogeneous slope changes at 0 only."""
    everything = step.low >= step.high
    return everything or step.low > -np.inf, everything or step.high < np.inf
