"""The spread over draws that a simulated table has measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from varprop._validation import InputError
from varprop.results.frames import validate

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = ("case", "quantity", "layer", "log_mean", "log_std", "estimator")
_TAIL = 1.6448536269514722  # 5 % of a normal law lies beyond this many standard deviations on either side


def measured_spread(simulated: pd.DataFrame) -> pd.DataFrame:
    """Return how each positive quantity of a table by `varprop.simulate` varied from draw to draw.

    Parameters
    ----------
    simulated : DataFrame
        Any rows of a table made with ``estimator="plain"``: any other replaces a draw's own number by one of
        smaller variance.

    Returns
    -------
    DataFrame
        Columns ``case, quantity, layer``; ``log_mean, log_std`` of the natural logarithm over draws; ``median``,
        ``low``, ``high``: centre and 5 and 95 % quantiles of the log-normal law with these. Rows in the order of
        `simulated`, without those that no draw gave a positive value.

    Raises
    ------
    InputError
        If a column is missing, a row is there twice, or a row's estimator is not the plain one.

    Examples
    --------
    >>> import varprop as vp
    >>> net = vp.mlp("50x20", "relu", "he_normal", input=vp.constant(50, 1.0))
    >>> spread = measured_spread(vp.simulate(net, draws=400, estimator="plain"))
    >>> last = spread.query("layer == 20 and quantity == 'preactivation_second_moment'")
    >>> round(float(last["log_std"].iloc[0]), 1)
    1.4
    """
    import pandas as pd

    columns = validate(simulated, _COLUMNS, "simulated")
    other = next((name for name in columns.pop("estimator") if name != "plain"), None)
    if other is not None:
        raise InputError("simulated.estimator", other, "rows of vp.simulate(..., estimator='plain')")
    spread = pd.DataFrame(columns)
    for name, side in (("median", 0.0), ("low", -_TAIL), ("high", _TAIL)):
        spread[name] = np.exp(spread["log_mean"] + side * spread["log_std"])
    known: pd.DataFrame = spread[np.isfinite(spread["log_mean"])].reset_index(drop=True)
    return known
