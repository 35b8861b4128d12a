"""Keras 3's initializers under its own names, arguments and defaults (keras/src/initializers).

Its ``normal`` scalings are truncated at two standard deviations and corrected, so that the variance is exact;
its plain ``truncated_normal`` is not corrected.
"""

from __future__ import annotations

import functools

from varprop._validation import check_one_of, check_real
from varprop.initializers import facts, laws, literature
from varprop.initializers.base import Fan, fan, register
from varprop.initializers.laws import Law

# Keras' word -> the literature's; "normal" is Keras' synonym for the truncated one.
_DISTRIBUTIONS = {
    "truncated_normal": "truncated",
    "normal": "truncated",
    "untruncated_normal": "normal",
    "uniform": "uniform",
}
_SOURCE = "Keras 3, keras.initializers.{}".format

register("keras.zeros", **facts.ALIKE, source=_SOURCE("Zeros"))(literature.zeros)
register("keras.ones", **facts.ALIKE, source=_SOURCE("Ones"))(literature.ones)
register("keras.identity", **facts.DIAGONAL, source=_SOURCE("Identity"))(literature.identity)
register("keras.orthogonal", **facts.LENGTHS, source=_SOURCE("Orthogonal"))(literature.orthogonal)


@register("keras.constant", **facts.ALIKE, source=_SOURCE("Constant"))
def constant(fan_in: Fan, fan_out: Fan, value: float = 0.0) -> Law:
    """Every entry `value`."""
    return laws.constant(value)


@register("keras.random_normal", **facts.FIXED, source=_SOURCE("RandomNormal"))
def random_normal(fan_in: Fan, fan_out: Fan, mean: float = 0.0, stddev: float = 0.05) -> Law:
    """N(mean, stddev²)."""
    return laws.normal(check_real("stddev", stddev, minimum=0.0), mean)


@register("keras.random_uniform", **facts.FIXED, source=_SOURCE("RandomUniform"))
def random_uniform(fan_in: Fan, fan_out: Fan, minval: float = -0.05, maxval: float = 0.05) -> Law:
    """U(minval, maxval)."""
    return laws.uniform(check_real("minval", minval, maximum=maxval), maxval)


@register("keras.truncated_normal", **facts.FIXED, source=_SOURCE("TruncatedNormal"))
def truncated_normal(fan_in: Fan, fan_out: Fan, mean: float = 0.0, stddev: float = 0.05) -> Law:
    """N(mean, stddev²) cut at two `stddev` from the mean: standard deviation 0.8796·stddev."""
    stddev = check_real("stddev", stddev, minimum=0.0)
    if stddev == 0.0:
        return laws.constant(mean)
    return laws.truncated_normal(mean, stddev, mean - 2 * stddev, mean + 2 * stddev)


@register("keras.variance_scaling", **facts.SCALING, source=_SOURCE("VarianceScaling"))
def variance_scaling(
    fan_in: Fan,
    fan_out: Fan,
    scale: float = 1.0,
    mode: str = "fan_in",
    distribution: str = "truncated_normal",
) -> Law:
    """Variance scale/fan, also for the truncated normal (Keras divides by 0.87962566103423978)."""
    scale = check_real("scale", scale, minimum=0.0, exclusive=True)
    check_one_of("distribution", distribution, _DISTRIBUTIONS)
    return laws.scaled(_DISTRIBUTIONS[distribution], scale / fan(mode, fan_in, fan_out))


def _scaling(scale: float, mode: str, distribution: str, fan_in: Fan, fan_out: Fan) -> Law:
    return variance_scaling(fan_in, fan_out, scale, mode, distribution)


for _name, _scale, _mode, _facts in (
    ("lecun", 1.0, "fan_in", facts.LECUN),
    ("glorot", 1.0, "fan_avg", facts.GLOROT),
    ("he", 2.0, "fan_in", facts.HE),
):
    for _kind, _distribution in (("normal", "truncated_normal"), ("uniform", "uniform")):
        register(
            f"keras.{_name}_{_kind}", **_facts, source=_SOURCE(f"{_name.capitalize()}{_kind.capitalize()}")
        )(functools.partial(_scaling, _scale, _mode, _distribution))

register("keras.dense_default", **facts.GLOROT, biases="keras.zeros", source="Keras 3, keras.layers.Dense")(
    functools.partial(_scaling, 1.0, "fan_avg", "uniform")
)
