"""The few torch lines that make suggested changes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

_BY_SHAPE = ("Linear", "NonDynamicallyQuantizableLinear", "Conv1d", "Conv2d", "Conv3d")
"""Kinds whose fan-in is the number of entries behind the first axis of their weight."""


def torch_lines(changes: pd.DataFrame, variable: str = "model") -> str:
    """Return Python lines that make `changes` to the torch model in `variable`; empty if there is nothing to change.

    Parameters with the same treatment share a loop. Names are written as string literals, never evaluated.

    Examples
    --------
    >>> import pandas as pd
    >>> row = {"module": "0", "kind": "Linear", "parameter": "weight", "now": 0.1, "suggested": 0.2, "gain": 2.0,
    ...        "fan_in": 100.0, "rule": "", "effect": ""}
    >>> print(torch_lines(pd.DataFrame([row, row | {"module": "2"}])))
    import torch
    <BLANKLINE>
    for name in "0.weight 2.weight".split():
        weight = model.get_parameter(name)
        torch.nn.init.normal_(weight, std=2 / weight[0].numel() ** 0.5)
    """
    treatments: dict[str, list[str]] = {}
    for row in changes.to_dict("records"):
        if not math.isnan(row["suggested"]):
            treatments.setdefault(_treatment(row), []).append(full_name(row))
    body: list[str] = []
    for treatment, names in treatments.items():
        body += [
            f"for name in {_listed(names)}:",
            f"    weight = {variable}.get_parameter(name)",
            f"    {treatment}",
        ]
    return "\n".join(["import torch", "", *body]) if body else ""


def full_name(row: Mapping[Any, Any]) -> str:
    """Return the parameter's name in the whole model."""
    return str(row["parameter"]) if row["module"] == "(model)" else f"{row['module']}.{row['parameter']}"


def _treatment(row: Mapping[Any, Any]) -> str:
    if row["suggested"] == 0.0:
        return "torch.nn.init.zeros_(weight)"
    shaped = row["kind"] in _BY_SHAPE and str(row["parameter"]).endswith("weight")
    if shaped and row["rule"].startswith("He (") and abs(row["gain"] - math.sqrt(2)) < 1e-9:
        return 'torch.nn.init.kaiming_normal_(weight, nonlinearity="relu")'
    if shaped:
        return f"torch.nn.init.normal_(weight, std={row['gain']:.6g} / weight[0].numel() ** 0.5)"
    return f"torch.nn.init.normal_(weight, std={row['suggested']:.6g})"


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    if any(not name.isprintable() or " " in name or '"' in name or "\\" in name for name in names):
        return repr(names)
    return f'"{" ".join(names)}".split()'
