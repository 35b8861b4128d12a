"""The verdict rule, applied again and again while draws come in.

Look k may reject with alpha/2^k over the whole table (Holm), and separately that is the level of each row's interval;
so all looks together have at most probability alpha of any false *differs*, and a row's decision is wrong with no more
than it would be at a single look. At every look Holm's family is the whole table: a row's p-value is compared with
alpha/2^k divided by the number of rows not yet rejected or more, so the probability that the first true hypothesis is
rejected at look k is at most alpha/2^k, whichever cases are still drawn.

A row's first decision is final, and what the table says of the row (measurement, interval, p-value) is of that look.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from varprop.comparison.agreement import Family, compare_frames
from varprop.comparison.minimal import completed, is_minimal
from varprop.results.schema import FIRST_LOOK

if TYPE_CHECKING:
    import pandas as pd

_DECIDED = ("agrees", "differs")


class Looks:
    """A compared table that is completed look by look.

    Parameters
    ----------
    predicted : DataFrame
        As for `varprop.comparison.compare_frames`.
    margin, alpha : float
        As there.
    only : bool
        Whether measured rows that `predicted` does not speak of are left out.
    """

    def __init__(self, predicted: pd.DataFrame, *, margin: float, alpha: float, only: bool = False) -> None:
        self._predicted = predicted
        self._only = only
        self._margin, self._alpha = margin, alpha
        self._table: pd.DataFrame | None = None
        self._family: Family | None = None

    @property
    def compared(self) -> pd.DataFrame:
        """The table as it stands, `COMPARED_COLUMNS`."""
        assert self._table is not None, "the first look gives the table"
        return self._table

    def look(self, simulated: pd.DataFrame, budgets: Mapping[str, int]) -> dict[str, int]:
        """Judge what is undecided in these cases, and return how many rows of each more draws would settle.

        Parameters
        ----------
        simulated : DataFrame
            All cases at the first look, later those that were drawn on; ``look`` says which look it is.
        budgets : mapping from case to int
            Draws that a case may have.
        """
        cases = set(simulated["case"])
        if is_minimal(self._predicted):
            self._predicted = completed(self._predicted, simulated)
        rows = self._predicted[self._predicted["case"].isin(cases)]
        new = compare_frames(rows, simulated, margin=self._margin, alpha=self._alpha, family=self._family)
        if self._only:
            attrs = new.attrs
            new = new[new["verdict"] != "unpredicted"].reset_index(drop=True)
            new.attrs = attrs
        if self._table is None:
            self._table = new
            self._family = Family(int(new.attrs["tests"]), max(new["case"].nunique(), 1))
        else:
            self._complete(new, cases)
        table = self._table
        reachable = {case: budget / _dearer(self._alpha, budget) for case, budget in budgets.items()}
        limits = table["case"].map(reachable).to_numpy(dtype=float)
        waiting = (table["verdict"] == "undecided").to_numpy() & (table["draws_needed"].to_numpy() <= limits)
        counts = table.loc[waiting, "case"].value_counts()
        return {case: int(counts.get(case, 0)) for case in cases}

    def _complete(self, new: pd.DataFrame, cases: set[str]) -> None:
        """Put rows in place of those that were still undecided."""
        table = self.compared
        places = np.flatnonzero(table["case"].isin(cases).to_numpy())
        undecided = ~table["verdict"].iloc[places].isin(_DECIDED).to_numpy()
        for column in table.columns:
            values = table[column].to_numpy(copy=True)
            values[places[undecided]] = new[column].to_numpy()[undecided]
            table[column] = values


def _dearer(alpha: float, budget: int) -> float:
    """Return how many times more draws the last look of a budget needs than a number of draws fixed beforehand.

    Both intervals leave two standard errors to spare, as ``draws_needed`` does.
    """
    from scipy.special import ndtri

    last = max(np.log2(budget / FIRST_LOOK), 0.0) + 1.0
    least, fixed = (-float(ndtri(level / 2.0)) for level in (alpha * 0.5**last, alpha))
    return ((least + 2.0) / (fixed + 2.0)) ** 2
