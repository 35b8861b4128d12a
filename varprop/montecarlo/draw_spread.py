"""The spread over draws that a simulated table has measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

_TAIL = 1.6448536269514722  # 5 % of a normal law lies beyond this many standard deviations on either side


def measured_spread(simulated: pd.DataFrame) -> pd.DataFrame:
    """Return how each positive quantity of a table by `varprop.simulate` varied from draw to draw.

    Parameters
    ----------
    simulated : DataFrame
        Made with ``estimator="plain"``: any other replaces a draw's own number by one of smaller variance.

    Returns
    -------
    DataFrame
        Columns ``case, quantity, layer``; ``log_mean, log_std`` of the natural logarithm over draws; ``median``,
        ``low``, ``high``: centre and 5 and 95 % quantiles of the log-normal law with these.

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

    parts = []
    rows = simulated[["case", "quantity", "layer"]].copy()
    rows.attrs = {}
    for case, own in rows.groupby("case", sort=False):
        scale = np.array(simulated.attrs["cases"][case]["log_scale"], dtype=float)
        scale = scale if scale.shape == (len(own), 2) else scale.T
        parts.append(own.assign(log_mean=scale[:, 0], log_std=scale[:, 1]))
    joint = pd.concat(parts, ignore_index=True)
    for name, side in (("median", 0.0), ("low", -_TAIL), ("high", _TAIL)):
        joint[name] = np.exp(joint["log_mean"] + side * joint["log_std"])
    known: pd.DataFrame = joint[np.isfinite(joint["log_mean"])].reset_index(drop=True)
    return known
