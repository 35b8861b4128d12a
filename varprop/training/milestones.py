"""When each run first got somewhere, and who was first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from varprop._validation import InputError, described

if TYPE_CHECKING:
    import pandas as pd


def first_reached(
    history: pd.DataFrame,
    level: float,
    *,
    by: str = "start",
    value: str = "accuracy",
    time: str = "epoch",
    split: str = "test",
) -> pd.DataFrame:
    """Return when `value` first stood at `level` or above, for each run of each group.

    Parameters
    ----------
    history : DataFrame
        Rows of `Training.history` of one or more trainings, with a column `by` that names the groups.
    level : float
        In units of `value`.
    by, value, time, split : str
        Column of the groups, column watched, column of the time, and which split to watch.

    Returns
    -------
    DataFrame
        One row per seed, one column per group in order of appearance: the earliest recorded time; infinite
        for a run that never got there, NaN for one that is not in `history`.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = [("a", 0, 1, 0.5), ("a", 0, 2, 0.9), ("b", 0, 1, 0.3), ("b", 0, 2, 0.4)]
    >>> history = pd.DataFrame(rows, columns=["start", "seed", "epoch", "accuracy"]).assign(split="test")
    >>> first_reached(history, 0.8).values.tolist()
    [[2.0, inf]]
    """
    rows = history[history["split"] == split]
    there = rows[time].astype(float).where(rows[value] >= level, float("inf"))
    table = there.groupby([rows["seed"], rows[by]], sort=False).min().unstack()
    return table[list(dict.fromkeys(rows[by]))].sort_index()


def race(history: pd.DataFrame, levels: Sequence[float], *, by: str = "start", **watch: str) -> pd.DataFrame:
    """Say which of two groups is first at each level, run by run, and how sure that is.

    Runs are paired by seed. The two-sided sign test asks whether each group is equally likely to be first;
    seeds where both arrive at one recorded time, or neither does, are left out of it.

    Parameters
    ----------
    history : DataFrame
        As for `first_reached`, with exactly two groups.
    levels : sequence of float
    by, **watch
        As in `first_reached`.

    Returns
    -------
    DataFrame
        One row per level: ``level``, the median time of each group, how many seeds each group is first in,
        ``p_value``.

    Raises
    ------
    InputError
        If there are not two groups.
    """
    import pandas as pd
    from scipy.stats import binomtest

    names = list(dict.fromkeys(history[by]))
    if len(names) != 2:
        raise InputError("history", described(f"{len(names)} groups in {by}"), "two groups")
    rows = []
    for level in levels:
        times = first_reached(history, level, by=by, **watch)
        ahead = [int((times[a] < times[b]).sum()) for a, b in (names, names[::-1])]
        p_value = float(binomtest(ahead[0], sum(ahead)).pvalue) if sum(ahead) else float("nan")
        rows.append(
            {
                "level": level,
                **{f"{name}: median": times[name].median() for name in names},
                **{f"{name}: first": count for name, count in zip(names, ahead, strict=True)},
                "p_value": p_value,
            }
        )
    return pd.DataFrame(rows)
