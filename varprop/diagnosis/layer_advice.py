"""What to change in a dense layer: the gain that suits its activation, from the layers' rows of a table alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from varprop._validation import InputError, described
from varprop.diagnosis.gains import course, level_gain
from varprop.results.health import factor_text

if TYPE_CHECKING:
    import pandas as pd

SAME = 0.05
"""Relative difference of a standard deviation that is not worth a change."""

LAST, ZERO = "gain 1: no activation after it", "zero"


@dataclass(frozen=True)
class LevelChange:
    """The gain and bias variance for weights before an activation, the rule they follow, and what they do."""

    gain: float
    bias_variance: float
    rule: str
    effect: str


def level_change(spelling: str, sigma_w: float, sigma_b: float, depth: int) -> LevelChange:
    """Return what keeps signal and gradient level through `depth` layers of an activation, and what it is now.

    Raises
    ------
    InputError
        If no activation has this name.
    """
    if ":" in spelling:  # it would name code to import, and advice is read from tables
        raise InputError("activation", spelling, "the name of a registered activation")
    best = level_gain(spelling, depth)
    now = course(spelling, sigma_w, depth, bias_variance=sigma_b**2)
    effect = (
        f"forward {factor_text(best.forward)}, backward {factor_text(best.backward)} over {depth} layers "
        f"(now {factor_text(now.forward)}, {factor_text(now.backward)})"
    )
    return LevelChange(best.gain, best.bias_variance, _name(spelling, best.gain), effect)


def bias_reason(wanted: float) -> tuple[str, str]:
    """Return rule and effect of biases whose standard deviation is to be `wanted`."""
    if wanted:
        return "normal", "without it no gain keeps both directions level"
    return ZERO, "a random bias adds to every variance"


def layer_changes(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the changes for one case of a spec network: rows of the columns after ``case`` of `CHANGE_COLUMNS`.

    Raises
    ------
    InputError
        If the rows do not say how wide a layer's input is and how its parameters are drawn.
    """
    found: list[dict[str, Any]] = []
    for layer in rows.drop_duplicates("layer").to_dict("records"):
        if (
            layer["fan_in"] < 1
            or layer["depth"] < 1
            or not layer["sigma_w"] >= 0
            or not layer["sigma_b"] >= 0
        ):
            given = described("a table that does not say fan_in, depth, sigma_w and sigma_b of every layer")
            raise InputError("table", given, "a table of vp.predict, vp.simulate, vp.compare or vp.audit")
        found += _layer(layer)
    # Of a network whose hidden layers are as they should be the last layer alone is not what is wrong.
    return found if any(row["rule"] not in (LAST, ZERO) for row in found) else []


def _layer(layer: dict[Any, Any]) -> list[dict[str, Any]]:
    spelling, fan_in = layer["activation"], int(layer["fan_in"])
    place = {"module": f"layer {layer['layer']}", "kind": "dense", "fan_in": float(fan_in)}
    root = math.sqrt(fan_in)
    change = LevelChange(1.0, 0.0, LAST, "keeps the second moment")
    if layer["layer"] < layer["depth"] or spelling not in ("linear", ""):
        try:
            depth = max(int(layer["depth"]) - 1, 1)
            change = level_change(spelling, layer["sigma_w"], layer["sigma_b"], depth)
        except InputError:
            rule = f"no gain is known for the activation {spelling[:40]!r}"
            return [
                place | {"parameter": "weight", "now": layer["sigma_w"] / root, "rule": rule, "effect": ""}
            ]
    found = []
    if abs(layer["sigma_w"] - change.gain) > SAME * change.gain:
        found.append({
            **place, "parameter": "weight", "now": layer["sigma_w"] / root, "suggested": change.gain / root,
            "gain": change.gain, "rule": change.rule, "effect": change.effect,
        })  # fmt: skip
    wanted = math.sqrt(change.bias_variance)
    if (found or wanted) and abs(layer["sigma_b"] - wanted) > SAME * wanted:
        rule, effect = bias_reason(wanted)
        found.append(
            place | {"parameter": "bias", "now": layer["sigma_b"], "suggested": wanted}
            | {"rule": rule, "effect": effect}
        )  # fmt: skip
    return found


def _name(spelling: str, gain: float) -> str:
    if spelling == "relu":
        return "He (gain sqrt 2)"
    if spelling.startswith("leaky_relu"):
        return f"He for {spelling} (gain {gain:.4g})"
    return f"gain {gain:.4g}: best of both directions for {spelling}"
