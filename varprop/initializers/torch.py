"""PyTorch's initializers under its own names, arguments and defaults (torch/nn/init.py).

Weights are (fan_out, fan_in), as everywhere in varprop. Bounds of ``trunc_normal_`` are absolute.
"""

from __future__ import annotations

import functools
import math

from varprop._validation import check_integer, check_one_of, check_real
from varprop.initializers import facts, laws, literature
from varprop.initializers.base import Fan, fan, known, register
from varprop.initializers.laws import Law

_SOURCE = "PyTorch, torch.nn.init.{}".format
_LINEAR = ("linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
_GAINS = dict.fromkeys((*_LINEAR, "sigmoid"), 1.0) | {
    "tanh": 5.0 / 3.0,
    "relu": math.sqrt(2.0),
    "selu": 0.75,
}


def calculate_gain(nonlinearity: str, slope: float) -> float:
    """Return the factor on the standard deviation, as ``torch.nn.init.calculate_gain`` does."""
    if nonlinearity == "leaky_relu":
        slope = check_real("a", slope, minimum=-literature.LARGEST_SLOPE, maximum=literature.LARGEST_SLOPE)
        return math.sqrt(2.0 / (1.0 + slope**2))
    return _GAINS[check_one_of("nonlinearity", nonlinearity, [*_GAINS, "leaky_relu"])]


register("torch.zeros_", **facts.ALIKE, source=_SOURCE("zeros_"))(literature.zeros)
register("torch.ones_", **facts.ALIKE, source=_SOURCE("ones_"))(literature.ones)
register("torch.orthogonal_", **facts.LENGTHS, source=_SOURCE("orthogonal_"))(literature.orthogonal)


@register("torch.constant_", example="torch.constant_(val=0.1)", **facts.ALIKE, source=_SOURCE("constant_"))
def constant_(fan_in: Fan, fan_out: Fan, val: float) -> Law:
    """Every entry `val`."""
    return laws.constant(val)


@register("torch.uniform_", **facts.FIXED, source=_SOURCE("uniform_"))
def uniform_(fan_in: Fan, fan_out: Fan, a: float = 0.0, b: float = 1.0) -> Law:
    """U(a, b); the default has mean 1/2."""
    return laws.uniform(check_real("a", a, maximum=b), b)


@register("torch.normal_", **facts.FIXED, source=_SOURCE("normal_"))
def normal_(fan_in: Fan, fan_out: Fan, mean: float = 0.0, std: float = 1.0) -> Law:
    """N(mean, std²)."""
    return laws.normal(std, mean)


@register("torch.trunc_normal_", **facts.FIXED, source=_SOURCE("trunc_normal_"))
def trunc_normal_(
    fan_in: Fan, fan_out: Fan, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0
) -> Law:
    """N(mean, std²) conditioned on a <= w <= b; the bounds do not scale with `std`."""
    a = check_real("a", a, maximum=b)
    return laws.truncated_normal(mean, std, a, b)


@register("torch.eye_", **facts.DIAGONAL, source=_SOURCE("eye_"))
def eye_(fan_in: Fan, fan_out: Fan) -> Law:
    """1 on the main diagonal, 0 elsewhere."""
    return literature.identity(fan_in, fan_out)


@register("torch.dirac_", **facts.DIAGONAL, source=_SOURCE("dirac_"))
def dirac_(fan_in: Fan, fan_out: Fan, groups: int = 1) -> Law:
    """Identity of the channels, in each of `groups`; a dense layer is a convolution with kernel size 1."""
    check_integer("groups", groups, minimum=1)
    return laws.identity(1.0, known("fan_in", fan_in), known("fan_out", fan_out), groups)


@register("torch.xavier_uniform_", **facts.GLOROT, source=_SOURCE("xavier_uniform_"))
def xavier_uniform_(fan_in: Fan, fan_out: Fan, gain: float = 1.0) -> Law:
    """Uniform of variance gain²·2/(fan_in + fan_out)."""
    gain = check_real("gain", gain, minimum=0.0)
    return laws.scaled("uniform", gain**2 / fan("fan_avg", fan_in, fan_out))


@register("torch.xavier_normal_", **facts.GLOROT, source=_SOURCE("xavier_normal_"))
def xavier_normal_(fan_in: Fan, fan_out: Fan, gain: float = 1.0) -> Law:
    """Normal of variance gain²·2/(fan_in + fan_out)."""
    gain = check_real("gain", gain, minimum=0.0)
    return laws.scaled("normal", gain**2 / fan("fan_avg", fan_in, fan_out))


def kaiming(
    distribution: str,
    fan_in: Fan,
    fan_out: Fan,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
) -> Law:
    """Variance gain²/fan with PyTorch's gain for `nonlinearity`; `a` is the slope of a leaky ReLU."""
    check_one_of("mode", mode, ("fan_in", "fan_out"))
    return laws.scaled(distribution, calculate_gain(nonlinearity, a) ** 2 / fan(mode, fan_in, fan_out))


for _kind in ("uniform", "normal"):
    register(f"torch.kaiming_{_kind}_", **facts.HE, source=_SOURCE(f"kaiming_{_kind}_"))(
        functools.partial(kaiming, _kind)
    )


@register("torch.sparse_", example="torch.sparse_(sparsity=0.9)", **facts.FIXED, source=_SOURCE("sparse_"))
def sparse_(fan_in: Fan, fan_out: Fan, sparsity: float, std: float = 0.01) -> Law:
    """N(0, std²) with ceil(sparsity·fan_out) zeros in every column, that is for every input unit."""
    return laws.sparse_columns(sparsity, std, known("fan_out", fan_out))


register("torch.linear_default", **facts.THIRD, biases="uniform_fan_in", source="PyTorch, torch.nn.Linear")(
    literature.uniform_fan_in
)
