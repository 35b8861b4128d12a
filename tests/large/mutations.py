"""Is a theory that is wrong by 3 % caught? Every closed form and every backward rule is made wrong, one at a time.

``python -m tests.large.mutations OUTPUT`` writes the table. A mutation is applied to the prediction alone or, where
the code is shared, to everything; the study is a small one that exercises it; draws, estimator and sampler are the
defaults. Caught means that some row `differs`.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import datetime as dt
import functools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import varprop as vp
from varprop.activations.base import Activation, registry
from varprop.analytic import averages, backward, batch, head_rules
from varprop.initializers.base import registry as initializers

FACTOR = 1.03
FIELDS = ("mean", "second_moment", "derivative_second_moment")
PAIR_FIELDS = ("product", "derivative_product", "squared_difference")


@dataclasses.dataclass(frozen=True)
class Mutation:
    """One error of 3 %: its name, the networks that may show it, and how to make it."""

    name: str
    networks: Callable[[], list[vp.Network]]
    apply: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext


def verdicts(mutation: Mutation, seed: int = 0) -> list[str] | None:
    """Return the rows that differ, of the first network that shows the error; None if no prediction changes."""
    found: list[str] | None = None
    for network in mutation.networks():
        _forget()
        with mutation.apply():
            predicted = vp.predict(network)
        _forget()
        right = vp.predict(_right(network))
        if np.allclose(predicted["value"], right["value"], rtol=1e-9, atol=0.0, equal_nan=True):
            continue
        table = vp.compare(predicted, vp.simulate(network, seed=seed, histogram=False))
        wrong = table[table["verdict"] == "differs"]
        found = [
            f"{quantity} {layer}" for quantity, layer in zip(wrong["quantity"], wrong["layer"], strict=True)
        ]
        if found:
            break
    return found


def _right(network: vp.Network) -> vp.Network:
    """Return the network with the registered activations in the place of changed ones."""
    layers = [
        dataclasses.replace(layer, activation=vp.activation(layer.activation.name))
        for layer in network.layers
    ]
    return dataclasses.replace(network, body=tuple(layers))


def _forget() -> None:
    """Empty all caches of the package: they know activations by name."""
    for name, module in list(sys.modules.items()):
        if name.startswith("varprop"):
            for value in list(vars(module).values()):
                if isinstance(value, functools._lru_cache_wrapper):
                    value.cache_clear()


def wrong_form(activation: Activation, kind: str, field: str) -> Activation:
    """Return the activation with one closed form too large by 3 %."""
    group = dict(getattr(activation.forms, kind))
    right = group[field]
    group[field] = lambda *arguments: FACTOR * right(*arguments)
    return dataclasses.replace(activation, forms=dataclasses.replace(activation.forms, **{kind: group}))


def closed_forms() -> Iterator[Mutation]:
    """Yield every closed form of one Gaussian variable, with a mean for those that need one."""
    for activation in _activations():
        for kind, bias in (("centred", "zeros"), ("general", "constant(value=0.4)")):
            forms = getattr(activation.forms, kind)
            for field in FIELDS:
                if field not in forms or _is_zero(forms[field], kind):
                    continue
                yield Mutation(
                    f"{activation.name}: {field}, {kind}",
                    functools.partial(_plain_networks, wrong_form(activation, kind, field), bias),
                )


def pair_forms() -> Iterator[Mutation]:
    """Yield every closed form of two correlated Gaussian variables."""
    for activation in _activations():
        for field in PAIR_FIELDS:
            if field in activation.forms.pair and not _is_zero(activation.forms.pair[field], "pair"):
                changed = wrong_form(activation, "pair", field)
                yield Mutation(
                    f"{activation.name}: {field}, pair", functools.partial(_pair_networks, changed)
                )


def backward_rules() -> Iterator[Mutation]:
    """Yield every rule of the way back."""
    deep = _constant(lambda: [vp.mlp("200x3", "tanh", "lecun_normal", input=vp.half_on(200))])
    rect = _constant(lambda: [vp.mlp("200x3", "relu", "he_normal", input=vp.half_on(200))])
    for label, networks in (("tanh", deep), ("relu", rect)):
        for field in ("log_preactivation", "log_weight", "log_input"):
            yield Mutation(f"backward: {field}, {label}", networks, functools.partial(_wrong_gradient, field))
        yield Mutation(
            f"backward: phi'², {label}", networks,
            functools.partial(_wrong_logs, backward, "_slopes_over_silence", (0,)),
        )  # fmt: skip
        yield Mutation(f"backward: W^T, {label}", networks, _wrong_weighted)
    for field in ("mean", "log_second_moment", "log_derivative"):
        wrong = functools.partial(_wrong_average, "_homogeneous", field)
        yield Mutation(f"forward: {field}, homogeneous", rect, wrong)
    for field in ("log_second_moment", "log_derivative"):
        yield Mutation(f"forward: {field}, tanh", deep, functools.partial(_wrong_average, "_centred", field))
    for head, rule in (("mse", "_mse"), ("bce", "_bce"), ("softmax_ce", "_softmax")):
        networks = functools.partial(_headed, vp.Head(head, [1] if head == "softmax_ce" else 0.0))
        yield Mutation(
            f"head {head}: gradient", networks, functools.partial(_wrong_start, rule, "log_gradient")
        )
        yield Mutation(f"head {head}: loss", networks, functools.partial(_wrong_start, rule, "loss"))
    several = _constant(
        lambda: [_batched(vp.activation("tanh"), vp.Head("mse", 0.0), depth) for depth in (1, 3)]
    )
    yield Mutation(
        "backward: gradient of the batch mean",
        several,
        lambda: _changed(batch, "batch_gradient", lambda logs: logs + np.log(FACTOR)),
    )
    yield Mutation("data variance", several, lambda: _changed(batch, "data_variance", _scaled))


def law_variances() -> Iterator[Mutation]:
    """Yield the variance of every law of weights, wrong in theory only."""
    for name in initializers:
        try:
            varies = _one_layer(name)[0].weight_law(1).variance > 0
        except vp.InputError:  # a law without default parameters
            continue
        if varies:
            yield Mutation(f"{name}: variance", functools.partial(_one_layer, name), _wrong_variance)


def everything() -> list[Mutation]:
    """Return all mutations."""
    return [*closed_forms(), *pair_forms(), *backward_rules(), *law_variances()]


def _activations() -> list[Activation]:
    return list({a.name: a for a in (vp.activation(name) for name in registry)}.values())


def _is_zero(form: Callable[..., Any], kind: str) -> bool:
    """Say whether a form vanishes identically, which 3 % do not change."""
    from varprop.moments.closed import Pair

    one = np.array([0.7, 1.3])
    arguments = {"centred": (one,), "general": (one, 0.4 * one), "pair": (Pair.of(one, one, 0.3 * one),)}[
        kind
    ]
    return not np.any(form(*arguments))


def _constant(value: Callable[[], Any]) -> Callable[[], Any]:
    return value


def _plain_networks(activation: Activation, bias: str) -> list[vp.Network]:
    return [vp.mlp([200, 200, 200], activation, "lecun_normal", bias, input=vp.half_on(200))]


def _batched(activation: Activation, head: Any = "unit", depth: int = 3) -> vp.Network:
    rng = np.random.default_rng(0)
    shared, own = rng.standard_normal((400, 1)), rng.standard_normal((400, 4))
    x = np.sqrt(0.9) * shared + np.sqrt(0.1) * own
    return vp.mlp([400] * depth, activation, "lecun_normal", input=vp.data(x.T), head=head)


def _pair_networks(activation: Activation) -> list[vp.Network]:
    return [_batched(activation), _batched(activation, vp.Head("mse", 0.0), 6)]


def _headed(head: Any) -> list[vp.Network]:
    x = vp.half_on(400)
    return [
        vp.mlp(widths, "tanh", "lecun_normal", input=x, head=head) for widths in ([1000], [400, 400, 200])
    ]


def _one_layer(name: str) -> list[vp.Network]:
    return [vp.mlp([1000], weights=name, input=vp.half_on(1000))]


@contextlib.contextmanager
def _wrong_logs(module: Any, name: str, places: Any) -> Iterator[None]:
    right = getattr(module, name)

    def wrong(*arguments: Any, **named: Any) -> Any:
        found = list(right(*arguments, **named))
        for place in places:
            found[place] = found[place] + np.log(FACTOR)
        return tuple(found)

    with mock.patch.object(module, name, wrong):
        yield


@contextlib.contextmanager
def _changed(module: Any, name: str, change: Callable[[Any], Any]) -> Iterator[None]:
    right = getattr(module, name)

    def wrong(*arguments: Any, **named: Any) -> Any:
        return change(right(*arguments, **named))

    with mock.patch.object(module, name, wrong):
        yield


def _wrong_gradient(field: str) -> Any:
    def change(found: Any) -> Any:
        gradients, after = found
        return dataclasses.replace(gradients, **{field: getattr(gradients, field) + np.log(FACTOR)}), after

    return _changed(backward, "_through", change)


def _wrong_weighted() -> Any:
    def change(after: Any) -> Any:
        logs = {
            name: getattr(after, name) + np.log(FACTOR) for name in ("log_square", "log_awake", "log_silent")
        }
        return dataclasses.replace(after, **logs)

    return _changed(backward, "_weighted", change)


def _wrong_average(function: str, field: str) -> Any:
    def change(found: Any) -> Any:
        value = getattr(found, field)
        wrong = value + np.log(FACTOR) if field.startswith("log") else FACTOR * value
        return dataclasses.replace(found, **{field: wrong})

    return _changed(averages, function, change)


def _wrong_start(rule: str, field: str) -> Any:
    def change(start: Any) -> Any:
        value = getattr(start, field)
        return dataclasses.replace(
            start, **{field: value + np.log(FACTOR) if field[:3] == "log" else FACTOR * value}
        )

    kind = next(kind for kind, right in head_rules.RULES.items() if right.__name__ == rule)
    right = head_rules.RULES[kind]
    return mock.patch.dict(head_rules.RULES, {kind: lambda *arguments: change(right(*arguments))})


def _scaled(entry: Any) -> Any:
    return dataclasses.replace(entry, value=FACTOR * entry.value, log_value=entry.log_value + np.log(FACTOR))


def _wrong_variance() -> Any:
    right = vp.Network.weight_law

    def wrong(network: vp.Network, layer: int) -> Any:
        law = right(network, layer)
        return dataclasses.replace(law, variance=FACTOR * law.variance)

    return mock.patch.object(vp.Network, "weight_law", wrong)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("output", type=Path)
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    lines = [f"# Which errors of 3 % are caught at the defaults ({dt.datetime.now(tz=dt.UTC).date()})", ""]
    lines += ["| error of 3 % in | rows that differ | the first of them |", "|---|---|---|"]
    missed: list[str] = []
    unused: list[str] = []
    chosen = [m for m in everything() if arguments.only in m.name]
    for mutation in chosen:
        found = verdicts(mutation)
        if found is None:
            unused.append(mutation.name)
            continue
        missed += [] if found else [mutation.name]
        lines.append(f"| {mutation.name} | {len(found)} | {', '.join(found[:3]) or 'not caught'} |")
        print(lines[-1], flush=True)
    exercised = len(chosen) - len(unused)
    lines += ["", f"{exercised - len(missed)} of {exercised} caught.", ""]
    lines += [*(f"- not caught: {name}" for name in missed), "" if missed else "None is missed."]
    lines += [
        "",
        "No prediction rests on these (they are held against quadrature in `tests/activations`):",
        "",
    ]
    lines += [", ".join(unused) or "none"]
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text("\n".join(lines) + "\n")
    print(exercised - len(missed), "of", exercised, "caught; missed:", missed, "; unused:", unused)


if __name__ == "__main__":
    main()
