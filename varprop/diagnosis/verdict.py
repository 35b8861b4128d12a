"""Say whether a network is healthy at birth, forward and backward, and where it first goes wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from varprop._validation import check_real
from varprop.diagnosis.cases import cases, only_case
from varprop.diagnosis.findings import Finding as Finding
from varprop.diagnosis.findings import findings, title
from varprop.results.frames import sweep_columns
from varprop.results.health import LIMIT, Health, factor_text, health

if TYPE_CHECKING:
    import pandas as pd

Overall = Literal["healthy", "unhealthy", "unknown"]

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
    def health(self) -> Overall:
        """The verdict on both directions and the findings together.

        ``unknown`` where nothing speaks against the network but a direction could not be judged.
        """
        ways = {self.forward.health, self.backward.health}
        if ways & {"vanishing", "exploding"} or any(finding.grave for finding in self.findings):
            return "unhealthy"
        return "healthy" if ways == {"healthy"} else "unknown"

    @property
    def healthy(self) -> bool:
        """Whether both directions were judged healthy, and no grave finding speaks against it."""
        return self.health == "healthy"

    def sentences(self) -> list[str]:
        """Return the verdict line by line."""
        return [
            self.health,
            self.forward.sentence(),
            self.backward.sentence(),
            *(finding.text for finding in self.findings),
        ]


def diagnose_one(table: pd.DataFrame, *, limit: float = LIMIT) -> Diagnosis:
    """Judge the one case of a table.

    Parameters
    ----------
    table : DataFrame
        An audit's table, or a predicted, simulated or compared one of a spec network. What was measured
        counts, else what was predicted. In an audit the nodes that every path from input to output passes are followed.
        The directions of a spec network that is no chain are ``unknown``.
    limit : float
        Largest factor of a mean square over the whole depth that is still healthy.

    Returns
    -------
    Diagnosis

    Raises
    ------
    InputError
        If the table has several cases or no rows, lacks a column, or has a row twice.

    Examples
    --------
    >>> import varprop as vp
    >>> deep = vp.mlp([100] * 50, activation="relu", weights="lecun_normal", input=vp.half_on(100))
    >>> print(vp.diagnose_one(vp.predict(deep)).forward.sentence())
    forward: vanishing, ×1.8e-15 over 49 layers (×0.5 a layer), first at layer 2
    """
    return judge(only_case(table), _checked(limit))


def diagnose(table: pd.DataFrame, *, limit: float = LIMIT) -> pd.DataFrame:
    """Judge every case of a table.

    Parameters
    ----------
    table : DataFrame
        As for `diagnose_one`, of any number of cases.
    limit : float
        Largest factor of a mean square over the whole depth that is still healthy.

    Returns
    -------
    DataFrame
        One row per case, in the order of the table: ``case``; ``health``, one of ``healthy``, ``unhealthy`` and
        ``unknown`` (where a direction could not be judged); for both directions (here forward) ``forward``, one of
        ``healthy``, ``vanishing``, ``exploding`` and ``unknown``, ``forward_log_factor``, the natural logarithm of what
        the mean square gains over the depth, ``forward_typical``, its median factor from layer to layer, and
        ``forward_layer``, where it first goes wrong (0 if it does not); ``findings``, what else was found, in words. A
        column of `table` that is none of ours (a sweep's variable) comes along where it is the same in all rows of
        each case.

    Raises
    ------
    InputError
        If the table has no rows, lacks a column, or has a row twice.

    Examples
    --------
    >>> import varprop as vp
    >>> laws = ("he_normal", "lecun_normal")
    >>> networks = [vp.mlp("100x50", "relu", law, input=vp.half_on(100)) for law in laws]
    >>> vp.diagnose(vp.predict(networks))[["case", "health", "forward", "backward"]]
                      case     health    forward   backward
    0     he_normal · relu    healthy    healthy    healthy
    1  lecun_normal · relu  unhealthy  vanishing  vanishing
    """
    import pandas as pd

    limit = _checked(limit)
    found = [{"case": case, **_facts(judge(rows, limit))} for case, rows in cases(table).items()]
    judged = pd.DataFrame(found)
    sweep = sweep_columns(table)
    return judged.join(sweep[sweep.columns.difference(judged.columns, sort=False)], on="case")


def judge(rows: pd.DataFrame, limit: float = LIMIT) -> Diagnosis:
    """Judge the rows of one case, as `varprop.diagnosis.cases.cases` returns them."""
    course = _course(rows)
    forward = _values(course, "preactivation_second_moment")
    backward = _values(course, "gradient_preactivation")[::-1]
    return Diagnosis(
        _direction("forward", forward, limit), _direction("backward", backward, limit), findings(rows)
    )


def _checked(limit: float) -> float:
    return check_real("limit", limit, minimum=1.0, exclusive=True)


def _facts(found: Diagnosis) -> dict[str, Any]:
    facts: dict[str, Any] = {"health": found.health}
    for way in (found.forward, found.backward):
        facts |= {
            way.name: way.health,
            f"{way.name}_log_factor": way.log_factor,
            f"{way.name}_typical": way.typical,
            f"{way.name}_layer": way.layer,
        }
    return facts | {"findings": "; ".join(finding.text for finding in found.findings)}


def _course(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that make up the signal's course: of a chain all, of a spec network that is no chain none.

    From one site of a graph to the next the signal need not pass (a branch beside a stream), and a normalization is no
    step of a course: what is not judged rightly is not judged.
    """
    if ((rows["quantity"] == "gradient_squared_norm") & (rows["module"] == "")).any():
        return rows.iloc[:0]
    chosen: pd.DataFrame = rows[(rows["op"] == "") | rows["op"].isin(_STREAM)]
    return chosen[chosen["trunk"] & (chosen["parameter"] == "")]


def _values(rows: pd.DataFrame, quantity: str) -> list[tuple[int, str, float]]:
    """Return (layer, title, log value) in order of layers."""
    chosen = rows[rows["quantity"] == quantity]
    return [(int(row["layer"]), title(row), float(row["log_number"])) for row in chosen.to_dict("records")]


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
