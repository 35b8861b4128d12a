"""How many draws would settle the rows of a compared table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from varprop._validation import InputError, check_integer, described
from varprop.results.frames import validate

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = ("case", "layer", "quantity", "verdict", "draws_needed")
_LEVELS = 24


def draws_to_settle(compared: pd.DataFrame, draws: Sequence[int] | None = None) -> pd.DataFrame:
    """Say how many rows of a table would be settled, that is agree or differ, with so many draws.

    Parameters
    ----------
    compared : DataFrame
        Rows of a table by `varprop.compare`, of `varprop.examine(...).compared`, or of the file ``comparison.csv`` of
        a report. Rows without a prediction do not count.
    draws : sequence of int, optional
        Numbers of draws to look at; otherwise 100, 200, 400, ... up to the largest that any row needs.

    Returns
    -------
    DataFrame
        Columns ``draws``, ``settled`` and ``open`` (numbers of rows) and ``share`` (of the rows that is settled).
        Rows that no number of draws settles, such as means of heavy tails, stay open throughout.

    Raises
    ------
    InputError
        A table without these columns, or a number of draws that is none.

    Notes
    -----
    Each row's ``draws_needed`` takes its prediction for right unless it lies outside the noise, and leaves two
    standard errors to spare: nineteen in twenty such rows are settled then, many with fewer draws.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"case": "he", "layer": [1, 2, 3], "quantity": "preactivation_mean",
    ...     "verdict": ["agrees", "undecided", "undecided"], "draws_needed": [float("nan"), 350.0, 1900.0]})
    >>> draws_to_settle(table, [200, 400, 2000])[["draws", "settled", "open"]]
       draws  settled  open
    0    200        1     2
    1    400        2     1
    2   2000        3     0
    """
    import pandas as pd

    columns = validate(compared, _COLUMNS, "compared")
    judged = columns["verdict"] != "unpredicted"
    done = np.isin(columns["verdict"][judged], ("agrees", "differs"))
    needed = np.where(done, 0.0, columns["draws_needed"][judged])
    if draws is None:
        most = np.max(needed[np.isfinite(needed)], initial=0.0)
        steps = [100 * 2**k for k in range(_LEVELS)]
        asked = [n for n in steps if n < 2 * most] or steps[:1]
    elif isinstance(draws, list | tuple):
        asked = [check_integer(f"draws[{i}]", n, minimum=1, maximum=10**18) for i, n in enumerate(draws)]
    else:
        raise InputError("draws", described(type(draws).__name__), "a list of whole numbers")
    settled = [int((needed <= n).sum()) for n in asked]
    total = len(needed)
    return pd.DataFrame({
        "draws": np.array(asked, dtype=np.int64),
        "settled": np.array(settled, dtype=np.int64),
        "open": np.array([total - count for count in settled], dtype=np.int64),
        "share": [count / total if total else float("nan") for count in settled],
    })  # fmt: skip
