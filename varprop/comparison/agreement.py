"""The verdict of every row of a table, by one rule."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from varprop._validation import check_real
from varprop.comparison import scales
from varprop.comparison.joining import side_by_side
from varprop.comparison.verdicts import Array, Flags, Rows, Words, judge
from varprop.results.schema import COMPARED_COLUMNS

if TYPE_CHECKING:
    import pandas as pd

SMALLEST = 1e-290
"""Below this a float64 loses digits, and its standard error too."""


def compare_frames(
    predicted: pd.DataFrame, simulated: pd.DataFrame, *, margin: float = 0.02, alpha: float = 0.05
) -> pd.DataFrame:
    """Judge each prediction by its measurement.

    Parameters
    ----------
    predicted, simulated : DataFrame
        Tables with `PREDICTED_COLUMNS` and `SIMULATED_COLUMNS`. `predicted` may have a further column
        ``allowance``: what a finite width may change, in the unit of ``value``; depth/width where it is NaN.
    margin : float
        Difference that does not matter, between 0 and 1: relative to the prediction for moments and losses,
        to the root second moment for means, to 0.5 for fractions and correlations (2 % is 0.01).
    alpha : float
        Probability, at most, of any false *differs* in the whole table.

    Returns
    -------
    DataFrame
        `COMPARED_COLUMNS`, one row for each of either table, those of `predicted` first. ``ci_low`` and
        ``ci_high`` bound the measured quantity simultaneously over the table. ``p_value`` belongs to what
        would have to be true for the row not to differ: for an exact row that the prediction is right, for
        the others that it is within margin plus allowance; ``p_adjusted`` is Holm's. ``attrs`` has
        ``alpha``, ``margin`` and the number of ``tests``.

    Raises
    ------
    InputError
        Tables that are not what they should be or have no row in common; a margin or alpha out of range.

    Notes
    -----
    ``agrees``: the interval lies inside the margin, and an exact row's test does not reject. ``differs``:
    for an exact row the test rejects; for another, the interval lies wholly outside margin plus allowance.
    ``undecided``: neither, and ``reason`` begins with why: ``noise`` (``draws_needed`` would settle it if
    the theory is right), ``finite_width`` (outside the margin, within the allowance), ``heavy_tail`` (the
    mean of the draws cannot be trusted), ``overflow`` or ``vanished`` (beyond floating point), ``not
    measured``. ``unpredicted``: there is no prediction; ``reason`` says why. What the prediction itself has
    to say follows after a colon.

    Rows that do not vary over draws (zeros, constants) are compared to rounding. A fraction that was 0 or 1
    in every draw is given the standard error of one unit in one draw.

    Examples
    --------
    >>> from varprop.results.schema import PREDICTED_COLUMNS, SIMULATED_COLUMNS, tidy
    >>> row = {"case": "he", "layer": 1, "width": 9, "quantity": "preactivation_second_moment", "value": 2.0}
    >>> theory = tidy([row | {"order": "exact"}], PREDICTED_COLUMNS)
    >>> measured = tidy([row | {"value": 2.001, "std_error": 0.002, "n_draws": 200}], SIMULATED_COLUMNS)
    >>> compare_frames(theory, measured)["verdict"].tolist()
    ['agrees']
    """
    margin = check_real("margin", margin, minimum=0.0, maximum=1.0, exclusive=True)
    alpha = check_real("alpha", alpha, minimum=0.0, maximum=1.0, exclusive=True)
    table = side_by_side(predicted, simulated)

    unit = scales.units(table)
    within = margin * unit
    skewness = scales.skewness(table)
    verdicts = judge(
        Rows(
            predicted=_numbers(table, "predicted"),
            measured=_numbers(table, "measured"),
            error=scales.standard_errors(table),
            draws=_numbers(table, "n_draws"),
            exact=(table["order"] == "exact").to_numpy(),
            within=within,
            allowance=scales.allowances(table, unit),
            rounding=scales.rounding(table, unit),
            skewness=skewness,
            worst_skewness=scales.worst_skewness(table, skewness),
            blocked=_blocked(table),
        ),
        alpha,
    )

    unpredicted = (table["predicted"].isna() & table["predicted_log"].isna()).to_numpy()
    table["std_error"] = scales.standard_errors(table)
    table["difference"] = table["measured"] - table["predicted"]
    table["margin"] = np.where(unpredicted, np.nan, within)
    for column in ("ci_low", "ci_high", "z_score", "p_value", "p_adjusted", "draws_needed"):
        table[column] = getattr(verdicts, column)
    table["verdict"] = np.where(unpredicted, "unpredicted", verdicts.verdict)
    table["reason"] = _with_notes(np.where(unpredicted, "", verdicts.reason), table, unpredicted)
    compared = table[list(COMPARED_COLUMNS)].copy()
    compared.attrs = {"alpha": alpha, "margin": margin, "tests": verdicts.tests}
    return compared


def _blocked(table: pd.DataFrame) -> Words:
    """Return why a row cannot be judged at all, ``""`` where it can."""
    said = (table["predicted_reason"] + ";" + table["measured_reason"]).str
    huge, tiny = said.contains("overflow").to_numpy(), said.contains("vanished").to_numpy()
    unknown = np.zeros(len(table), dtype=bool)
    for side in ("predicted", "measured"):
        number, log = _numbers(table, side), _numbers(table, f"{side}_log")
        huge = huge | np.isinf(number) | (np.isnan(number) & (log > 0.0))
        tiny = tiny | ((number == 0.0) & np.isfinite(log)) | ((number != 0.0) & (np.abs(number) < SMALLEST))
        unknown |= np.isnan(number)
    unmeasured = ~np.isfinite(_numbers(table, "std_error")) | (table["n_draws"] < 2).to_numpy()
    words = ["overflow", "vanished", "not measured", "noise"]
    return np.select([huge, tiny, unknown, unmeasured], words, default="").astype(object)


def _with_notes(code: Words, table: pd.DataFrame, unpredicted: Flags) -> list[str]:
    notes = table["predicted_reason"].to_numpy(dtype=object)
    notes = np.where(unpredicted & (notes == ""), "no theory for this row", notes)
    # A sampler says why it has no value; where it has one, its flags are in the code already.
    notes = np.where(code == "not measured", table["measured_reason"], notes)
    return [": ".join(part for part in pair if part) for pair in zip(code, notes, strict=True)]


def _numbers(table: pd.DataFrame, column: str) -> Array:
    return table[column].to_numpy(dtype=np.float64)
