"""The verdict of every row of a table, by one rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from varprop._validation import check_real
from varprop.comparison import scales
from varprop.comparison.duplicates import first_of_each
from varprop.comparison.joining import Flags, Pairs, Words, side_by_side
from varprop.comparison.minimal import completed, is_minimal
from varprop.comparison.verdicts import Rows, judge
from varprop.results.intervals import is_heavy
from varprop.results.schema import COMPARED_COLUMNS, table

if TYPE_CHECKING:
    import pandas as pd

SMALLEST = 1e-290
"""Below this a float64 loses digits, and its standard error too."""


@dataclass(frozen=True)
class Family:
    """The tests of a whole table, of which some rows are judged.

    Attributes
    ----------
    tests, cases : int
        Number of statements that are tested, and of networks.
    """

    tests: int
    cases: int


@np.errstate(over="ignore")  # what overflows is an infinite reach, and the row is undecided
def compare_frames(
    predicted: pd.DataFrame,
    simulated: pd.DataFrame,
    *,
    margin: float = 0.02,
    alpha: float = 0.05,
    family: Family | None = None,
) -> pd.DataFrame:
    """Judge each prediction by its measurement.

    Parameters
    ----------
    predicted, simulated : DataFrame
        Tables with `PREDICTED_COLUMNS` and `SIMULATED_COLUMNS`. `predicted` may have a further column
        ``allowance``: what a finite width may change, in the unit of ``value``; depth/width where it is NaN.
        A formula of one's own needs no more than ``layer``, ``quantity`` and ``value``
        (`varprop.comparison.minimal.completed`).
    margin : float
        Difference that does not matter, between 0 and 1: relative to the prediction for moments and losses,
        to the root second moment for means, to 0.5 for fractions and correlations (2 % is 0.01).
    alpha : float
        Probability, at most, of any false *differs* in the whole table; and that a row's interval misses.
    family : Family, optional
        Of what the tables are a part; they are the whole if it is not given.

    Returns
    -------
    DataFrame
        `COMPARED_COLUMNS`, one row for each of either table, those of `predicted` first. ``ci_low`` and
        ``ci_high`` bound the measured quantity of this row, with probability 1 - alpha. ``p_value`` belongs to what
        would have to be true for the row not to differ: for an exact row that the prediction is right, for
        the others that it is within margin plus allowance; ``p_adjusted`` is Holm's over the table. ``draws_needed``
        is a number of draws that would settle the row; `draws_to_settle` adds them up. ``attrs`` has ``alpha``,
        ``margin`` and the number of ``tests``. A column that is none of ours (a sweep's variable) comes along.

    Raises
    ------
    InputError
        Tables that are not what they should be or have no row in common; a margin or alpha out of range.

    Notes
    -----
    ``differs``: Holm's procedure rejects, at level alpha over the table, that the prediction is right (an exact row)
    or that it is within margin plus allowance (another). ``agrees``: otherwise, if the row's own two-sided interval
    lies inside the margin. To claim that *all* such rows agree needs no correction: the claim is false only if some
    row's is, whose interval alone had to fail (an intersection-union test; R. L. Berger, Technometrics 24 (1982)
    295-300).
    ``undecided``: neither, and ``reason`` begins with why: ``noise`` (``draws_needed`` would settle it if
    the theory is right), ``finite_width`` (outside the margin, within the allowance), ``heavy_tail`` (the
    mean of the draws cannot be trusted), ``overflow`` or ``vanished`` (beyond floating point), ``not
    measured``. ``unpredicted``: there is no prediction; ``reason`` says why. What the prediction itself has
    to say follows after a colon.

    Rows that do not vary over draws (zeros, constants) are compared to rounding and are not among the tests; neither
    are rows that repeat another by definition (`varprop.comparison.duplicates`). A fraction that was 0 or 1
    in every draw, though the prediction is neither, is judged by the number of draws (Clopper and Pearson).
    At look k (column ``look``) of a case whose number of draws was not fixed beforehand, alpha is alpha/2^k, for
    Holm's procedure and for the row's interval: all looks together use up no more than alpha.
    Where a row was measured by control variates, the plain mean beside it is tested too (the p-value is twice the
    smaller one), and so are the innovations it rests on, at alpha/10: whichever rejects, the row differs.

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
    alpha = check_real("alpha", alpha, minimum=1e-12, maximum=1.0, exclusive=True)
    if is_minimal(predicted):
        predicted = completed(predicted, simulated)
    pairs = side_by_side(predicted, simulated)
    unit = scales.units(pairs)
    measured = scales.means(pairs)
    rows = Rows(
        predicted=pairs.predicted,
        measured=measured,
        plain=scales.plain_means(pairs),
        beside=_beside(pairs),
        exact=pairs.order == "exact",
        within=margin * unit,
        allowance=scales.allowances(pairs, unit),
        rounding=scales.rounding(pairs, unit),
        chance=(pairs.kind == "fraction") & (pairs.predicted > 0.0) & (pairs.predicted < 1.0),
        heavy=scales.heavy(pairs),
        innovation=pairs.innovation_p
        * (len(set(pairs.description["case"])) if family is None else family.cases),
        blocked=_blocked(pairs),
        spent=0.5**pairs.look,
        first=first_of_each(pairs),
    )
    verdicts = judge(rows, alpha, 0 if family is None else family.tests)
    columns = {
        **pairs.description,
        "predicted": pairs.predicted,
        "measured": pairs.measured,
        "std_error": pairs.std_error,
        "ci_low": verdicts.ci_low,
        "ci_high": verdicts.ci_high,
        "difference": verdicts.difference,
        "z_score": verdicts.z_score,
        "p_value": verdicts.p_value,
        "p_adjusted": verdicts.p_adjusted,
        "margin": np.where(pairs.unpredicted, np.nan, rows.within),
        "order": pairs.order,
        "verdict": np.where(pairs.unpredicted, "unpredicted", verdicts.verdict),
        "reason": _reasons(pairs, verdicts.reason),
        "n_draws": pairs.draws,
        "look": pairs.look,
        "draws_needed": verdicts.draws_needed,
    }
    frame = table(columns, COMPARED_COLUMNS, {"alpha": alpha, "margin": margin, "tests": verdicts.tests})
    for name, values in pairs.further.items():
        frame[name] = values
    return frame


