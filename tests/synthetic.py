"""Small made-up tables for tests of figures and reports: no engine, known shapes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from varprop.montecarlo.histograms import Histogram
from varprop.results.schema import (
    COMPARED_COLUMNS,
    PREDICTED_COLUMNS,
    QUANTITIES,
    SIMULATED_COLUMNS,
    tidy,
)

CASES = ("standard_normal · tanh", "lecun_normal · tanh", "he_normal · tanh")


def _value(quantity: str, case: int, layer: int, depth: int) -> float:
    kind = QUANTITIES[quantity].kind
    factor = (1.6, 0.9, 1.05)[case % 3]
    if quantity == "preactivation_mean":
        return 0.0
    if quantity == "gradient_preactivation":
        return factor ** (depth - layer)
    if kind == "moment":
        return 0.8 * factor**layer
    return min(1.0, 0.1 * layer * factor) if kind == "fraction" else 0.3


def predicted(cases: Sequence[str] = CASES, depth: int = 10) -> pd.DataFrame:
    rows = []
    for i, case in enumerate(cases):
        for layer in range(1, depth + 1):
            for quantity in QUANTITIES:
                value = _value(quantity, i, layer, depth)
                rows.append(_key(case, layer, quantity) | _values(value) | {"order": "infinite"})
    return tidy(rows, PREDICTED_COLUMNS)


def simulated(cases: Sequence[str] = CASES, depth: int = 10, error: float = 0.01) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = []
    for i, case in enumerate(cases):
        for layer in range(1, depth + 1):
            for quantity in QUANTITIES:
                value = _value(quantity, i, layer, depth)
                half = error * (abs(value) or 1.0)
                value += half * rng.standard_normal()
                rows.append(
                    _key(case, layer, quantity)
                    | _values(value)
                    | {"std_error": half, "ci_low": value - 2 * half, "ci_high": value + 2 * half}
                    | {"median": value, "n_draws": 200, "sampler": "dense", "estimator": "plain"}
                )
    return tidy(rows, SIMULATED_COLUMNS)


def compared(cases: Sequence[str] = CASES, depth: int = 10) -> pd.DataFrame:
    rows = []
    left, right = predicted(cases, depth), simulated(cases, depth)
    verdicts = ("agrees", "agrees", "agrees", "undecided", "differs", "unpredicted")
    for i, (p, m) in enumerate(zip(left.to_dict("records"), right.to_dict("records"), strict=True)):
        verdict = verdicts[i % len(verdicts)]
        rows.append(
            {
                k: p[k]
                for k in ("case", "activation", "weights", "biases", "layer", "width", "quantity", "order")
            }
            | {k: m[k] for k in ("std_error", "ci_low", "ci_high")}
            | {"predicted": p["value"] if verdict != "unpredicted" else math.nan, "measured": m["value"]}
            | {"difference": m["value"] - p["value"], "margin": 0.02 * (abs(p["value"]) or 1.0)}
            | {"verdict": verdict, "reason": "noise" if verdict == "undecided" else "", "draws_needed": 900.0}
        )
    return tidy(rows, COMPARED_COLUMNS)


def histograms(cases: Sequence[str] = CASES, depth: int = 10) -> tuple[Histogram, ...]:
    rng = np.random.default_rng(1)
    found = []
    for i, case in enumerate(cases):
        for layer in range(1, depth + 1):
            spread = math.sqrt(_value("preactivation_variance", i, layer, depth))
            edges = np.concatenate([[-np.inf], np.linspace(-5 * spread, 5 * spread, 101), [np.inf]])
            found.append(
                Histogram(case, layer, edges, np.histogram(spread * rng.standard_normal(20000), edges)[0])
            )
    return tuple(found)


def _key(case: str, layer: int, quantity: str) -> dict[str, object]:
    weights = case.split(" · ")[0]
    return {
        "case": case,
        "activation": "tanh",
        "weights": weights,
        "biases": "zeros",
        "layer": layer,
        "width": 256,
        "quantity": quantity,
    }


def _values(value: float) -> dict[str, float]:
    return {"value": value, "log_value": math.log(value) if value > 0 else math.nan}
