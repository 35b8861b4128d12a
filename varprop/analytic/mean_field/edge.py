"""The edge of chaos in the (sigma_w², sigma_b²) plane.

On the edge chi_1(q*) = 1, so a curve in q describes it completely:

    sigma_w²(q) = 1 / E phi'(z)²,    sigma_b²(q) = q - E phi(z)² / E phi'(z)² ≥ 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from varprop._validation import InputError, check_real
from varprop.activations import Activation, activation
from varprop.analytic.mean_field.length_map import LOWEST, LengthMap
from varprop.analytic.mean_field.rootfinding import root_between

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]


def edge_of_chaos(
    phi: str | Activation | Callable[..., object],
    *,
    bias_variance: float | Sequence[float] | None = None,
    q: float | Sequence[float] | None = None,
) -> pd.DataFrame:
    """Points of the edge of chaos, at given bias variances or at given second moments.

    Parameters
    ----------
    phi : str, Activation or callable
        The activation.
    bias_variance : float or sequence, optional
        sigma_b² at which every critical point is sought (default 0, unless `q` is given).
    q : float or sequence, optional
        Second moments q* for which the critical pair is computed.

    Returns
    -------
    DataFrame
        Columns ``activation, bias_variance, weight_variance, q_star, length_slope, stability, reason``. The
        length slope F'(q*) says whether the forward pass stays there: above 1 it leaves the point (GELU, SiLU
        and Mish below their half-stable point). A bias variance without a critical point gives a row of NaN
        with its ``reason``.

    Raises
    ------
    InputError
        If a value is negative or not finite, or both arguments are given.

    Notes
    -----
    Hayou, Doucet, Rousseau, *On the impact of the activation function on deep neural networks training*
    (2019), definition 2; the parametrisation by q is algebra from it. Contrary to that paper, the sigmoid has
    an edge of chaos, from sigma_w = 10.149 upwards.

    Examples
    --------
    >>> row = edge_of_chaos("tanh", bias_variance=0.05).iloc[0]
    >>> print(round(row.weight_variance, 8), row.stability)
    1.76095464 stable
    """
    import pandas as pd

    act = activation(phi)
    if q is not None and bias_variance is not None:
        raise InputError("q", q, "either q or bias_variance, not both")
    points: list[tuple[float | None, float]] = []
    if q is not None:
        points = [(None, check_real("q", float(v), minimum=0.0, exclusive=True)) for v in np.atleast_1d(q)]
    else:
        for v in np.atleast_1d(0.0 if bias_variance is None else bias_variance):
            target = check_real("bias_variance", float(v), minimum=0.0)
            points += [(target, root) for root in _critical_lengths(act, target)]
    return pd.DataFrame([_edge_row(act, target, root) for target, root in points])


def _edge_row(act: Activation, target: float | None, q: float) -> dict[str, object]:
    row: dict[str, object] = {
        "activation": act.name,
        "bias_variance": math.nan if target is None else target,
        "weight_variance": math.nan,
        "q_star": q,
        "length_slope": math.nan,
        "stability": "none",
        "reason": "",
    }
    if math.isnan(q):
        return row | {"reason": "no edge of chaos at this bias variance"}
    weight, bias = _critical_pair(act, q)
    if target is None and bias < 0:
        return row | {"reason": "would need a negative bias variance"}
    bias = bias if target is None else target
    if act.slopes is not None:
        return row | {
            "bias_variance": 0.0,
            "weight_variance": weight,
            "q_star": q,
            "length_slope": 1.0,
            "stability": "neutral",
            "reason": "every q is a fixed point",
        }
    slope = float(LengthMap(act, weight, max(bias, 0.0)).slope(q if q > 0 else LOWEST))
    stability = "half-stable" if abs(slope - 1) <= 1e-9 else ("stable" if abs(slope) < 1 else "unstable")
    if q == 0:
        inside = float(LengthMap(act, weight, 0.0).value(1e-3)) < 1e-3
        stability = "stable" if inside else "unstable"
        return row | {
            "weight_variance": weight,
            "length_slope": 1.0,
            "stability": stability,
            "reason": "critical at the origin: q decays or grows as a power of depth",
        }
    return row | {
        "bias_variance": bias,
        "weight_variance": weight,
        "length_slope": slope,
        "stability": stability,
    }


def _critical_pair(act: Activation, q: Array | float) -> tuple[float, float]:
    moments = act.moments(q if q > 0 else LOWEST, fields=("second_moment", "derivative_second_moment"))
    derivative = float(moments.derivative_second_moment)
    if derivative == 0:
        return math.inf, -math.inf
    return 1 / derivative, float(q) - float(moments.second_moment) / derivative


def _critical_lengths(act: Activation, bias_variance: float) -> list[float]:
    """All q with sigma_b²(q) = `bias_variance`; NaN alone when there is none."""
    if act.slopes is not None:
        return [1.0] if bias_variance == 0 else [math.nan]
    # sigma_b²(q) / q, a ratio of order one, is what changes sign; the scale of q drops out.
    grid = np.geomspace(1e-8, 1e8, 16 * 24 + 1)

    def excess(x: float) -> float:
        q = math.exp(x)
        return (_critical_pair(act, q)[1] - bias_variance) / q

    values = np.array([_or_nan(excess, x) for x in np.log(grid)])
    roots = []
    if bias_variance == 0 and float(act(np.zeros(1))[0]) == 0 and abs(_or_nan(excess, math.log(1e-8))) < 1e-6:
        roots.append(0.0)
        # Near the origin excess(q) is of order q: rounding there is no root.
        values[np.abs(values) < 1e-7] = np.nan
    for i in np.flatnonzero(np.sign(values[:-1]) * np.sign(values[1:]) < 0):
        x0, x1 = np.log(grid[i : i + 2])
        roots.append(math.exp(root_between(excess, x0, x1)))
    return roots or [math.nan]


def _or_nan(function: Callable[[float], float], x: float) -> float:
    try:
        value = function(x)
    except InputError:
        return math.nan
    return value if math.isfinite(value) else math.nan
