"""Say whether a network is healthy at birth, forward and backward, and where it first goes wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from varprop.diagnosis.findings import Finding as Finding
from varprop.diagnosis.findings import findings
from varprop.results.health import LIMIT, Health, factor_text, health

if TYPE_CHECKING:
    import pandas as pd

_STREAM = frozenset(
    ("linear", "convolution", "transposed_convolution", "attention", "recurrent", "add", "opaque")
)
"""Ops whose outputs make up the signal's course; embeddings and normalisations set a level of their own."""


@dataclass(frozen=True)
class Direction:
    """The verdict on one direction.

    Attributes
    ----------
    name : {"forward", "backward"}
    health : {"healthy", "vanishing", "exploding", "unknown"}
    log_factor : float
        Natural logarithm of what the mean square gains from the first to the last layer on the way (backward: from the
        last to the first).
    steps : int
        Layers it takes for that.
    where : str
        The first layer on the way at which the step is too large for the depth; empty if healthy.
    layer : int
        Its number in the table; 0 if healthy.
    typical : float
        Median factor of the mean square from one layer to the next.
    """

    name: str
    health: Health
    log_factor: float
    steps: int
    where: str = ""
    layer: int = 0
    typical: float = math.nan

    def sentence(self) -> str:
        """Say it in words.

        Examples
        --------
        >>> Direction("forward", "vanishing", -92.1, 50, "1 (Linear)", 3, 0.16).sentence()
        'forward: vanishing, ×1e-40 over 50 layers (×0.16 a layer), first at 1 (Linear)'
        """
        if self.health == "unknown":
            return f"{self.name}: unknown, nothing to compare"
        each = f" (×{self.typical:.4g} a layer)" if math.isfinite(self.typical) else ""
        first = f", first at {self.where}" if self.where else ""
        layers = "layer" if self.steps == 1 else "layers"
        return f"{self.name}: {self.health}, {factor_text(self.log_factor)} over {self.steps} {layers}{each}{first}"


@dataclass(frozen=True)
class Diagnosis:
    """Both directions, and what else was found."""

    forward: Direction
    backward: Direction
    findings: tuple[Finding, ...] = ()

    @property
    def healthy(self) -> bool:
        """Whether neither direction nor any grave finding speaks against it; unknown is not unhealthy."""
        bad = {"vanishing", "exploding"}
        return not ({self.forward.health, self.backward.health} & bad or any(f.grave for f in self.findings))

    def sentences(self) -> list[str]:
        """Return the verdict line by line."""
        return [
            "healthy" if self.healthy else "unhealthy",
            self.forward.sentence(),
            self.backward.sentence(),
            *(finding.text for finding in self.findings),
        ]


def diagnose(frame: pd.DataFrame, *, limit: float = LIMIT) -> Diagnosis:
    """Judge one case of a table.

    Parameters
    ----------
    frame : DataFrame
        An audit's table, or a predicted, simulated or compared one of a spec network. What was measured
        counts, else what
        was predicted. In an audit the main road is followed: nodes that every path from input to output passes.
    limit : float
        Largest factor of a mean square over the whole depth that is still healthy.

    Returns
    -------
    Diagnosis

    Examples
    --------
    >>> import varprop as vp
    >>> deep = vp.mlp([100] * 50, activation="relu", weights="lecun_normal", input=vp.half_on(100))
    >>> diagnose(vp.predict(deep)).forward.health
    'vanishing'
    """
    course = _course(frame)
    forward = _values(course, "preactivation_second_moment")
    backward = _values(course, "gradient_preactivation")[::-1]
    return Diagnosis(
        _direction("forward", forward, limit), _direction("backward", backward, limit), findings(frame)
    )


def _course(frame: pd.DataFrame) -> pd.DataFrame:
    if "trunk" not in frame.columns:
        return frame
    return frame[frame["trunk"] & frame["op"].isin(_STREAM) & (frame["parameter"] == "")]


def _values(frame: pd.DataFrame, quantity: str) -> list[tuple[int, str, float]]:
    """Return (layer, title, log value) in order of layers."""
    rows = frame[frame["quantity"] == quantity].sort_values("layer")
    return [(int(row["layer"]), _title(row), _logarithm(row)) for row in rows.to_dict("records")]


def _title(row: Mapping[Any, Any]) -> str:
    if not row.get("module"):
        return f"layer {row['layer']}"
    again = f", call {row['call']}" if row["call"] > 1 else ""
    return f"{row['module']} ({row['kind']}){again}"


def _logarithm(row: Mapping[Any, Any]) -> float:
    if "measured" not in row:
        return float(row["log_value"])
    value = row["measured"]
    value = row["predicted"] if value is None or np.isnan(value) else value
    return math.log(value) if value > 0 else (-math.inf if value == 0 else math.nan)


def _direction(name: str, values: list[tuple[int, str, float]], limit: float) -> Direction:
    values = [entry for entry in values if not math.isnan(entry[2])]
    if len(values) < 2:
        return Direction(name, "unknown", math.nan, 0)
    # Zero gradients at zero output weights are a start on purpose; then there is no first value to compare with.
    steps = len(values) - 1
    start = values[0][2]
    total = (
        values[-1][2] - start if math.isfinite(start) else (math.nan if start == values[-1][2] else math.inf)
    )
    worst = max((entry[2] - start for entry in values), key=abs) if math.isfinite(start) else total
    said = total if health(total, limit) != "healthy" else worst
    state = health(said, limit)
    changes = [here[2] - before[2] for before, here in pairwise(values)]
    middle = float(np.median([change for change in changes if math.isfinite(change)] or [math.nan]))
    typical = math.exp(middle) if middle < 700 else math.inf
    if state in ("healthy", "unknown"):
        return Direction(name, state, total, steps, typical=typical)
    # The step that a limit reached evenly over the depth would take.
    even = math.log(limit) / steps
    sign = 1.0 if said > 0 else -1.0
    for before, here in pairwise(values):
        if sign * (here[2] - before[2]) > even:
            return Direction(name, state, said, steps, here[1], here[0], typical)
    return Direction(name, state, said, steps, values[-1][1], values[-1][0], typical)
