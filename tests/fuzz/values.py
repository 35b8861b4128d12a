"""What a careless or hostile caller may pass: values of every kind, spellings, networks, tables, files."""

from __future__ import annotations

import decimal
import fractions
import io
import json
from typing import Any

import numpy as np
from hypothesis import strategies as st

import varprop as vp
from varprop import activations, initializers

NUMBERS = st.one_of(
    st.integers(-3, 40),
    st.sampled_from([2**31, 2**63, 2**64, 10**400]),
    # Whole numbers of 5000 digits, which Python refuses to print: made late, since hypothesis prints its choices.
    st.sampled_from([1, -1]).map(lambda sign: sign * 10**5000),
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([0.0, -0.0, 5e-324, 1e-310, 1e-200, 1e-100, 1e100, 1e155, 1e200, 1.7e308, -1e200]),
    st.floats(-3.0, 3.0),
)
TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["", "nan", "\x1b[31mred", "a\nb", "a\rb", "\u202eright to left", "x" * 5000, "\x00", "é" * 300]
    ),
)
THINGS = st.one_of(
    NUMBERS,
    TEXTS,
    st.none(),
    st.booleans(),
    st.binary(max_size=4),
    st.complex_numbers(),
    st.builds(decimal.Decimal, st.integers(-5, 5)),
    st.builds(fractions.Fraction, st.integers(-5, 5), st.integers(1, 5)),
    st.lists(NUMBERS, max_size=3),
    st.dictionaries(TEXTS, NUMBERS, max_size=2),
    st.builds(np.float32, st.floats(-3.0, 3.0, width=32)),
    st.builds(np.array, st.floats(-3.0, 3.0)),
    st.just(object()),
    st.just(int),
    st.just([[1.0], [1.0, 2.0]]),
    st.just(np.array([None, 1], dtype=object)),
    st.just(np.datetime64("2020-01-01")),
)
"""Any value that a Python caller may pass where another is expected."""

WORDS = st.one_of(
    st.one_of(st.integers(-3, 40), st.floats(), st.floats(-3.0, 3.0)).map(str),
    st.sampled_from(["true", "false", "fan_in", "fan_out", "normal", "9" * 5000, "1e999", "-1", "(", "="]),
)


@st.composite
def spellings(draw: st.DrawFn, registry: Any) -> str:
    """Return a registered name, with arguments that its factory knows or not, sometimes damaged."""
    import inspect

    name = draw(st.sampled_from(sorted(registry)))
    keys = [*inspect.signature(registry[name]).parameters, "unheard_of"]
    given = draw(st.dictionaries(st.sampled_from(keys), WORDS, max_size=2)) if draw(st.booleans()) else {}
    text = f"{name}({', '.join(f'{k}={v}' for k, v in given.items())})" if given else name
    if draw(st.integers(0, 19)) == 0:
        place = draw(st.integers(0, len(text)))
        text = text[:place] + draw(TEXTS) + text[place:]
    return text


ACTIVATIONS = spellings(activations.registry)
INITIALIZERS = spellings(initializers.registry)


def mostly(good: st.SearchStrategy[Any], bad: st.SearchStrategy[Any] = THINGS) -> st.SearchStrategy[Any]:
    """Return good values, now and then a bad one: a case with many bad fields stops at the first."""
    return st.integers(0, 24).flatmap(lambda n: bad if n == 0 else good)


MAGNITUDES = st.sampled_from([0.0, 1.0, 1.0, 1.0, 1e-3, 30.0, 1e-160, 1e155, 1e-300, 1e300])


@st.composite
def inputs(draw: st.DrawFn) -> Any:
    """Return small inputs: zeros, equal and mirrored examples, every order of magnitude."""
    size, batch = draw(st.integers(1, 5)), draw(st.integers(1, 3))
    kind = draw(st.integers(0, 6))
    if kind == 0:
        return vp.half_on(size)
    if kind == 1:
        return vp.gaussian(size, batch, draw(st.integers(0, 9)))
    if kind == 2:
        return vp.digits(batch, scale=draw(st.sampled_from(["unit", "raw"])))
    rows = draw(
        st.lists(st.lists(st.integers(-2, 2), min_size=size, max_size=size), min_size=batch, max_size=batch)
    )
    return vp.Input(np.array(rows, dtype=float).T * draw(MAGNITUDES), "rows", np.arange(batch))


WIDTHS = st.one_of(
    st.lists(st.integers(1, 6), min_size=1, max_size=4),
    st.sampled_from(["3x2,2", "4x30,1", "2", "5,4,3"]),
)
BAD_WIDTHS = st.one_of(
    THINGS,
    st.lists(THINGS, max_size=3),
    st.sampled_from(["0", "3x", "x3", "3x-1", "1e3", "100x1000000", "9" * 5000]),
)
HEADS = st.sampled_from(["unit", "unit", "mse", "bce", "softmax_ce", "hinge"])
TARGETS = st.one_of(st.none(), st.sampled_from([0.0, 1.0, 1, [0, 1, 0], [[0.0], [1.0]]]))


