"""What an adapter writes down while a model runs, draw by draw, and the table it becomes.

The network draw is the replicate: every estimate is a mean over draws, every standard error comes from draws
alone. With a single draw there is no interval, and none is made up.
"""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from varprop.results.audit_schema import MEASURED_COLUMNS, audit_frame
from varprop.spec.traced import Graph, Node

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
Key = tuple[int, str, str]
"""Node index, parameter ("" for the output), quantity."""

COVERAGE = 0.95
SHARE_DISAGREEING = "a mean over {n} draws of which the largest holds more than half: heavy_tail"


@dataclass(frozen=True)
class InputMoments:
    """The model's input as numbers.

    Attributes
    ----------
    array : ndarray, shape (examples, …)
        The values.
    mean, second_moment : ndarray, shape (examples,)
    data_variance : float
        Variance over examples of each entry, averaged (NaN for one example).
    """

    array: Array
    mean: Array
    second_moment: Array
    data_variance: float


@dataclass
class Recording:
    """Per-draw values of one model.

    Attributes
    ----------
    values : dict
        From (node, parameter, quantity) to one value a draw.
    moments : dict
        From node to pairs of arrays (mean, second moment), one entry per example, one pair a draw.
    facts : dict
        From (node, quantity) to a number that no draw changes (a fan).
    laws : dict
        From (node, parameter) to the spelling of the law its entries follow.
    source : InputMoments or None
        Moments of the model's floating input.
    tokens : ndarray or None, shape (examples, tokens)
        The model's only input, if it consists of whole numbers.
    axis : int
        Of the examples.
    examples : int
        Examples of the batch.
    copies : list of tuple of str
        Groups of parameters that are born with the same values.
    loss_start : (float, str) or None
        What the loss of an uninformed model is, and why, if the loss could be recognised.
    notes : list of str
        What the reader must know: modules not drawn afresh, functions not seen, conversions made.
    """

    case: str
    graph: Graph = field(default_factory=lambda: Graph(()))
    values: dict[Key, list[float]] = field(default_factory=dict)
    moments: dict[int, list[tuple[Array, Array]]] = field(default_factory=dict)
    facts: dict[Key, float] = field(default_factory=dict)
    laws: dict[tuple[int, str], str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    source: InputMoments | None = None
    tokens: Array | None = None
    axis: int = 0
    examples: int = 1
    copies: list[tuple[str, ...]] = field(default_factory=list)
    loss_start: tuple[float, str] | None = None

    def add(self, index: int, quantity: str, value: float, parameter: str = "") -> None:
        """Note one draw's `value`."""
        self.values.setdefault((index, parameter, quantity), []).append(value)

    def add_moments(self, index: int, mean: Array, second: Array) -> None:
        """Note one draw's first and second moments of a node's output, per example, over its units."""
        self.moments.setdefault(index, []).append((mean, second))

    def note(self, text: str) -> None:
        """Add a note once."""
        if text not in self.notes:
            self.notes.append(text)

    def frame(self, graph: Graph | None = None, attrs: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Return the measured table."""
        graph = graph or self.graph
        return audit_frame(self._rows(graph), MEASURED_COLUMNS, attrs)

    def _rows(self, graph: Graph) -> Iterator[dict[str, Any]]:
        by_node: dict[int, list[Key]] = {}
        for key in sorted(self.values, key=lambda key: (key[0], key[1] != "", key[1])):
            by_node.setdefault(key[0], []).append(key)
        fixed: dict[int, list[Key]] = {}
        for key in self.facts:
            fixed.setdefault(key[0], []).append(key)
        for node in graph.nodes:
            place = _place(self.case, node, graph)
            place["weights"] = self.laws.get((node.index, "weight"), "")
            place["biases"] = self.laws.get((node.index, "bias"), "")
            if node.index in self.moments:
                quantity = "preactivation_variance"
                yield {**place, "quantity": quantity, **variance(self.moments[node.index])}
            for key in by_node.get(node.index, ()):
                law = {"weights": self.laws[key[:2]]} if key[1] and key[:2] in self.laws else {}
                found = estimate(self.values[key])
                yield {**place, "parameter": key[1], "quantity": key[2], **law, **found}
            for key in fixed.get(node.index, ()):
                yield {**place, "parameter": key[1], "quantity": key[2], **_number(self.facts[key])}


def estimate(draws: list[float]) -> dict[str, Any]:
    """Estimate a mean from one value a draw, with a Student interval over draws.

    Examples
    --------
    >>> found = estimate([1.0, 2.0, 3.0])
    >>> found["value"], round(found["std_error"], 4), found["n_draws"]
    (2.0, 0.5774, 3)
    """
    # Plain arithmetic: a table has thousands of rows of a few draws each, and NumPy's calls would cost more.
    count, mean = len(draws), math.fsum(draws) / len(draws)
    error = math.nan
    if count > 1:
        error = math.sqrt(math.fsum((draw - mean) ** 2 for draw in draws) / (count * (count - 1)))
    heavy = count > 2 and max(draws) > 0.5 * math.fsum(map(abs, draws)) > 0
    found = _interval(mean, error, count)
    found["median"] = statistics.median(draws)
    found["reason"] = SHARE_DISAGREEING.format(n=count) if heavy else found["reason"]
    return found


def variance(draws: list[tuple[Array, Array]]) -> dict[str, Any]:
    """Estimate Var[z] at a fixed example, averaged over units and examples.

    First and second moments are pooled over units and draws before the square is taken, so that the variance
    of the draws' own means counts; the bias of that square and the standard error come from the jackknife over
    draws. One draw alone gives the variance over its units.
    """
    first = np.stack([mean for mean, _ in draws])
    second = np.stack([square for _, square in draws])
    count = len(draws)
    whole = float(np.mean(second.mean(0) - first.mean(0) ** 2))
    if count == 1:
        return _interval(whole, math.nan, 1) | {"median": whole}
    kept_first = (first.sum(0) - first) / (count - 1)
    kept_second = (second.sum(0) - second) / (count - 1)
    left_out = (kept_second - kept_first**2).mean(axis=1)
    value = count * whole - (count - 1) * float(left_out.mean())
    error = math.sqrt((count - 1) * float(left_out.var()))
    return _interval(value, error, count) | {"median": float(np.median((second - first**2).mean(axis=1)))}


def _interval(value: float, error: float, count: int) -> dict[str, Any]:
    low = high = math.nan
    if count > 1:
        reach = _quantile(count) * error
        low, high = value - reach, value + reach
    return {
        **_number(value),
        "std_error": error,
        "ci_low": low,
        "ci_high": high,
        "n_draws": count,
        "sampler": "model",
        "estimator": "plain",
        "reason": "" if count > 1 else "a single draw: no interval",
    }


@functools.lru_cache(maxsize=1024)
def _quantile(count: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(count - 1, 0.5 + COVERAGE / 2))


def _number(value: float) -> dict[str, Any]:
    logarithm = math.log(value) if value > 0 else (-math.inf if value == 0 else math.nan)
    return {"value": value, "log_value": logarithm}


def _place(case: str, node: Node, graph: Graph) -> dict[str, Any]:
    return {
        "case": case,
        "activation": node.attributes.get("activation", "") or graph.activation_after(node.index),
        "layer": node.index,
        "width": int(node.attributes.get("width", 0)),
        "module": node.module,
        "kind": node.kind,
        "op": node.op,
        "call": node.call,
        "sources": " ".join(map(str, node.sources)),
        "trunk": node.index in graph.trunk,
    }
