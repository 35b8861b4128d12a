"""How much one network differs from another: mean, median and range of a layer's mean square over draws.

The law is taken as log-normal, its limit in depth (Hanin and Nica 2020), with the mean and variance of the logarithm of
`varprop.analytic.log_laws`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from varprop._validation import check_integer, check_real
from varprop.analytic.log_laws import SPREAD_QUANTITIES, LogLaw, log_laws
from varprop.spec import Layer, Network

if TYPE_CHECKING:
    import pandas as pd

_TAIL = 1.6448536269514722
"""Standard normal quantile of 95 %."""


def width_spread(network: Network, quantity: str | None = None, *, example: int = 0) -> pd.DataFrame:
    """Return mean, median and the range from 5 to 95 % over draws, layer by layer.

    Parameters
    ----------
    network : Network
    quantity : str, optional
        One of `SPREAD_QUANTITIES`: a mean over units (or entries) in one network. Default: all that the head
        allows; gradients need the unit head.
    example : int
        Which example of the input.

    Returns
    -------
    DataFrame
        ``layer, width, quantity, infinite, mean, median, low, high, log_mean, log_std, relative_std, dead,
        order, reason``: the infinite-width value; the mean over draws; the median and the 5 and 95 % quantiles
        of a log-normal law with the mean and standard deviation of the natural logarithm that follow; the
        standard deviation over the mean; the probability that a ReLU network is silent there (what comes
        before holds for the others). ``order`` belongs to the moments.

    Examples
    --------
    >>> import varprop as vp
    >>> network = vp.mlp("100x20", activation="relu", weights="he_normal", input=vp.constant(100, 1.0))
    >>> last = width_spread(network, "preactivation_second_moment").iloc[-1]
    >>> round(float(last["mean"]), 6), round(float(last["median"]), 2), last["order"]
    (2.0, 1.22, 'exact')
    """
    import pandas as pd

    allowed = [n for n in SPREAD_QUANTITIES if network.head.kind == "unit" or not n.startswith("gradient")]
    rows: list[dict[str, Any]] = []
    for name in allowed if quantity is None else [quantity]:
        alive = 1.0
        laws = log_laws(network, name, example)
        for number, (layer, law) in enumerate(zip(network.layers, laws, strict=True), start=1):
            rows.append(
                {"layer": number, "width": layer.width, "quantity": name}
                | _levels(law)
                | {"dead": 1.0 - alive, "order": law.order, "reason": law.reason}
            )
            if (
                law.order == "exact"
                and layer.activation.slopes is not None
                and 0.0 in layer.activation.slopes
            ):
                alive *= 1.0 - 0.5**layer.width
    return pd.DataFrame(rows)


def _levels(law: LogLaw) -> dict[str, float]:
    std = float(np.sqrt(law.variance))
    mean = law.infinite if law.order == "exact" else law.mean + 0.5 * law.variance
    logs = {
        "infinite": law.infinite,
        "mean": mean,
        "median": law.mean,
        "low": law.mean - _TAIL * std,
        "high": law.mean + _TAIL * std,
    }
    with np.errstate(over="ignore"):
        levels = {name: float(np.exp(value)) for name, value in logs.items()}
    relative = float(np.sqrt(law.relative_variance))
    return levels | {"log_mean": law.mean, "log_std": std, "relative_std": relative}


class GradientRatio(NamedTuple):
    """Logarithm of the first-to-last ratio of mean-square gradients at the pre-activations.

    Attributes
    ----------
    infinite : float
        At infinite width.
    mean, std : float
        Mean and standard deviation over draws.
    order : str
        ``exact`` or ``1/n``; empty if not known.
    reason : str
    """

    infinite: float
    mean: float
    std: float
    order: str
    reason: str = ""


def gradient_ratio(network: Network, *, example: int = 0) -> GradientRatio:
    """Return the law of log of (gradient square at layer 1) / (gradient square at layer L) over draws.

    Where gradients explode over many layers their mean is carried by rare networks; the logarithm is what a
    typical one shows.

    Examples
    --------
    >>> import varprop as vp
    >>> network = vp.mlp("256x20", activation="tanh", weights="variance_scaling(scale=3.58)", input=vp.gaussian(256))
    >>> ratio = gradient_ratio(network)
    >>> ratio.mean < ratio.infinite, ratio.order
    (True, '1/n')
    """
    laws = log_laws(network, "gradient_preactivation", example)
    first, last = laws[0], laws[-1]
    # The scatter of the last layer's own mean square is part of both, and drops out of the ratio.
    variance = max(first.variance - last.variance, 0.0) if np.isfinite(first.variance) else np.nan
    return GradientRatio(
        first.infinite - last.infinite,
        first.mean - last.mean,
        float(np.sqrt(variance)),
        first.order,
        first.reason,
    )


def width_for_spread(
    network: Network,
    factor: float,
    *,
    quantity: str = "preactivation_second_moment",
    widest: int = 1 << 20,
) -> int | None:
    """Return the hidden width from which 90 % of networks lie within `factor` of the median at every layer.

    Parameters
    ----------
    network : Network
        All its hidden layers get one width; input, output and initializers stay.
    factor : float
        More than 1: quantity/median between 1/factor and factor.
    quantity : str
        One of `SPREAD_QUANTITIES`; the layers other than the output layer count, whose width stays.
    widest : int
        Where to give up.

    Returns
    -------
    int or None
        None if `widest` does not suffice, or no law is known.

    Examples
    --------
    >>> import varprop as vp
    >>> width_for_spread(vp.mlp("100x50,10", activation="relu", weights="he_normal"), 2.0)
    1395
    """
    limit = float(np.log(check_real("factor", factor, minimum=1.0, exclusive=True))) / _TAIL
    check_integer("widest", widest, minimum=1)

    def enough(width: int) -> bool:
        layers = (*(_resized(layer, width) for layer in network.layers[:-1]), network.layers[-1])
        laws = log_laws(replace(network, body=layers), quantity)[:-1]
        return all(not law.reason and law.variance <= limit**2 for law in laws)

    low, high = 0, 1
    while not enough(high):
        low, high = high, 2 * high
        if high > widest:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _resized(layer: Layer, width: int) -> Layer:
    return Layer(width, layer.activation, layer.weights, layer.biases, layer.gain)
