"""The verdict rule, on plain arrays: one entry per row of the table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from varprop.comparison.joining import Array, Flags, Words
from varprop.comparison.multiplicity import holm
from varprop.results.intervals import Means, p_values, reaches

INNOVATION_SHARE = 0.1
"""Part of alpha that goes to the innovations of control estimates."""

_STILL = 1e-3
"""Spread over draws, in units of what rounding does to single precision, up to which nothing varies."""


@dataclass(frozen=True)
class Rows:
    """What the rule needs to know of each row.

    Attributes
    ----------
    predicted : array
    measured, plain : Means
        The estimate, and the plain mean that stands beside a controlled one.
    beside : array of bool
        Whether the plain mean is to be tested too.
    exact : array of bool
        Whether the prediction is exact at any width.
    within, allowance : array
        Difference that does not matter, and what a finite width may do beside, both absolute.
    rounding : array
        Difference that floating-point arithmetic alone can make.
    chance : array of bool
        Whether the row is a fraction that varies if the prediction is right.
    heavy : array of bool
        Whether few draws decide the mean.
    innovation : array
        p-value of the innovations that the row rests on, NaN where it rests on none.
    blocked : array of str
        Why the row cannot be judged, ``""`` where it can.
    """

    predicted: Array
    measured: Means
    plain: Means
    beside: Flags
    exact: Flags
    within: Array
    allowance: Array
    rounding: Array
    chance: Flags
    heavy: Flags
    innovation: Array
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
    means, draws = rows.measured, np.maximum(rows.measured.draws, 1.0)
    # Whether draws differ is seen in their spread; a small error alone may come from many draws.
    still = means.error * np.sqrt(draws) <= _STILL * rows.rounding
    fixed = open_rows & still & ~rows.heavy & ~(rows.chance & ((means.value == 0.0) | (means.value == 1.0)))
    random = open_rows & ~fixed
    heavy = random & rows.heavy
    tests = int(random.sum())
    level = alpha / max(tests, 1)
    tested = random & ~heavy

    bound = np.where(rows.exact, rows.rounding, rows.within + rows.allowance)
    # Rows beyond floating point have infinities; NaN passes every step below without a claim.
    predicted = np.where(open_rows, rows.predicted, np.nan)
    measured = np.where(np.isfinite(means.value), means.value, np.nan)
    difference = measured - predicted
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(random & (means.error > 0), difference / means.error, np.nan)
    p = np.full(len(z), np.nan)
    p[tested] = _p_beyond(means.at(tested), predicted[tested], bound[tested])
    twice = tested & rows.beside
    p[twice] = np.minimum(p[twice], _p_beyond(rows.plain.at(twice), predicted[twice], bound[twice]))
    p[twice] = np.minimum(2.0 * p[twice], 1.0)
    adjusted = holm(p)
    down, up = (np.full(len(z), np.nan) for _ in range(2))
    usable = open_rows & ~heavy
    down[usable], up[usable] = reaches(means.at(usable), level)
    # Draws with heavy tails have no interval that could be trusted.
    low, high = measured - down, measured + up

    room = np.maximum(rows.within, np.where(rows.exact, rows.rounding, 0.0))
    inside = (low >= predicted - room) & (high <= predicted + room)
    beyond_margin = (low > predicted + rows.within) | (high < predicted - rows.within)
    refuted = tested & (rows.innovation <= INNOVATION_SHARE * alpha)
    differs = (tested & (adjusted <= alpha)) | refuted
    agrees = tested & inside & ~differs
    # Without randomness there is nothing to test, and an exact prediction must be met to rounding.
    same = np.abs(difference) <= rows.rounding
    differs |= fixed & ~same & (np.abs(difference) > bound)
    agrees |= fixed & (same | (inside & ~rows.exact))

    reason = np.select(
        [refuted, agrees | differs, heavy, open_rows & beyond_margin & ~rows.exact, random],
        ["innovations", "", "heavy_tail", "finite_width", "noise"],
        default=rows.blocked,
    ).astype(object)
    verdict = np.select([differs, agrees], ["differs", "agrees"], default="undecided").astype(object)
    needed = np.where(reason == "noise", _draws_needed(rows, difference, np.maximum(down, up)), np.nan)
    return Verdicts(tests, difference, low, high, z, p, adjusted, verdict, reason, needed)


def _p_beyond(means: Means, predicted: Array, bound: Array) -> Array:
    """Return p-values of the hypothesis that the truth is within `bound` of the prediction."""
    gap = means.value - predicted
    nearest = np.clip(means.value, predicted - bound, predicted + bound)
    return np.where(np.abs(gap) <= bound, 1.0, p_values(means, nearest))


def _draws_needed(rows: Rows, difference: Array, reach: Array) -> Array:
    """Return the draws with which the row would be settled.

    If the measured value is within its noise of the prediction the prediction is taken for right, otherwise
    the measured difference for true; the interval has then to fit between it and the margin, with two
    standard errors to spare.
    """
    real = np.abs(difference) > reach
    room = np.abs(rows.within - np.where(real, np.abs(difference), 0.0))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = (reach + 2.0 * rows.measured.error) / room
        # What counts as unseen shrinks with the draws, a standard error with their root.
        unseen = rows.measured.fraction & ((rows.measured.value == 0.0) | (rows.measured.value == 1.0))
        needed = rows.measured.draws * np.where(unseen, ratio, np.square(ratio))
    return np.where(np.isfinite(needed), np.maximum(np.ceil(needed), rows.measured.draws + 1.0), np.nan)
