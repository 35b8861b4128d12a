"""The literature's initializers by bare name: normal is Gaussian and uniform is uniform, exactly."""

from __future__ import annotations

import functools

from varprop._validation import check_one_of, check_real
from varprop.initializers import facts, laws
from varprop.initializers.base import Fan, fan, known, register
from varprop.initializers.laws import Law

LARGEST_SLOPE = 1e100
"""Largest slope of a leaky ReLU: its square stays in double precision."""

DISTRIBUTIONS = ("normal", "uniform", "truncated")

_SYMMETRY = "Goodfellow, Bengio & Courville, Deep Learning, 2016, sec. 8.4"
_LECUN = "LeCun, Bottou, Orr & Müller, Efficient BackProp, 1998, eq. 16"
_GLOROT = "Glorot & Bengio, AISTATS 2010, eq. 12 and 16"
_HE = "He, Zhang, Ren & Sun, ICCV 2015, eq. 10, 14 and 15"


@register("zeros", **facts.ALIKE, source=_SYMMETRY)
def zeros(fan_in: Fan, fan_out: Fan) -> Law:
    """Every entry 0."""
    return laws.constant(0.0)


@register("ones", **facts.ALIKE, source=_SYMMETRY)
def ones(fan_in: Fan, fan_out: Fan) -> Law:
    """Every entry 1."""
    return laws.constant(1.0)


@register("constant", example="constant(value=0.1)", **facts.ALIKE, source=_SYMMETRY)
def constant(fan_in: Fan, fan_out: Fan, value: float) -> Law:
    """Every entry `value`."""
    return laws.constant(value)


@register("identity", **facts.DIAGONAL, source="Le, Jaitly & Hinton, 2015 (arXiv 1504.00941)")
def identity(fan_in: Fan, fan_out: Fan, gain: float = 1.0) -> Law:
    """`gain` on the main diagonal, 0 elsewhere."""
    return laws.identity(gain, known("fan_in", fan_in), known("fan_out", fan_out))


@register("standard_normal", **facts.FIXED, source="Nielsen, Neural Networks and Deep Learning, 2015, ch. 3")
def standard_normal(fan_in: Fan, fan_out: Fan) -> Law:
    """N(0, 1) whatever the width."""
    return laws.normal(1.0)


@register("normal", **facts.FIXED, source="Krizhevsky, Sutskever & Hinton, NIPS 2012, sec. 5 (std 0.01)")
def normal(fan_in: Fan, fan_out: Fan, std: float = 0.01, mean: float = 0.0) -> Law:
    """N(mean, std²) whatever the width."""
    return laws.normal(std, mean)


@register("uniform", **facts.FIXED, source="Goodfellow, Bengio & Courville, Deep Learning, 2016, sec. 8.4")
def uniform(fan_in: Fan, fan_out: Fan, low: float = -0.05, high: float = 0.05) -> Law:
    """U(low, high) whatever the width."""
    return laws.uniform(low, high)


@register(
    "uniform_fan_in", **facts.THIRD, source="Glorot & Bengio, AISTATS 2010, eq. 1 (the standard heuristic)"
)
def uniform_fan_in(fan_in: Fan, fan_out: Fan) -> Law:
    """U(−1/√fan_in, 1/√fan_in), of variance 1/(3 fan_in)."""
    bound = known("fan_in", fan_in) ** -0.5
    return laws.uniform(-bound, bound)


@register("truncated_normal", **facts.FIXED, source="TensorFlow, tf.random.truncated_normal")
def truncated_normal(fan_in: Fan, fan_out: Fan, std: float = 0.05, bound: float = 2.0) -> Law:
    """N(0, std²) conditioned on abs(w) <= bound·std; not corrected, so its own deviation is below `std`."""
    bound = check_real("bound", bound, minimum=0.0, exclusive=True)
    return laws.truncated_normal(0.0, std, -bound * std, bound * std) if std else laws.constant(0.0)


@register("rademacher", **facts.FIXED, source="Achlioptas, J. Comput. Syst. Sci. 66, 2003 (±1 projections)")
def rademacher(fan_in: Fan, fan_out: Fan, std: float = 1.0) -> Law:
    """Signs: ±std with probability 1/2 each."""
    return laws.rademacher(std)


@register(
    "sparse",
    example="sparse(sparsity=0.9)",
    **facts.FIXED,
    source="Martens, ICML 2010, sec. 5, here with independent zeros",
)
def sparse(fan_in: Fan, fan_out: Fan, sparsity: float, std: float = 1.0) -> Law:
    """0 with probability `sparsity`, else N(0, std²), all entries independent."""
    return laws.sparse(sparsity, std)


@register("orthogonal", **facts.LENGTHS, source="Saxe, McClelland & Ganguli, ICLR 2014 (arXiv 1312.6120)")
def orthogonal(fan_in: Fan, fan_out: Fan, gain: float = 1.0) -> Law:
    """`gain` times a Haar orthogonal matrix, or a corner of one."""
    return laws.orthogonal(gain, known("fan_in", fan_in), known("fan_out", fan_out))


@register("variance_scaling", **facts.SCALING, source="TensorFlow, tf.initializers.variance_scaling")
def variance_scaling(
    fan_in: Fan, fan_out: Fan, scale: float = 1.0, mode: str = "fan_in", distribution: str = "normal"
) -> Law:
    """Zero mean and variance scale/fan, exactly, whatever the distribution (normal, uniform or truncated)."""
    scale = check_real("scale", scale, minimum=0.0, exclusive=True)
    check_one_of("distribution", distribution, DISTRIBUTIONS)
    return laws.scaled(distribution, scale / fan(mode, fan_in, fan_out))


def lecun(distribution: str, fan_in: Fan, fan_out: Fan) -> Law:
    """Variance 1/fan_in."""
    return variance_scaling(fan_in, fan_out, 1.0, "fan_in", distribution)


def glorot(distribution: str, fan_in: Fan, fan_out: Fan) -> Law:
    """Variance 2/(fan_in + fan_out), the compromise of the forward and the backward condition."""
    return variance_scaling(fan_in, fan_out, 1.0, "fan_avg", distribution)


def he(distribution: str, fan_in: Fan, fan_out: Fan, mode: str = "fan_in", slope: float = 0.0) -> Law:
    """Variance 2/((1 + slope²)·fan), for a leaky ReLU of that slope."""
    slope = check_real("slope", slope, minimum=-LARGEST_SLOPE, maximum=LARGEST_SLOPE)
    return variance_scaling(fan_in, fan_out, 2.0 / (1.0 + slope**2), mode, distribution)


for _kind in DISTRIBUTIONS:
    register(f"lecun_{_kind}", **facts.LECUN, source=_LECUN)(functools.partial(lecun, _kind))
    register(f"glorot_{_kind}", f"xavier_{_kind}", **facts.GLOROT, source=_GLOROT)(
        functools.partial(glorot, _kind)
    )
    register(f"he_{_kind}", f"kaiming_{_kind}", **facts.HE, source=_HE)(functools.partial(he, _kind))
