"""The few torch lines that make suggested changes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def torch_lines(changes: pd.DataFrame, variable: str = "model") -> str:
    """Return Python lines that make `changes` to the torch model in `variable`; empty if there is nothing to change.

    Changes with the same gain are one loop. A module's path is written as a string literal, never evaluated.

    Examples
    --------
    >>> import pandas as pd
    >>> row = {"module": "0", "kind": "Linear", "parameter": "weight", "now": 0.1, "suggested": 0.2, "gain": 2.0,
    ...        "fan_in": 100.0, "rule": "", "effect": ""}
    >>> print(torch_lines(pd.DataFrame([row])))
    import torch
    <BLANKLINE>
    with torch.no_grad():
        for name, fan_in in {'0.weight': 100}.items():
            torch.nn.init.normal_(model.get_parameter(name), std=2 / fan_in**0.5)
    """
    body: list[str] = []
    weights: dict[float, dict[str, float]] = {}
    zeros: list[str] = []
    for row in changes.to_dict("records"):
        if math.isnan(row["suggested"]):
            continue
        if row["suggested"] == 0.0:
            zeros.append(full_name(row))
        else:
            weights.setdefault(float(f"{row['gain']:.6g}"), {})[full_name(row)] = row["fan_in"]
    for gain, names in weights.items():
        listed = ", ".join(f"{name!r}: {fan_in:g}" for name, fan_in in names.items())
        body.append(f"    for name, fan_in in {{{listed}}}.items():")
        body.append(f"        torch.nn.init.normal_({variable}.get_parameter(name), std={gain:g} / fan_in**0.5)")
    if zeros:
        body.append(f"    for name in {tuple(zeros)!r}:")
        body.append(f"        torch.nn.init.zeros_({variable}.get_parameter(name))")
    return "\n".join(["import torch", "", "with torch.no_grad():", *body]) if body else ""


def full_name(row: dict[str, Any]) -> str:
    """Return the parameter's name in the whole model."""
    return row["parameter"] if row["module"] == "(model)" else f"{row['module']}.{row['parameter']}"
