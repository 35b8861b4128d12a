"""Design effects: by how much a standard error is wrong that takes the units of a network as independent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from varprop.analytic.log_laws import LogLaw, log_laws
from varprop.spec import Network

if TYPE_CHECKING:
    import pandas as pd


def design_effects(network: Network, *, example: int = 0) -> pd.DataFrame:
    """Return, layer by layer, how wrong a naive standard error over units is.

    With w the relative variance of one unit's square within a network and b that of a network's own average, the
    mean over R networks of n units has the relative variance (w (1 + b)/n + b)/R, while units pooled as if they were
    independent suggest (w (1 + b) + b)/(n R).

    Parameters
    ----------
    network : Network
    example : int
        Which example of the input.

    Returns
    -------
    DataFrame
        ``layer, width, quantity, variance_ratio, error_ratio, units_worth, order, reason``: true over naive
        variance of the mean; its root, by which the naive standard error is too small; and how many
        independent units one network is worth.

    Examples
    --------
    >>> import varprop as vp
    >>> network = vp.mlp("64x20", activation="relu", weights="he_normal", input=vp.constant(64, 1.0))
    >>> table = design_effects(network).query("quantity == 'preactivation_second_moment'")
    >>> round(float(table.iloc[-1].variance_ratio), 1)
    18.4
    """
    import pandas as pd

    names = ["preactivation_second_moment", "activation_second_moment"]
    names += ["gradient_preactivation"] if network.head.kind == "unit" else []
    rows = []
    for name in names:
        for number, (layer, law) in enumerate(
            zip(network.layers, log_laws(network, name, example), strict=True), start=1
        ):
            ratio = _ratio(law, layer.width)
            rows.append(
                {
                    "layer": number,
                    "width": layer.width,
                    "quantity": name,
                    "variance_ratio": ratio,
                    "error_ratio": float(np.sqrt(ratio)),
                    "units_worth": layer.width / ratio,
                    "order": law.order,
                    "reason": law.reason,
                }
            )
    return pd.DataFrame(rows)


def _ratio(law: LogLaw, n: int) -> float:
    # 1 + relative variance = (1 + b)(1 + w/n)
    between = max((1.0 + law.relative_variance) / (1.0 + law.within / n) - 1.0, 0.0)
    inside = law.within * (1.0 + between)
    if inside + between == 0.0:  # nothing varies, so there is nothing to compare
        return float("nan")
    return (inside + n * between) / (inside + between)
