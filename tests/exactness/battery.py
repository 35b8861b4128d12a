"""Hold every exact row of random networks against the referee: in the suite in small, by ``make battery`` at large."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from tests.exactness.judging import BACKWARD, FRACTIONS, LOPSIDED, SCREEN, Judgement, holm, judge
from tests.exactness.networks import network
from tests.exactness.referee import Case, Row, draw
from varprop.analytic import predict_network

SIZES = ("preactivation_second_moment", "gradient_preactivation", "gradient_input")


@dataclass(frozen=True)
class Finding:
    """One exact row of one network: what theory says and what the draws say.

    Attributes
    ----------
    judgement : Judgement
        Of the fresh draws if the row failed the screen (`again`), else of the first ones.
    """

    case: Case
    row: Row
    predicted: float
    judgement: Judgement
    again: bool = False


def predictions(case: Case) -> pd.DataFrame:
    """Return theory's table."""
    return predict_network(network(case))


def exact_rows(table: pd.DataFrame) -> dict[Row, float]:
    """Return the exact rows of a table, those that a double can hold."""
    exact = table[(table["order"] == "exact") & np.isfinite(table["value"])]
    return {(int(r.layer), str(r.quantity)): float(r.value) for r in exact.itertuples()}


def examine(case: Case, rows: dict[Row, float], draws: int, fresh: int, seed: int) -> list[Finding]:
    """Return the finding of every row: screened with `draws`, drawn again with `fresh` where that fails.

    The screen also judges lopsided draws: it decides only what is drawn again.
    """
    first = _judged(case, rows, draws, [seed, 1], 20.0 * LOPSIDED)
    doubtful = {f.row: f.predicted for f in first if f.judgement.p < SCREEN}
    if not doubtful:
        return first
    second = {f.row: replace(f, again=True) for f in _judged(case, doubtful, fresh, [seed, 2], LOPSIDED)}
    return [second.get(f.row, f) for f in first]


def failures(findings: list[Finding]) -> list[Finding]:
    """Return the rows that fresh draws refute, at the family-wise error rate `ALPHA` over all of them."""
    again = [f for f in findings if f.again and not math.isnan(f.judgement.p)]
    return [f for f, bad in zip(again, holm([f.judgement.p for f in again]), strict=True) if bad]


def _judged(
    case: Case, rows: dict[Row, float], draws: int, seed: list[int], lopsided: float
) -> list[Finding]:
    measured = {*rows, *((number, name) for number, _ in enumerate(case.layers, start=1) for name in SIZES)}
    found = draw(case, draws, seed, measured)
    sizes = {row: float(x.mean()) for row, x in found.items() if row[1] in SIZES}
    return [
        Finding(case, row, value, judge(case, row, value, found[row], _rounding(row, sizes), lopsided))
        for row, value in rows.items()
    ]


def _rounding(row: Row, sizes: dict[Row, float]) -> float:
    """Return what rounding may do to a row that is a difference of larger terms."""
    number, name = row
    square = sizes[number, SIZES[0]]
    if name in BACKWARD:
        # Gradients may cancel in a sum: a squared rounding error of the largest.
        return 1e-26 * max(size for (_, of), size in sizes.items() if of != SIZES[0])
    of = {"preactivation_mean": math.sqrt(square), "preactivation_variance": square, "data_variance": square}
    # Correlations and fractions are means of numbers up to 1; the former are differences of squares of other sizes.
    return 1e-13 * of.get(name, 100.0 if name in {"correlation", *FRACTIONS} else 0.0)
