"""The verdict rule, on plain arrays: one entry per row of the table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from varprop.comparison.intervals import HEAVIEST, critical_value, half_widths, steepness, two_sided_p
from varprop.comparison.joining import Array, Flags, Words
from varprop.comparison.multiplicity import holm


@dataclass(frozen=True)
class Rows:
    """What the rule needs to know of each row.

    Attributes
    ----------
    predicted, measured, error, draws : array
        The two values, the standard error of the measured one, and the number of network draws.
    exact : array of bool
        Whether the prediction is exact at any width.
    within, allowance : array
        Difference that does not matter, and what a finite width may do beside, both absolute.
    rounding : array
        Difference that floating-point arithmetic alone can make.
    skewness, worst_skewness : array
        Of one draw: for intervals, and (not below it in size) for deciding whether the mean can be trusted.
    blocked : array of str
        Why the row cannot be judged, ``""`` where it can.
    """

    predicted: Array
    measured: Array
    error: Array
    draws: Array
    exact: Flags
    within: Array
    allowance: Array
    rounding: Array
    skewness: Array
    worst_skewness: Array
    blocked: Words


@dataclass(frozen=True)
class Verdicts:
    """What the rule says of each row; the names are the table's columns, ``tests`` the size of the family."""

    tests: int
    difference: Array
    ci_low: Array
    ci_high: Array
    z_score: Array
    p_value: Array
    p_adjusted: Array
    verdict: Words
    reason: Words
    draws_needed: Array


def judge(rows: Rows, alpha: float) -> Verdicts:
    """Apply the rule of `varprop.comparison.compare_frames` to rows that have a prediction or are blocked."""
    open_rows = rows.blocked == ""
    fixed = open_rows & (rows.error <= 0.1 * rows.rounding)
    random = open_rows & ~fixed
    tests = int(random.sum())
    quantile = critical_value(alpha, tests, rows.draws)
    draws = np.maximum(rows.draws, 1.0)
    heavy = random & (steepness(rows.worst_skewness, draws) * quantile > HEAVIEST)
    tested = random & ~heavy

    bound = np.where(rows.exact, 0.0, rows.within + rows.allowance)
    # Rows beyond floating point have infinities; NaN passes every step below without a claim.
    predicted = np.where(open_rows, rows.predicted, np.nan)
    measured = np.where(np.isfinite(rows.measured), rows.measured, np.nan)
    difference = measured - predicted
    error = np.where(heavy, np.nan, rows.error)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(random, difference / rows.error, np.nan)
        beyond = np.sign(difference) * np.maximum(np.abs(difference) - bound, 0.0) / rows.error
    p = np.full(len(z), np.nan)
    p[tested] = two_sided_p(beyond[tested], rows.skewness[tested], draws[tested])
    adjusted = holm(p)
    down, up = half_widths(quantile, rows.skewness, draws)
    # Draws with heavy tails have no interval that could be trusted.
    low, high = measured - down * error, measured + up * error

    inside = (low >= predicted - rows.within) & (high <= predicted + rows.within)
    beyond_margin = (low > predicted + rows.within) | (high < predicted - rows.within)
    beyond_bound = (low > predicted + bound) | (high < predicted - bound)
    differs = tested & np.where(rows.exact, adjusted <= alpha, beyond_bound)
    agrees = tested & inside & ~differs
    # Without randomness there is nothing to test, and an exact prediction must be met to rounding.
    same = np.abs(difference) <= rows.rounding
    differs |= fixed & ~same & (np.abs(difference) > bound)
    agrees |= fixed & (same | (inside & ~rows.exact))

    reason = np.select(
        [agrees | differs, heavy, open_rows & beyond_margin & ~rows.exact, random],
        ["", "heavy_tail", "finite_width", "noise"],
        default=rows.blocked,
    ).astype(object)
    verdict = np.select([differs, agrees], ["differs", "agrees"], default="undecided").astype(object)
    needed = np.where(reason == "noise", _draws_needed(rows, difference, quantile), np.nan)
    return Verdicts(tests, difference, low, high, z, p, adjusted, verdict, reason, needed)


def _draws_needed(rows: Rows, difference: Array, quantile: Array) -> Array:
    """Return the draws with which the row would be settled.

    If the measured value is within its noise of the prediction the prediction is taken for right, otherwise
    the measured difference for true; the interval has then to fit between it and the margin, with two
    standard errors to spare.
    """
    real = np.abs(difference) > quantile * rows.error
    room = np.abs(rows.within - np.where(real, np.abs(difference), 0.0))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        needed = rows.draws * ((quantile + 2.0) * rows.error / room) ** 2
    return np.where(np.isfinite(needed), np.maximum(np.ceil(needed), rows.draws + 1.0), np.nan)
