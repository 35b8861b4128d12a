"""Tables of many runs in few words: how often they fail, and which source of randomness decides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from varprop.training.replication import restarts, variance_components

if TYPE_CHECKING:
    import pandas as pd


def failure_rates(
    final: pd.DataFrame, by: Sequence[str], *, goal: float = 0.95, value: str = "accuracy"
) -> pd.DataFrame:
    """Count the runs of each group that end below `goal`.

    Parameters
    ----------
    final : DataFrame
        One row a run, with columns `by` and `value`.
    by : sequence of str
        Columns that name a group.
    goal : float
        A run succeeds if its `value` is at least this.
    value : str

    Returns
    -------
    DataFrame
        Columns `by`; ``runs``; ``failure_rate`` with the exact 95 % interval ``ci_low``, ``ci_high``; and
        ``restarts``, the runs that contain a success with probability 95 %, with ``restarts_low`` and
        ``restarts_high`` at the ends of the interval. See `varprop.training.restarts`.

    Examples
    --------
    >>> import pandas as pd
    >>> final = pd.DataFrame({"start": ["He"] * 4, "accuracy": [0.9, 0.96, 0.97, 1.0]})
    >>> failure_rates(final, ["start"])[["start", "runs", "failure_rate", "restarts"]].values.tolist()
    [['He', 4, 0.25, 3.0]]
    """
    import pandas as pd

    rows = []
    for key, group in final.groupby(list(by), sort=False):
        found = restarts(int((group[value] >= goal).sum()), len(group))
        rows.append(
            dict(zip(by, key, strict=True))
            | {
                "runs": len(group),
                "failure_rate": 1 - found.success_rate,
                "ci_low": 1 - found.ci_high,
                "ci_high": 1 - found.ci_low,
                "restarts": found.needed,
                "restarts_low": found.needed_low,
                "restarts_high": found.needed_high,
            }
        )
    return pd.DataFrame(rows)


def variance_sources(final: pd.DataFrame, by: str, *, value: str = "loss") -> pd.DataFrame:
    """Split the variance of the logarithm of `value` into start, order and interaction, for each group.

    Parameters
    ----------
    final : DataFrame
        One row for every combination of ``seed`` and ``order_seed`` in each group; `value` above 0.
    by : str
        Column that names a group.
    value : str

    Returns
    -------
    DataFrame
        `varprop.training.variance_components` with two further columns: `by`, and ``matters_more``: ``start``
        or ``order`` where the 95 % interval of their difference excludes 0, ``not settled`` otherwise.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = [("a", i, j, 2.0**i) for i in range(8) for j in range(8)]
    >>> table = variance_sources(pd.DataFrame(rows, columns=["model", "seed", "order_seed", "loss"]), "model")
    >>> table["matters_more"].unique().tolist()
    ['start']
    """
    import pandas as pd

    parts = []
    for name, group in final.groupby(by, sort=False):
        part = variance_components(group.assign(**{value: np.log(group[value])}), value)
        low, high = part[["ci_low", "ci_high"]].iloc[-1]
        decision = "start" if low > 0 else "order" if high < 0 else "not settled"
        parts.append(part.assign(**{by: name, "matters_more": decision}))
    joint = pd.concat(parts, ignore_index=True)
    return joint[[by, *joint.columns.drop(by)]]
