"""What repetition says: how often a start fails, and whether the start or the order of batches matters more."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from varprop._validation import InputError, check_integer, check_real, described

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[Any]


@dataclass(frozen=True)
class Restarts:
    """How often a run succeeds, and how many runs give one success with the wanted probability.

    Attributes
    ----------
    success_rate, ci_low, ci_high : float
        Share of successful runs with its exact interval (Clopper & Pearson 1934).
    needed, needed_low, needed_high : float
        Runs needed, at the rate and at the ends of its interval; infinite at rate 0.
    """

    success_rate: float
    ci_low: float
    ci_high: float
    needed: float
    needed_low: float
    needed_high: float


def restarts(successes: int, runs: int, *, wanted: float = 0.95, level: float = 0.95) -> Restarts:
    """Return how many independent runs contain a success with probability `wanted`.

    With success rate p the answer is the smallest n with 1 − (1 − p)^n >= wanted.

    Parameters
    ----------
    successes, runs : int
        What was observed.
    wanted : float
        Probability of at least one success, between 0 and 1.
    level : float
        Confidence level of the intervals, between 0 and 1.

    Examples
    --------
    >>> result = restarts(180, 200)
    >>> result.success_rate, result.needed
    (0.9, 2.0)
    """
    from scipy.special import betaincinv

    runs = check_integer("runs", runs, minimum=1)
    successes = check_integer("successes", successes, minimum=0, maximum=runs)
    wanted = check_real("wanted", wanted, minimum=0.0, maximum=1.0, exclusive=True)
    tail = (1 - check_real("level", level, minimum=0.0, maximum=1.0, exclusive=True)) / 2
    low = float(betaincinv(successes, runs - successes + 1, tail)) if successes else 0.0
    high = float(betaincinv(successes + 1, runs - successes, 1 - tail)) if successes < runs else 1.0
    rate = successes / runs
    return Restarts(rate, low, high, _needed(rate, wanted), _needed(high, wanted), _needed(low, wanted))


def _needed(rate: float, wanted: float) -> float:
    if rate == 0.0:
        return math.inf
    return 1.0 if rate >= wanted else float(math.ceil(math.log1p(-wanted) / math.log1p(-rate)))


def variance_components(frame: pd.DataFrame, value: str = "loss", *, level: float = 0.95) -> pd.DataFrame:
    """Split the variance between runs into start values, order of batches, and their interaction.

    The model is y_ij = mean + a_i + b_j + c_ij for start seed i and order seed j, all random. A run is
    determined by its two seeds, so what main effects leave is interaction, not noise. With the mean squares
    of the two-way layout (s starts, t orders) the unbiased estimates are MS_c for c, (MS_a − MS_c)/t for a and
    (MS_b − MS_c)/s for b (Searle, Casella & McCulloch, Variance Components, 1992, sec. 4.3); a negative
    estimate means that none was seen. Standard errors are jackknifed over starts and over orders and their
    squares added, which counts the interaction twice and so errs on the safe side; the intervals are
    Student's with min(s, t) − 1 degrees of freedom.

    Parameters
    ----------
    frame : DataFrame
        One row for every combination of ``seed`` and ``order_seed``, each at least three; e.g. the last step
        of `Training.history`.
    value : str
        Column to analyse; finite numbers.
    level : float
        Confidence level.

    Returns
    -------
    DataFrame
        Rows ``start``, ``order``, ``interaction`` and ``start minus order``; columns ``source``,
        ``variance``, ``share`` (of the sum of the three), ``std_error``, ``ci_low``, ``ci_high`` (of the
        variance). If the interval of the last row excludes 0, one of the two matters more.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = [(i, j, float(i)) for i in range(4) for j in range(3)]
    >>> result = variance_components(pd.DataFrame(rows, columns=["seed", "order_seed", "loss"]))
    >>> result[["source", "variance", "share"]].round(3).values.tolist()[:2]
    [['start', 1.667, 1.0], ['order', 0.0, 0.0]]
    """
    import pandas as pd
    from scipy.special import stdtrit

    tail = (1 - check_real("level", level, minimum=0.0, maximum=1.0, exclusive=True)) / 2
    cells = _cells(frame, value)
    estimate = _components(cells)
    error = np.sqrt(_jackknife(cells, axis=0) + _jackknife(cells, axis=1))
    reach = -float(stdtrit(min(cells.shape) - 1, tail)) * error
    total = estimate[:3].sum()
    return pd.DataFrame(
        {
            "source": ["start", "order", "interaction", "start minus order"],
            "variance": estimate,
            "share": [*(estimate[:3] / total if total > 0 else np.full(3, np.nan)), np.nan],
            "std_error": error,
            "ci_low": estimate - reach,
            "ci_high": estimate + reach,
        }
    )


def _components(cells: Array) -> Array:
    """Return the variances of start, order and interaction, and the difference of the first two."""
    s, t = cells.shape
    rows, columns, mean = cells.mean(axis=1), cells.mean(axis=0), cells.mean()
    rest = cells - rows[:, None] - columns + mean
    interaction = (rest**2).sum() / ((s - 1) * (t - 1))
    start = rows.var(ddof=1) - interaction / t
    order = columns.var(ddof=1) - interaction / s
    return np.array([start, order, interaction, start - order])


def _jackknife(cells: Array, axis: int) -> Array:
    """Return the jackknife variance of the components over the seeds along `axis`."""
    n = cells.shape[axis]
    without = np.array([_components(np.delete(cells, i, axis=axis)) for i in range(n)])
    return np.asarray((n - 1) / n * ((without - without.mean(axis=0)) ** 2).sum(axis=0))


def _cells(frame: pd.DataFrame, value: str) -> Array:
    """Return the values as an array (starts, orders)."""
    missing = [name for name in ("seed", "order_seed", value) if name not in frame.columns]
    if missing:
        raise InputError("frame", described(f"no column {missing[0]!r}"), f"seed, order_seed and {value}")
    if frame.duplicated(["seed", "order_seed"]).any():
        raise InputError("frame", described("several rows for one run"), "one row for every run")
    table = frame.pivot(index="seed", columns="order_seed", values=value)
    if min(table.shape) < 3 or not np.isfinite(table.to_numpy(dtype=float)).all():
        found = described(
            f"{table.shape[0]} by {table.shape[1]} seeds with {int(table.isna().sum().sum())} gaps"
        )
        raise InputError("frame", found, "finite values for every combination of at least 3 seeds by 3")
    return table.to_numpy(dtype=float)
