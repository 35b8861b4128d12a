"""Parts, families and inputs with positions, of which most fit and some do not."""

from __future__ import annotations

import inspect
from typing import Any

from hypothesis import strategies as st

import varprop as vp
from tests.fuzz.values import ACTIVATIONS, INITIALIZERS, NUMBERS, TEXTS, THINGS, mostly
from varprop import ops
from varprop.spec import families
from varprop.spec.parts import builders
from varprop.spec.presets import PRESETS

SIZES = st.one_of(st.integers(1, 6), st.integers(1, 6), NUMBERS, st.lists(st.integers(0, 4), max_size=4))

_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "weights": INITIALIZERS,
    "biases": st.one_of(st.none(), INITIALIZERS),
    "activation": ACTIVATIONS,
    "gain": st.floats(0.1, 2.0),
    "padding": st.one_of(st.just("same"), SIZES),
    "eps": st.sampled_from([0.0, 1e-5, 1.0, 1e300]),
    "rate": st.floats(0.0, 1.0),
    "name": st.one_of(st.just(""), TEXTS),
    **{key: st.booleans() for key in ("bias", "causal", "rotary", "transposed")},
    **{
        key: st.one_of(st.none(), st.dictionaries(st.sampled_from(["gain", "bias", "x"]), NUMBERS))
        for key in ("query", "key", "value", "output")
    },
}


@st.composite
def parts(draw: st.DrawFn, depth: int = 0) -> Any:
    """Return a part as somebody may write it: a spelling, a table, a list, an op; now and then anything."""
    kind = draw(st.integers(0, 24))
    if kind == 0:
        return draw(THINGS)
    if kind < 4:
        return draw(ACTIVATIONS)
    if kind < 6:
        return draw(
            st.sampled_from(
                ["layer_norm", "dense(width=3)", "attention(heads=2)", "flatten", "dense(", "identity"]
            )
        )
    nested = st.lists(parts(depth + 1), min_size=0 if kind == 6 else 1, max_size=3)
    if kind < 9 and depth < 3:
        return draw(nested)
    name = draw(st.sampled_from(sorted(builders)))
    keys = list(inspect.signature(builders[name]).parameters)
    first = keys[0] if keys else ""
    table: dict[Any, Any] = {}
    for key in keys[1:]:
        if draw(st.integers(0, 3)) == 0:
            table[key] = draw(mostly(_VALUES.get(key, SIZES)))
    if draw(st.integers(0, 14)) == 0:
        table[draw(st.one_of(TEXTS, NUMBERS))] = draw(THINGS)
    if draw(st.integers(0, 9)) == 0:
        table["times"] = draw(SIZES)
    if first in ("parts", "branch", "branches"):
        table[name] = draw(nested) if depth < 3 else ["relu", "tanh"]
    else:
        table[name] = draw(mostly(_VALUES.get(first, SIZES))) if first else {}
    if draw(st.integers(0, 9)) == 0 and name in ops.__all__ and "times" not in table:
        value = table.pop(name)
        listed = value if isinstance(value, list) and first in ("parts", "branches") else [value][: len(keys)]
        sound = all(isinstance(key, str) and key in keys for key in table)
        if sound and not (name == "multiply" and len(listed) != 2):
            return getattr(ops, name)(*listed, **table)
    return table


@st.composite
def placed_inputs(draw: st.DrawFn) -> Any:
    """Return vectors, tokens or images, small ones."""
    kind = draw(st.integers(0, 5))
    batch = draw(st.integers(1, 3))
    if kind < 2:
        return vp.tokens(
            draw(mostly(st.integers(1, 5))),
            draw(mostly(st.integers(1, 9))),
            draw(mostly(st.just(batch))),
            ids=draw(mostly(st.sampled_from(["uniform", "distinct", "zipf"]))),
        )
    if kind < 4:
        sides = [draw(mostly(st.integers(1, 6))) for _ in range(3)]
        return vp.images(*sides, draw(mostly(st.just(batch))))
    return vp.gaussian(draw(st.integers(1, 6)), batch)


@st.composite
def bodies(draw: st.DrawFn) -> Any:
    """Return a network of parts; raises what `varprop.Network` raises."""
    listed = draw(mostly(st.lists(parts(), min_size=1, max_size=4)))
    first = [draw(st.sampled_from([{"embedding": 4}, "dense(width=4)", {"conv": 4}]))]
    body = first + listed if isinstance(listed, list) and draw(st.booleans()) else listed
    kind = draw(st.sampled_from(["unit", "softmax_ce", "mse"]))
    head = vp.Head(kind, 0.0 if kind == "mse" else None)
    return vp.Network(draw(mostly(placed_inputs())), body, head, draw(mostly(st.just(""), TEXTS)))


@st.composite
def family_networks(draw: st.DrawFn) -> Any:
    """Return a network of a family from keywords of which most fit."""
    name = draw(st.sampled_from(sorted(families)))
    sound: dict[str, st.SearchStrategy[Any]] = {
        "depth": st.sampled_from([1, 2, 8, 20]),
        "width": st.sampled_from([4, 8]),
        "heads": st.sampled_from([1, 2, 4, 3]),
        "tokens": st.integers(1, 5),
        "vocabulary": st.integers(2, 9),
        "norm": st.sampled_from(["pre", "post", "batch", "group", "none"]),
        "preset": st.one_of(st.none(), st.sampled_from(sorted(PRESETS))),
        "image": st.sampled_from([8, 16]),
        "patch": st.sampled_from([2, 4]),
        "head": st.sampled_from(["unit", "softmax_ce"]),
        "input": placed_inputs(),
        "batch": st.integers(1, 2),
        "blocks": st.lists(st.integers(1, 2), min_size=1, max_size=3),
        "widths": st.lists(st.integers(1, 8), min_size=1, max_size=3),
        **_VALUES,
    }
    usual = {
        "transformer": {"depth": 1, "width": 8, "heads": 2, "tokens": 3, "vocabulary": 5},
        "resnet": {"image": 8},
    }
    given = dict(usual.get(name, {"depth": 1, "width": 4, "image": 8, "patch": 4}))
    keys = list(inspect.signature(families[name]).parameters)
    for key in draw(st.lists(st.sampled_from(keys), max_size=4, unique=True)):
        given[key] = draw(mostly(sound.get(key, st.one_of(st.booleans(), st.floats(0.1, 2.0), SIZES))))
    return families[name](**given)
