"""Closed forms made wrong by 3 %, one at a time, and which of them a prediction asks for.

An activation states up to seven moments of one Gaussian variable, about 0 and about a mean, and three of two variables.
Not all of them enter a prediction. Which do is told by two facts: `forms_in` watches which forms a study calls, and
`askers` reads in the sources who names a moment at all.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import varprop
import varprop as vp
from tests.large.mutated_studies import STUDIES
from varprop.activations.base import Activation, registry
from varprop.moments.closed import Pair

FACTOR = 1.03
KINDS = ("centred", "general", "smoothed", "pair", "about")
Key = tuple[str, str]
"""Kind of a form, and the moment that it states."""


def activations() -> list[Activation]:
    """Return all registered activations, each once."""
    return list({a.name: a for a in (vp.activation(name) for name in registry)}.values())


def forms_of(activation: Activation) -> list[Key]:
    """Return the closed forms that are not identically zero, which 3 % do not change."""
    keys = [(kind, field) for kind in KINDS for field in getattr(activation.forms, kind)]
    return [key for key in keys if not _is_zero(getattr(activation.forms, key[0])[key[1]], key[0])]


def wrong_form(activation: Activation, kind: str, field: str) -> Activation:
    """Return the activation with one closed form too large by 3 %."""
    right = getattr(activation.forms, kind)[field]
    return _with_form(activation, (kind, field), lambda *arguments: FACTOR * right(*arguments))


@functools.lru_cache(maxsize=64)
def forms_in(name: str) -> dict[Key, tuple[str, ...]]:
    """Return for every closed form of an activation the studies whose prediction calls it."""
    called: set[Key] = set()
    found: dict[Key, tuple[str, ...]] = {}
    watched = vp.activation(name)
    for key in forms_of(watched):
        watched = _with_form(watched, key, _watched(getattr(watched.forms, key[0])[key[1]], key, called))
    for study, build in STUDIES.items():
        called.clear()
        vp.predict(build(watched))
        for key in called:
            found[key] = (*found.get(key, ()), study)
    return found


def askers(field: str) -> str:
    """Return who asks for a moment by its name, in the sources: the prediction, audits, mean-field functions, nobody.

    Every call for moments in `varprop.analytic` names the fields that it wants as literal texts, which
    `tests.agreement.test_mutations` holds: so a field that no file names is asked for by no prediction.
    """
    root = Path(varprop.__file__).parent / "analytic"
    where = {path.relative_to(root).parts[0] for path in root.rglob("*.py") if field in _texts(path)}
    found = ["predictions"] if any(part.endswith(".py") for part in where) else []
    found += ["audits"] if "rules" in where else []
    found += ["mean-field functions"] if "mean_field" in where else []
    return ", ".join(found) or "nobody but `Activation.moments`"


@functools.lru_cache(maxsize=512)
def _texts(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text())
    return frozenset(
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def distance_to_quadrature(activation: Activation, kind: str, field: str) -> float:
    """Return the largest relative difference of a form from quadrature at a few arguments."""
    form = getattr(activation.forms, kind)[field]
    q, m = np.array([0.3, 1.3]), np.array([0.2, 0.4])
    if kind in ("pair", "about"):
        eps = np.array([0.3, 0.9])
        wanted = activation.pair_moments(
            q, q[::-1], one_minus_correlation=eps, fields=(field,), method="quadrature"
        )
        found = form(Pair.of(q, q[::-1], eps))
    elif kind == "centred":
        wanted, found = activation.moments(q, method="quadrature", fields=(field,)), form(q)
    else:
        wanted = activation.moments(q, m, method="quadrature", fields=(field,))
        found = form(q, m) if kind == "general" else form(m, np.sqrt(q))
    value = np.asarray(getattr(wanted, field))
    return float(np.max(np.abs(found - value) / np.abs(value)))


def unasked() -> Iterator[tuple[str, Key, str, float]]:
    """Yield forms that no study calls: activation, form, who asks, difference from quadrature."""
    for activation in activations():
        called = forms_in(activation.name)
        for key in forms_of(activation):
            if key not in called:
                who = _why_unasked(activation, *key)
                yield activation.name, key, who, distance_to_quadrature(activation, *key)


def _why_unasked(activation: Activation, kind: str, field: str) -> str:
    if kind == "smoothed":
        return "quadratures of `pair_moments`: audits, mean-field functions"
    if activation.slopes == (1.0, 1.0) and field in ("variance", "derivative_mean"):
        return "nobody: predictions take the identity's slope, and its variance at mean 0"
    if kind != "pair":
        return askers(field)
    if activation.slopes is not None:
        return "audits, mean-field functions (predictions: `rectified_pairs`)"
    if activation.forms.about:
        return "audits, mean-field functions (predictions: the form about a mean)"
    return "mean-field functions (predictions and audits: `squared_difference`)"


def _with_form(activation: Activation, key: Key, form: Callable[..., Any]) -> Activation:
    group = dict(getattr(activation.forms, key[0])) | {key[1]: form}
    return dataclasses.replace(activation, forms=dataclasses.replace(activation.forms, **{key[0]: group}))


def _watched(form: Callable[..., Any], key: Key, called: set[Key]) -> Callable[..., Any]:
    def watched(*arguments: Any) -> Any:
        called.add(key)
        return form(*arguments)

    return watched


def _is_zero(form: Callable[..., Any], kind: str) -> bool:
    one = np.array([0.7, 1.3])
    pair = Pair.of(one, one, 0.3 * one)
    arguments = {"centred": (one,), "general": (one, 0.4 * one), "smoothed": (0.4 * one, one)}
    arguments |= {"pair": (pair,), "about": (pair, 0.4)}
    return not np.any(form(*arguments[kind]))
