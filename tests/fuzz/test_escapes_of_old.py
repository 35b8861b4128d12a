"""Calls that once ended in something other than an answer or `InputError`, each a member of a class of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import varprop as vp

DIGITS = 10**5000


def _runs(network: vp.Network) -> None:
    predicted = vp.predict(network)
    vp.compare(predicted, vp.simulate(network, draws=4))
    vp.diagnose(predicted)


ANSWERED: dict[str, Callable[[], Any]] = {
    "tiny squares": lambda: _runs(
        vp.mlp("20x4,10", "squared_relu", "he_normal", input=vp.digits(4), gain=1e-6)
    ),
    "identity with orthogonal biases": lambda: _runs(
        vp.mlp(
            [5, 4],
            "relu",
            "torch.eye_",
            "torch.orthogonal_",
            vp.digits(3),
            head="softmax_ce",
            targets=[0, 1, 2],
        )
    ),
    "deterministic weights, three inputs": lambda: _runs(
        vp.mlp([1, 3, 3], "hardtanh", "ones", input=vp.data(np.arange(12.0).reshape(3, 4)))
    ),
    "squares of a uniform law": lambda: _runs(
        vp.mlp([4, 4, 2], "squared_relu", "he_uniform", input=vp.gaussian(2, 3, seed=1))
    ),
    "a spectrum of no derivative": lambda: vp.jacobian_spectrum("step", 1.0, 12),
    "a deep spectrum": lambda: vp.jacobian_spectrum("sigmoid", 1e20, 1000),
    "a narrow truncation": lambda: vp.initializer("truncated_normal(bound=1e-100)").law(3, 3),
    "a path that grows without bound": lambda: vp.length_curve("softplus", 1e20, 1e20),
    "a map without second moments": lambda: vp.fixed_points("relu6", 0.0, 5e-324),
}
REFUSED: dict[str, Callable[[], Any]] = {
    "digits: draws": lambda: vp.simulate(vp.mlp(3), draws=DIGITS),
    "digits: points": lambda: vp.moons(DIGITS),
    "digits: noise": lambda: vp.circles(10, noise=DIGITS),
    "digits: fans": lambda: vp.initializer("he_normal").law(DIGITS, 3),
    "digits: variance": lambda: vp.fixed_points("tanh", DIGITS),
    "digits: second moment": lambda: vp.activation("tanh").moments(DIGITS),
    "ragged labels": lambda: vp.data([[0.0, 1.0], [1.0, 0.0]], labels=[[0], [0, 1]]),
    "widths of no dimension": lambda: vp.mlp(np.array(3.0)),
    "a variance beyond closed forms": lambda: vp.activation("hard_swish").moments(1e200),
    "a text as variance": lambda: vp.correlation_curve("relu", 1.0, ""),
    "a name too long": lambda: vp.data("x" * 5000 + ".csv"),
}


@pytest.mark.parametrize("name", ANSWERED)
def test_what_is_sound_is_answered(name: str) -> None:
    ANSWERED[name]()


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(vp.InputError) as caught:
        REFUSED[name]()
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 400