def _blocked(pairs: Pairs) -> Words:
    """Return why a row cannot be judged at all, ``""`` where it can."""
    said = [
        f"{ours};{theirs}" for ours, theirs in zip(pairs.predicted_reason, pairs.measured_reason, strict=True)
    ]
    huge = np.array(["overflow" in words for words in said], dtype=bool)
    tiny = np.array(["vanished" in words for words in said], dtype=bool)
    unknown = np.zeros(len(pairs), dtype=bool)
    for number, log in ((pairs.predicted, pairs.predicted_log), (pairs.measured, pairs.measured_log)):
        huge |= np.isinf(number) | (np.isnan(number) & (log > 0.0))
        tiny |= ((number == 0.0) & np.isfinite(log)) | ((number != 0.0) & (np.abs(number) < SMALLEST))
        unknown |= np.isnan(number)
    unmeasured = ~np.isfinite(pairs.std_error) | (pairs.draws < 2)
    words = ["overflow", "vanished", "not measured", "noise"]
    return np.select([huge, tiny, unknown, unmeasured], words, default="").astype(object)


def _beside(pairs: Pairs) -> Flags:
    """Say which rows have a plain mean of their own beside the estimate that can be tested."""
    spread = scales.varied(pairs.plain_value, pairs.plain_std_error, pairs.plain_draws)
    known = np.isfinite(pairs.plain_value) & np.isfinite(pairs.plain_std_error) & (pairs.plain_draws >= 2)
    positive = (pairs.kind == "moment") | (pairs.kind == "loss")
    trusted = ~(positive & is_heavy(spread, pairs.log_std, pairs.units))
    return np.asarray(known & trusted & (pairs.estimator == "control"))


def _reasons(pairs: Pairs, codes: Words) -> Words:
    """Return the codes, each with what the prediction, or a sampler without a value, has to say."""
    notes = np.where(codes == "not measured", pairs.measured_reason, pairs.predicted_reason)
    texts = [": ".join(part for part in pair if part) for pair in zip(codes, notes, strict=True)]
    for i in np.flatnonzero(pairs.unpredicted):
        texts[i] = pairs.predicted_reason[i] or "no theory for this row"
    return np.array(texts, dtype=object)
