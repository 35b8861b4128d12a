"""Many tests in one table."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def holm(p_values: npt.ArrayLike, family: int | None = None) -> Array:
    """Return Holm's adjusted p-values.

    Rejecting where they are at most alpha keeps the probability of any false rejection at most alpha,
    whatever the dependence: with p ascending, adjusted p_(k) = max over j <= k of min(1, (m - j + 1)
    p_(j)).

    Parameters
    ----------
    p_values : array of shape (m,)
        Between 0 and 1; NaN where nothing was tested, which stays NaN and does not count.
    family : int, optional
        Number of hypotheses where that is more than the p-values at hand, such as those whose turn has not come.

    References
    ----------
    S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6
    (1979) 65-70.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03])
    array([0.03, 0.06, 0.06])
    """
    p = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(p.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    most = max(len(order), 0 if family is None else family)
    steps = p[order] * (most - np.arange(len(order)))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted
