"""Rules of the theory made wrong by 3 %, one at a time: of layers, pairs, heads, the way back and laws of weights."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from unittest import mock

import numpy as np

import varprop as vp
from tests.large.mutated_forms import FACTOR
from tests.large.mutated_studies import STUDIES, alike, batched, pulled, skewed
from varprop.analytic import (
    averages,
    backward,
    batch,
    batch_moments,
    chain,
    covariance,
    forward,
    head_pairs,
    head_rules,
    homogeneous_pairs,
    rows,
)
from varprop.initializers.base import registry as initializers

LOG = float(np.log(FACTOR))
Networks = Callable[[], list[vp.Network]]


class Rule(NamedTuple):
    """Name of a rule, the networks that may show that it is wrong, and how to make it wrong."""

    name: str
    networks: Networks
    wrong: Callable[[], contextlib.AbstractContextManager[Any]]


def rules() -> Iterator[Rule]:
    """Yield every rule, the variances of all laws of weights among them."""
    yield from _forward()
    yield from _pairs()
    yield from _backward()
    yield from _heads()
    yield from _laws()


def _forward() -> Iterator[Rule]:
    relu, tanh = _of("one input", "relu"), _of("one input", "tanh")
    # Where a law is symmetric E phi² of a homogeneous activation comes from E z²: a skewed one takes the Gaussian's.
    uneven = functools.partial(_listed, lambda: skewed("relu"))
    for field, networks in (("mean", relu), ("log_second_moment", uneven), ("log_derivative", uneven)):
        yield Rule(f"forward: {field}, homogeneous", networks, _field(averages, "_homogeneous", field))
    for field in ("log_second_moment", "log_derivative"):
        yield Rule(f"forward: {field}, tanh", tanh, _field(averages, "_centred", field))
    biased = _of("one input, bias", "relu")
    mixed = functools.partial(
        _listed,
        lambda: vp.mlp([200] * 3, "tanh", "lecun_normal", "rademacher(std=0.5)", input=vp.half_on(200)),
    )
    off_centre = functools.partial(
        _listed,
        lambda: vp.mlp([200] * 3, "silu", "lecun_normal", "rademacher(std=0.5)", input=vp.half_on(200)),
    )
    for field in ("mean", "log_second_moment", "log_derivative"):
        yield Rule(
            f"forward: {field}, relu with a bias", biased, _field(averages, "_shifted_homogeneous", field)
        )
        networks = off_centre if field == "mean" else mixed
        yield Rule(f"forward: {field}, mixture of Gaussians", networks, _field(averages, "_mixed", field))
    yield Rule("forward: root of E|h|², relu", relu, _field(chain, "norm_factor", "root"))
    shared = _of("weights with a mean, orthogonal inputs", "tanh")
    yield Rule("forward: covariance of units", shared, _scaled(forward, "shared_covariance"))
    yield Rule("forward: variance of a unit", shared, _shifted(forward, "log_unit_variance"))
    yield Rule("forward: fraction", tanh, _scaled(rows, "unit_probability"))
    yield Rule("forward: fraction, by signs", relu, _signs)


def _pairs() -> Iterator[Rule]:
    studies = {
        "rectified_pairs": ("relu", "zeros", "lecun_normal", 0.1),
        "shifted_rectified_pairs": ("relu", "constant(value=0.4)", "lecun_normal", 0.1),
        "series": ("tanh", "zeros", "lecun_normal", 0.1),
        "_rotated": ("hardtanh", "zeros", "normal(std=1.0)", 0.005),
    }
    for name, (phi, biases, weights, apart) in studies.items():
        close = functools.partial(vp.mlp, [400, 400], phi, weights, biases, input=alike(4, apart))
        far = functools.partial(pulled, phi, weights, biases, apart)
        distance = functools.partial(_listed, close)
        # Centred pairs of homogeneous activations are taken apart from all others.
        home = homogeneous_pairs if name == "rectified_pairs" else batch_moments
        yield Rule(f"pairs: distance, {name}", distance, _places(home, name, 0, FACTOR))
        slopes = functools.partial(_listed, far)
        yield Rule(f"pairs: products of slopes, {name}", slopes, _places(home, name, 1, FACTOR))
    several = functools.partial(_listed, lambda: batched("tanh"))
    yield Rule("pairs: data variance", several, _changed(batch, "data_variance", _entry))
    yield Rule("pairs: distance of a layer", several, _places(covariance, "_own", 0))
    rect = _of("4 inputs", "relu")
    yield Rule("pairs: dead fraction", rect, _changed(batch, "dead_fraction", _entry))
    yield Rule("pairs: correlation", rect, _changed(batch, "correlation", _entry))


def _backward() -> Iterator[Rule]:
    for label, networks in (("tanh", _of("one input", "tanh")), ("relu", _of("one input", "relu"))):
        for field in ("log_preactivation", "log_weight", "log_input"):
            yield Rule(f"backward: {field}, {label}", networks, _gradient(field))
        yield Rule(f"backward: phi'², {label}", networks, _places(backward, "_slopes_over_silence", 0))
        yield Rule(f"backward: W^T, {label}", networks, _changed(backward, "_weighted", _logs))
    shared = _of("weights with a mean, orthogonal inputs", "tanh")
    yield Rule("backward: products of slopes of units", shared, _scaled(backward, "shared_slopes"))
    # Four thousand outputs: the row is known to 2 % of itself, and the error of 3 % has to stand out from that.
    wide = functools.partial(
        _listed, lambda: vp.mlp([4000], weights="lecun_normal", input=alike(), head=vp.Head("mse", 0.0))
    )
    yield Rule("backward: gradient of the batch mean", wide, _shifted(batch, "batch_gradient"))
    far = functools.partial(_listed, lambda: pulled("tanh"))
    yield Rule("backward: products of gradients", far, _every(batch, "gradient_products"))


def _heads() -> Iterator[Rule]:
    for head, rule in (("mse", "_mse"), ("bce", "_bce"), ("softmax_ce", "_softmax")):
        networks = functools.partial(_headed, vp.Head(head, [1] if head == "softmax_ce" else 0.0))
        for field in ("log_gradient", "loss"):
            yield Rule(f"head {head}: {field}", networks, functools.partial(_wrong_start, rule, field))
        # Too small by 3 %: a correlation cannot be larger than 1. Small outputs, whose gradients hardly vary.
        target = [1] * 32 if head == "softmax_ce" else 1.0
        pairs = functools.partial(
            vp.mlp, [10], weights="normal(std=0.001)", input=alike(32), head=vp.Head(head, target)
        )
        products = functools.partial(_listed, pairs)
        yield Rule(f"head {head}: products over pairs", products, _places(head_pairs, rule, 0, 1.0 / FACTOR))


def _laws() -> Iterator[Rule]:
    for name in initializers:
        try:
            networks = functools.partial(_one_layer, name)
            varies = networks()[0].weight_law(1).variance > 0
        except vp.InputError:  # a law without default parameters
            continue
        if varies:
            yield Rule(f"{name}: variance", networks, _wrong_variance)


def _listed(build: Callable[[], vp.Network]) -> list[vp.Network]:
    return [build()]


def _of(study: str, activation: str) -> Networks:
    return functools.partial(_listed, functools.partial(STUDIES[study], activation))  # type: ignore[arg-type]


def _headed(head: Any) -> list[vp.Network]:
    x = vp.half_on(400)
    return [
        vp.mlp(widths, "tanh", "lecun_normal", input=x, head=head) for widths in ([1000], [400, 400, 200])
    ]


def _one_layer(name: str) -> list[vp.Network]:
    return [vp.mlp([1000], weights=name, input=vp.half_on(1000))]


def _changed(module: Any, name: str, change: Callable[[Any], Any]) -> Callable[[], Any]:
    """Return what replaces a function by one whose result is changed."""
    right = getattr(module, name)

    def wrong(*arguments: Any, **named: Any) -> Any:
        return change(right(*arguments, **named))

    return lambda: mock.patch.object(module, name, wrong)


def _scaled(module: Any, name: str) -> Callable[[], Any]:
    return _changed(module, name, lambda found: FACTOR * found)


def _shifted(module: Any, name: str) -> Callable[[], Any]:
    return _changed(module, name, lambda found: found + LOG)


def _every(module: Any, name: str) -> Callable[[], Any]:
    return _changed(module, name, lambda found: [FACTOR * entry for entry in found])


def _field(module: Any, name: str, field: str) -> Callable[[], Any]:
    def change(found: Any) -> Any:
        value = getattr(found, field)
        wrong = value + LOG if field.startswith("log") else FACTOR * value
        if isinstance(found, tuple):
            return found._replace(**{field: wrong})
        return dataclasses.replace(found, **{field: wrong})

    return _changed(module, name, change)


def _places(module: Any, name: str, place: int, factor: float = 0.0) -> Callable[[], Any]:
    """Return what makes one entry of a tuple too large: a logarithm where no factor is given."""

    def change(found: Any) -> Any:
        entries = list(found)
        entries[place] = factor * entries[place] if factor else entries[place] + LOG
        return type(found)(*entries) if hasattr(found, "_fields") else tuple(entries)

    return _changed(module, name, change)


def _gradient(field: str) -> Callable[[], Any]:
    def change(found: Any) -> Any:
        gradients, after = found
        return dataclasses.replace(gradients, **{field: getattr(gradients, field) + LOG}), after

    return _changed(backward, "_through", change)


def _logs(after: Any) -> Any:
    return dataclasses.replace(
        after, **{name: getattr(after, name) + LOG for name in ("log_square", "log_awake", "log_silent")}
    )


def _entry(entry: Any) -> Any:
    return dataclasses.replace(entry, value=FACTOR * entry.value, log_value=entry.log_value + LOG)


def _wrong_start(rule: str, field: str) -> Any:
    def change(start: Any) -> Any:
        value = getattr(start, field)
        return dataclasses.replace(start, **{field: value + LOG if field[:3] == "log" else FACTOR * value})

    kind = next(kind for kind, right in head_rules.RULES.items() if right.__name__ == rule)
    right = head_rules.RULES[kind]
    return mock.patch.dict(head_rules.RULES, {kind: lambda *arguments: change(right(*arguments))})


def _wrong_variance() -> Any:
    right = vp.Network.weight_law

    def wrong(network: vp.Network, layer: int) -> Any:
        law = right(network, layer)
        return dataclasses.replace(law, variance=FACTOR * law.variance)

    return mock.patch.object(vp.Network, "weight_law", wrong)


def _signs() -> Any:
    from varprop.analytic.silence import Signs

    right = Signs.probability
    return mock.patch.object(Signs, "probability", lambda self, sets: FACTOR * right(self, sets))
