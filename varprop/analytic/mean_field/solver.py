"""Which weight and bias variances hold the signal and the gradient at a target, layer by layer.

Forward, the second moment of the pre-activations stays at q if  n_in s V(q) + sigma_b² = q, and backward the
mean-square gradient is kept if  n_out s D(q) = 1, with V = E phi², D = E phi'² and s = Var W. Together they
ask for s = 1/(n_out D) and sigma_b² = q - (n_in/n_out) V/D. If that is negative the two conditions conflict,
as Glorot and Bengio (2010) found for unequal widths, and the compromise is s = 1/sqrt(n_in n_out V D/q): the
least sum of squared log factors, which splits the cost evenly.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from varprop._validation import InputError, check_one_of, check_real, described
from varprop.results.health import factor_text
from varprop.spec import Network

if TYPE_CHECKING:
    import pandas as pd

_LARGEST_SQUARE = 1e100

PRIORITIES = ("both", "forward", "backward")


def solve(network: Network, target: float = 1.0, *, priority: str = "both") -> pd.DataFrame:
    """Find initial variances that keep pre-activations at `target` and gradients level.

    Parameters
    ----------
    network : Network
        Gives widths, activations and inputs; its own initializers are ignored.
    target : float
        Second moment q at which every layer's pre-activations are to be held, above 0.
    priority : {"both", "forward", "backward"}
        What to do in a conflict: split the cost evenly, hold the signal, or hold the gradient.

    Returns
    -------
    DataFrame
        One row a layer: ``layer, activation, fan_in, fan_out, weight_variance`` (Var W), ``weight_std, gain``
        (sigma_w = sqrt(fan_in · Var W)), ``bias_variance, q`` (the second moment reached),
        ``forward_factor`` q_l / target, ``backward_factor`` (mean-square gradient at the layer below over the
        layer's own; NaN for layer 1, which has none below), ``weights, biases`` (spellings to use),
        ``reason``. ``attrs["verdict"]`` sums up in a sentence.

    Raises
    ------
    InputError
        If the target is not above 0 or the priority unknown.

    Notes
    -----
    Infinite-width recursions at the inputs' mean square. Glorot, Bengio, *Understanding the difficulty of
    training deep feedforward neural networks* (2010), eqs. 10-12, for the linear case.

    Examples
    --------
    >>> import varprop as vp
    >>> net = vp.mlp([100, 100, 100], activation="tanh", input=vp.half_on(100))
    >>> table = solve(net, target=1.0)
    >>> table.attrs["verdict"].split(":")[0]
    'forward and backward both held'
    """
    import pandas as pd

    target = check_real("target", target, minimum=1e-100, maximum=1e100)
    check_one_of("priority", priority, PRIORITIES)
    with np.errstate(over="ignore"):
        second = float(np.mean(np.square(network.input.array())))
    if not second < _LARGEST_SQUARE:
        raise InputError(
            "input", described(f"mean square {second:g}"), f"a mean square below {_LARGEST_SQUARE:g}"
        )
    derivative = math.nan
    rows = []
    for number, layer in enumerate(network.layers, start=1):
        fan_in, fan_out = network.fans(number)
        s, bias, reason = _layer(fan_in, fan_out, second, derivative, target, priority)
        q = fan_in * s * second + bias
        rows.append(
            {
                "layer": number,
                "activation": layer.activation.name,
                "fan_in": fan_in,
                "fan_out": fan_out,
                "weight_variance": s,
                "weight_std": math.sqrt(s),
                "gain": math.sqrt(fan_in * s),
                "bias_variance": bias,
                "q": q,
                "forward_factor": q / target,
                "backward_factor": fan_out * s * derivative,
                "weights": f"normal(std={math.sqrt(s)!r})",
                "biases": f"normal(std={math.sqrt(bias)!r})" if bias > 0 else "zeros",
                "reason": reason,
            }
        )
        moments = layer.activation.moments(q, fields=("second_moment", "derivative_second_moment"))
        second, derivative = float(moments.second_moment), float(moments.derivative_second_moment)
    frame = pd.DataFrame(rows)
    frame.attrs["verdict"] = _verdict(frame)
    return frame


def _layer(
    fan_in: int, fan_out: int, second: float, derivative: float, target: float, priority: str
) -> tuple[float, float, str]:
    """Return (Var W, sigma_b², reason) of one layer."""
    if second == 0:
        return 0.0, target, "the layer's input is zero: only a bias can carry a signal"
    forward = target / (fan_in * second)
    if math.isnan(derivative):
        return forward, 0.0, "no gradient is asked of the input"
    if derivative == 0:
        return forward, 0.0, "no gradient passes this activation whatever the weights"
    backward = 1 / (fan_out * derivative)
    bias = target - fan_in * backward * second
    if bias >= -1e-12 * target:
        return backward, max(bias, 0.0), ""
    if priority == "backward":
        return backward, 0.0, "conflict: the gradient is held, the signal grows"
    if priority == "forward":
        return forward, 0.0, "conflict: the signal is held, the gradient shrinks"
    return math.sqrt(forward * backward), 0.0, "conflict: the cost is split between signal and gradient"


def _verdict(frame: pd.DataFrame) -> str:
    forward = float(np.log(frame["forward_factor"]).abs().max())
    backward = frame["backward_factor"].dropna()
    with np.errstate(divide="ignore"):
        total = float(np.log(backward).sum()) if len(backward) else 0.0
    if forward < 1e-9 and abs(total) < 1e-9:
        return (
            "forward and backward both held: every layer sits at the target and the gradient keeps its size"
        )
    end = float(np.log(frame["forward_factor"].iloc[-1]))
    return (
        f"a compromise: over the network the signal's second moment ends {factor_text(end)} of the target "
        f"and the mean-square gradient changes {factor_text(total)}"
    )