@st.composite
def networks(draw: st.DrawFn) -> Any:
    """Build a network from arguments of which most fit; raises what `varprop.mlp` raises."""
    return vp.mlp(
        draw(mostly(WIDTHS, BAD_WIDTHS)),
        draw(mostly(ACTIVATIONS)),
        draw(mostly(INITIALIZERS)),
        draw(mostly(st.one_of(st.none(), INITIALIZERS, st.just("zeros")))),
        draw(mostly(inputs())),
        output_activation=draw(mostly(st.one_of(st.just("linear"), ACTIVATIONS))),
        head=draw(mostly(HEADS)),
        targets=draw(mostly(TARGETS)),
        gain=draw(mostly(st.one_of(st.just(1.0), st.floats(1e-8, 1e8)))),
        name=draw(mostly(st.just(""), TEXTS)),
    )


@st.composite
def toml_values(draw: st.DrawFn, depth: int = 0) -> str:
    """Return the text of one TOML value."""
    kind = draw(st.integers(0, 6 if depth < 2 else 4))
    if kind == 0:
        return str(draw(st.integers(-3, 300)))
    if kind == 1:
        return str(
            draw(st.sampled_from(["nan", "inf", "-inf", "1e400", "1e200", "0.5", "-1e-320", "9" * 4400]))
        )
    if kind == 2:
        return json.dumps(draw(st.one_of(TEXTS, ACTIVATIONS, INITIALIZERS)))
    if kind == 3:
        return draw(st.sampled_from(["true", "false", "2020-01-01", "[", "{"]))
    if kind == 4:
        return json.dumps(
            draw(st.sampled_from(["half_on:10", "gaussian:4x2", "digits:3", "gaussian:4x", "unit", "3x2,1"]))
        )
    parts = draw(st.lists(toml_values(depth + 1), max_size=3))
    if kind == 5:
        return f"[{', '.join(parts)}]"
    keys = draw(st.lists(st.sampled_from(KEYS), min_size=len(parts), max_size=len(parts), unique=True))
    return "{" + ", ".join(f"{k} = {v}" for k, v in zip(keys, parts, strict=True)) + "}"


KEYS = (
    "name", "title", "draws", "seed", "alpha", "margin", "saturation_share", "input", "widths", "activation",
    "weights", "biases", "gain", "head", "output_activation", "targets", "kind", "size", "batch", "value",
    "width", "depth", "rows", "path", "labels", "standardize", "sha256", "repeat", "scale", "mystery",
)  # fmt: skip


@st.composite
def studies(draw: st.DrawFn) -> str:
    """Return the text of a study file: most lines sound, some not, now and then damaged as text."""
    lines = ['name = "fuzz"'] if draw(st.integers(0, 9)) else []
    for key in draw(st.lists(st.sampled_from(KEYS), max_size=2, unique=True)):
        lines.append(f"{key} = {draw(toml_values())}")
    for _ in range(draw(st.integers(0, 2))):
        lines.append(
            draw(
                st.sampled_from(
                    ["[[network]]", "[[network]]", "[[grid]]", "[input]", "[network]", "[[mystery]]"]
                )
            )
        )
        if draw(st.booleans()):
            lines += ['widths = "4x2,2"', f"activation = {json.dumps(draw(ACTIVATIONS))}"]
            lines += [f"weights = {json.dumps(draw(INITIALIZERS))}"]
        for key in draw(st.lists(st.sampled_from(KEYS), max_size=2, unique=True)):
            lines.append(f"{key} = {draw(toml_values())}")
    text = "\n".join(lines)
    if draw(st.integers(0, 9)) == 0:
        place = draw(st.integers(0, len(text)))
        text = text[:place] + draw(TEXTS) + text[place:]
    return text


@st.composite
def data_files(draw: st.DrawFn) -> tuple[str, bytes]:
    """Return a name and the bytes of a data file, sound or damaged."""
    kind = draw(st.sampled_from([".csv", ".npy", ".npy", ".parquet", ".txt"]))
    if kind == ".npy":
        rows = draw(
            st.sampled_from(
                [np.eye(3), np.ones((2, 2), dtype=">i4"), np.array(["a"]), np.zeros((0, 3)), np.eye(2) * 1j]
            )
        )
        buffer = io.BytesIO()
        np.save(buffer, rows)
        content = bytearray(buffer.getvalue())
        for _ in range(draw(st.integers(0, 3))):
            content[draw(st.integers(0, len(content) - 1))] = draw(st.integers(0, 255))
        if draw(st.booleans()):
            header = draw(st.sampled_from([b"(3, 3)", b"(2, 2)"]))
            content = content.replace(
                header,
                draw(st.sampled_from([b"(9**9,", b"(-1, 3)", b"(10000000000000, 3)", b"()", b"(True, 3)"])),
            )
        return f"data{kind}", bytes(
            content[: draw(st.integers(0, len(content)))] if draw(st.booleans()) else content
        )
    if kind == ".csv" and draw(st.booleans()):
        cells = draw(st.lists(st.lists(st.one_of(WORDS, TEXTS), max_size=3), max_size=4))
        return "data.csv", "\n".join(",".join(row) for row in cells).encode("utf-8", "surrogatepass")
    return f"data{kind}", draw(st.binary(max_size=60))
