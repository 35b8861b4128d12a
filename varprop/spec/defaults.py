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


_DEPTH = "200x9,10"
_NEURONS = 2000
"""As many neurons side by side: each draw of the layer is as many draws of the neuron."""


def default_study() -> Study:
    """Return the default study.

    A sigmoid neuron on 1000 inputs of which 500 are on, with weights N(0, 1) and N(0, 1/1000) and bias N(0, 1):
    pre-activation variances 501 and 1.5 (M. Nielsen, *Neural Networks and Deep Learning*, chapter 3). Then
    ten-layer networks on a real handwritten digit under the classic initializers, with sigmoid, tanh and relu;
    and the two recommended pairs on sixteen digits, for what only several inputs show.

    Examples
    --------
    >>> default_study().networks[0].widths
    (1000, 2000)
    """
    return Study(
        "default",
        (*_neurons(), *_deep(), *_on_several()),
        title="What the classic initializers do to a network at birth",
    )


def _neurons() -> list[Network]:
    return [
        mlp(
            _NEURONS,
            weights=weights,
            biases="standard_normal",
            input=half_on(1000),
            output_activation="sigmoid",
            name=name,
        )
        for weights, name in (
            ("standard_normal", "a neuron, weights N(0, 1)"),
            ("lecun_normal", "a neuron, weights N(0, 1/1000)"),
        )
    ]


def _deep() -> list[Network]:
    digit = digits(1, repeat=2)
    return [
        mlp(_DEPTH, activation, weights, input=digit, name=f"{weights} · {activation}")
        for activation in ("sigmoid", "tanh", "relu")
        for weights in CLASSIC
    ]


def _on_several() -> list[Network]:
    images = digits(16, repeat=2)
    return [
        mlp(_DEPTH, activation, weights, input=images, name=f"{weights} · {activation} · 16 digits")
        for activation, weights in (("tanh", "glorot_normal"), ("relu", "he_normal"))
    ]
