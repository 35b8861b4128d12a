"""Make suggested changes to a model for a dry run; the values are drawn afresh with every draw."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from varprop._validation import InputError


def alteration(changes: Sequence[Mapping[str, Any]]) -> Callable[[nn.Module], None]:
    """Return a function that makes `changes` (rows of ``module, parameter, suggested``) to a model in place."""
    rows = [row for row in changes if not math.isnan(float(row["suggested"]))]

    def alter(model: nn.Module) -> None:
        with torch.no_grad():
            for row in rows:
                prefix = "" if row["module"] == "(model)" else f"{row['module']}."
                name = f"{prefix}{row['parameter']}"
                try:
                    parameter = model.get_parameter(name)
                except AttributeError:
                    raise InputError("changes", name, "parameters of this model") from None
                parameter.normal_(0.0, float(row["suggested"])) if row["suggested"] else parameter.zero_()

    return alter
