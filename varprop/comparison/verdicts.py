"""The verdict rule, on plain arrays: one entry per row of the table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

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
    spent : array
        Part of alpha that the row's look at the data may use: 1 if the number of draws was fixed beforehand.
    first : array of int
        Place of the row that this one repeats by definition, its own where it repeats none.
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
    spent: Array
    first: npt.NDArray[np.int_]


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


def judge(rows: Rows, alpha: float, family: int = 0) -> Verdicts:
    """Apply the rule of `varprop.comparison.compare_frames` to rows that have a prediction or are blocked.

    `family` is the number of tests where that is more than those of the rows.
    """
    open_rows = rows.blocked == ""
    means, draws = rows.measured, np.maximum(rows.measured.draws, 1.0)
    # Whether draws differ is seen in their spread; a small error alone may come from many draws.
    still = means.error * np.sqrt(draws) <= _STILL * rows.rounding
    fixed = open_rows & still & ~rows.heavy & ~(rows.chance & ((means.value == 0.0) | (means.value == 1.0)))
    random = open_rows & ~fixed
    heavy = random & rows.heavy
    level = alpha * rows.spent
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
    itself = np.arange(len(z))
    first = np.where(p[rows.first] == p, rows.first, itself)
    tests = max(int((random & (first == itself)).sum()), family)
    adjusted = holm(np.where(first == itself, np.minimum(p / rows.spent, 1.0), np.nan), tests)[first]
    down, up = (np.full(len(z), np.nan) for _ in range(2))
    usable = open_rows & ~heavy
    down[usable], up[usable] = reaches(means.at(usable), level[usable])
    # Draws with heavy tails have no interval that could be trusted.
    low, high = measured - down, measured + up

    room = np.maximum(rows.within, np.where(rows.exact, rows.rounding, 0.0))
    inside = (low >= predicted - room) & (high <= predicted + room)
    beyond_margin = (low > predicted + rows.within) | (high < predicted - rows.within)
    refuted = tested & (rows.innovation <= INNOVATION_SHARE * level)
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
    noisy = reason == "noise"
    needed = np.full(len(z), np.nan)
    needed[noisy & usable] = _draws_needed(rows, difference, noisy & usable, alpha)
    return Verdicts(tests, difference, low, high, z, p, adjusted, verdict, reason, needed)


def _p_beyond(means: Means, predicted: Array, bound: Array) -> Array:
    """Return p-values of the hypothesis that the truth is within `bound` of the prediction."""
    gap = means.value - predicted
    nearest = np.clip(means.value, predicted - bound, predicted + bound)
    return np.where(np.abs(gap) <= bound, 1.0, p_values(means, nearest))


def _draws_needed(rows: Rows, difference: Array, at: Flags, alpha: float) -> Array:
    """Return the draws, fixed beforehand, with which each of the rows `at` would be settled.

    If the measured value is within its noise of the prediction the prediction is taken for right, otherwise
    the measured difference for true; the interval at level alpha has then to fit between it and the margin, with two
    standard errors to spare.
    """
    means, gap, within = rows.measured.at(at), np.abs(difference[at]), rows.within[at]
    reach = np.maximum(*reaches(means, alpha))
    room = np.abs(within - np.where(gap > reach, gap, 0.0))
    # What counts as unseen shrinks with the draws, as 1 - level^(1/draws), and has no noise of its own.
    unseen = means.fraction & ((means.value == 0.0) | (means.value == 1.0))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        counted = np.log1p(-np.minimum(reach, 1.0)) / np.log1p(-np.minimum(room, 1.0))
        ratio = np.where(unseen, counted, np.square((reach + 2.0 * means.error) / room))
        needed = np.maximum(np.ceil(means.draws * ratio), means.draws + 1.0)
    return np.where(np.isfinite(needed), needed, np.nan)
