"""The study that is run when none is named: what every newcomer should see once."""

from __future__ import annotations

from varprop.spec.networks import Network
from varprop.spec.shorthand import mlp
from varprop.spec.sources import digits, half_on
from varprop.spec.studies import Study

CLASSIC = (
    "standard_normal",
    "normal(std=0.01)",
    "lecun_normal",
    "glorot_uniform",
    "glorot_normal",
    "he_normal",
    "torch.linear_default",
)
"""Initializers of the ten-layer networks: too large, too small, and the five in daily use."""


def default_study() -> Study:
    """Return the default study.

    One sigmoid neuron on 1000 inputs of which 500 are on, with weights N(0, 1) and N(0, 1/1000) and bias
    N(0, 1): pre-activation variances 501 and 1.5 (M. Nielsen, *Neural Networks and Deep Learning*, chapter
    3). Then ten-layer networks on real handwritten digits under the classic initializers, with sigmoid, tanh
    and relu.

    Examples
    --------
    >>> default_study().networks[0].widths
    (1000, 1)
    """
    return Study(
        "default",
        (*_one_neuron(), *_deep()),
        title="What the classic initializers do to a network at birth",
        draws=200,
    )


def _one_neuron() -> list[Network]:
    return [
        mlp(
            1,
            weights=weights,
            biases="standard_normal",
            input=half_on(1000),
            output_activation="sigmoid",
            name=name,
        )
        for weights, name in (
            ("standard_normal", "one neuron, weights N(0, 1)"),
            ("lecun_normal", "one neuron, weights N(0, 1/1000)"),
        )
    ]


def _deep() -> list[Network]:
    images = digits(16, repeat=2, seed=0)
    return [
        mlp("200x9,10", activation, weights, input=images, name=f"{weights} · {activation}")
        for activation in ("sigmoid", "tanh", "relu")
        for weights in CLASSIC
    ]
