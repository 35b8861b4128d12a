"""Where a deep network settles: fixed points of the length and correlation maps, and how fast it gets there.

The length map is in `length_map`; the correlation map at a fixed point q* is
C(c) = [sigma_b² + sigma_w² E phi(u) phi(v)] / q* (Poole et al. 2016, eq. 5).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from varprop.activations import Activation, activation
from varprop.analytic.mean_field.length_map import HIGHEST, LOWEST, TOUCH, LengthMap, depth_scale, phase
from varprop.analytic.mean_field.rootfinding import evaluate, root_between

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

_PER_DECADE = 24
_NEAR = 1e-4
_FINER = 64

TRAINABLE_XI = 6.0
"""Networks train up to about six correlation lengths (Schoenholz et al. 2017, figure 5): a rule of thumb."""


def fixed_points(
    phi: str | Activation | Callable[..., object], weight_variance: float, bias_variance: float = 0.0
) -> pd.DataFrame:
    """All fixed points of the length map, each with stability, slopes and depth scales.

    Parameters
    ----------
    phi : str, Activation or callable
        The activation.
    weight_variance, bias_variance : float
        sigma_w² = fan_in · Var W and sigma_b², at least 0.

    Returns
    -------
    DataFrame
        One row a fixed point, by growing q, columns ``activation, weight_variance, bias_variance, q_star,
        stability`` (stable, unstable, half-stable, neutral), ``length_slope`` F'(q*), ``chi_1, phase``
        (ordered, critical, chaotic), ``c_star, correlation_slope`` C'(c*), ``xi_q, xi_c`` (layers),
        ``trainable_depth`` (6 xi_c, an empirical rule), ``reason``. A map without a fixed point gives one
        row whose ``q_star`` is NaN and whose ``reason`` says where q goes instead.

    Raises
    ------
    InputError
        If a variance is negative or not finite, or the activation is unknown.

    Notes
    -----
    Poole et al., *Exponential expressivity in deep neural networks through transient chaos* (2016), eqs. 3-5;
    Schoenholz et al., *Deep information propagation* (2017), eqs. 3-9. In log q, log F(q)/q is monotone
    between its stationary points, which q F'(q) = F(q) locates; so the search misses no root that the grid's
    24 points a decade can separate, and finds double (half-stable) roots that a sign change would not show.

    Examples
    --------
    >>> row = fixed_points("tanh", 2.5, 0.05).iloc[0]
    >>> print(round(row.q_star, 8), round(row.c_star, 8), row.phase)
    1.06395838 0.44680423 chaotic
    """
    import pandas as pd

    length = LengthMap(activation(phi), weight_variance, bias_variance)
    roots, reason = _roots(length)
    rows = [_describe(length, q, reason if math.isnan(q) else "") for q in roots]
    return pd.DataFrame(rows)


def attracting_point(length: LengthMap, start: float = 1.0) -> float:
    """Return the fixed point that iteration from second moment `start` tends to.

    Infinite if q grows without bound, 0 if the signal dies; `start` itself where every q is fixed.
    """
    if _is_proportional(length):
        slope = float(length.value(1.0))
        return start if abs(slope - 1) <= TOUCH else (math.inf if slope > 1 else 0.0)
    roots, _ = _roots(length)
    interior = sorted(q for q in roots if q > 0)
    if float(length.value(start)) >= start:
        return min((q for q in interior if q >= start * (1 - TOUCH)), default=math.inf)
    return max((q for q in interior if q <= start * (1 + TOUCH)), default=0.0)


def _is_proportional(length: LengthMap) -> bool:
    return length.activation.slopes is not None and length.bias_variance == 0


def _roots(length: LengthMap) -> tuple[list[float], str]:
    """Fixed points by growing q (0 included where it is one), and the reason when there is none."""
    if length.activation.slopes is not None:
        return _homogeneous_roots(length)
    grid = np.geomspace(LOWEST, HIGHEST, 1 + _PER_DECADE * round(math.log10(HIGHEST / LOWEST)))
    known, gap = _gaps(length, grid)
    close = np.flatnonzero((np.abs(gap[:-1]) < _NEAR) & (np.abs(gap[1:]) < _NEAR))
    if (
        close.size
    ):  # nearly touching: double roots may have neighbours (SiLU's half-stable point has one 2 % away)
        fine = [np.geomspace(known[i], known[i + 1], _FINER + 1)[1:-1] for i in close]
        known, gap = _gaps(length, np.unique(np.concatenate([known, *fine])))
    if known.size < 2:
        return [math.nan], "no second moment can be computed for this activation"

    def log_gap(x: float) -> float:
        return float(np.log(length.value(math.exp(x)))) - x

    def tilt(x: float) -> float:  # d log_gap / dx
        q = math.exp(x)
        return float(length.slope(q)) * q / float(length.value(q)) - 1

    x = np.log(known)
    slopes = evaluate(length.slope, known)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        tilts = slopes / np.exp(gap) - 1
    turns = [root_between(tilt, x[i], x[i + 1]) for i in np.flatnonzero(tilts[:-1] * tilts[1:] < 0)]
    found: list[float] = []
    for turn in turns:
        if abs(log_gap(turn)) <= TOUCH:
            found.append(math.exp(turn))
    edges = np.concatenate([x[:1], turns, x[-1:]])
    heights = [float(gap[0]), *(log_gap(t) for t in turns), float(gap[-1])]
    for (left, low), (right, high) in zip(
        zip(edges[:-1], heights[:-1], strict=True), zip(edges[1:], heights[1:], strict=True), strict=True
    ):
        if abs(low) > TOUCH and abs(high) > TOUCH and low * high < 0:
            found.append(math.exp(root_between(log_gap, left, right)))
    found.sort()
    if length.bias_variance == 0 and float(length.activation(np.zeros(1))[0]) == 0:
        found.insert(0, 0.0)
    if found:
        return found, ""
    return [math.nan], "q grows without bound" if gap[-1] > 0 else "no fixed point in the range searched"


def _gaps(length: LengthMap, grid: Array) -> tuple[Array, Array]:
    """Second moments where the map can be computed, and log F(q)/q there."""
    value = evaluate(length.value, grid)
    good = np.isfinite(value) & (value > 0)
    # Not the logarithm of the ratio, which can leave double precision where its parts do not.
    return grid[good], np.log(value[good]) - np.log(grid[good])


def _homogeneous_roots(length: LengthMap) -> tuple[list[float], str]:
    """F(q) = sigma_b² + k q: solve by hand."""
    slope = length.weight_variance * float(
        length.activation.moments(1.0, fields=("second_moment",)).second_moment
    )
    if length.bias_variance == 0:
        return [0.0], ""
    if slope < 1:
        return [length.bias_variance / (1 - slope)], ""
    return [math.nan], "q grows without bound"


def _describe(length: LengthMap, q: float, reason: str) -> dict[str, object]:
    row: dict[str, object] = {
        "activation": length.activation.name,
        "weight_variance": length.weight_variance,
        "bias_variance": length.bias_variance,
        "q_star": q,
        "stability": "none",
        "length_slope": math.nan,
        "chi_1": math.nan,
        "phase": "none",
        "c_star": math.nan,
        "correlation_slope": math.nan,
        "xi_q": math.nan,
        "xi_c": math.nan,
        "trainable_depth": math.nan,
        "reason": reason,
    }
    if math.isnan(q):
        return row
    # At the origin the slopes are those of the smallest signal that is still resolved.
    at = q if q > 0 else LOWEST
    slope, chi = float(length.slope(at)), float(length.chi(at))
    if _is_proportional(length):
        slope = float(length.value(1.0))
        if abs(slope - 1) <= TOUCH:
            row["reason"] = "every q is a fixed point"
    c_star, c_slope, c_reason = correlation_fixed_point(length, at)
    row |= {
        "stability": _stability(length, q, slope),
        "length_slope": slope,
        "chi_1": chi,
        "phase": phase(chi),
        "c_star": c_star,
        "correlation_slope": c_slope,
        "xi_q": depth_scale(slope),
        "xi_c": depth_scale(c_slope),
        "trainable_depth": TRAINABLE_XI * depth_scale(c_slope),
        "reason": row["reason"] or c_reason,
    }
    return row


def _stability(length: LengthMap, q: float, slope: float) -> str:
    if abs(abs(slope) - 1) > TOUCH:
        return "stable" if abs(slope) < 1 else "unstable"
    if _is_proportional(length):
        return "neutral"
    # Slope 1: look at which sides are attracted. q = 0 has one side only.
    step = 1e-3
    above = float(length.value(q * (1 + step) if q > 0 else step)) < (q * (1 + step) if q > 0 else step)
    if q == 0:
        return "stable" if above else "unstable"
    below = float(length.value(q * (1 - step))) > q * (1 - step)
    return {2: "stable", 1: "half-stable", 0: "unstable"}[above + below]


def correlation_fixed_point(length: LengthMap, q: float) -> tuple[float, float, str]:
    """Return (c*, C'(c*), reason) at second moment `q`.

    c* is the correlation that two different inputs tend to: 1 in the ordered and critical phases; in the
    chaotic phase the unique root of C(c) = c below 1 (C is a power series with nonnegative coefficients,
    so it is convex). The slope at c* = 1 is chi_1.
    """
    phi, sw2 = length.activation, length.weight_variance
    chi = float(length.chi(q))
    if math.isnan(chi) or chi <= 1 + TOUCH:
        return 1.0, chi, ""
    moments = phi.moments(q, fields=("mean", "second_moment"))

    def excess(log_gap: float) -> float:
        """C(c) - c times q, with 1 - c = exp(log_gap)."""
        gap = math.exp(log_gap)
        pair = phi.pair_moments(q, q, one_minus_correlation=gap, fields=("squared_difference",))
        # E phi² - E phi phi = E (phi(u) - phi(v))²/2, which keeps its digits where the two inputs merge.
        return q * gap - sw2 * float(pair.squared_difference) / 2

    if length.bias_variance == 0 and float(moments.mean) ** 2 <= 1e-30 * float(moments.second_moment):
        c_star, gap = 0.0, 1.0
    else:
        lowest = math.log(1e-13)
        if excess(lowest) >= 0:
            return 1.0, chi, "c* is within 1e-13 of 1"
        if excess(0.0) <= 0:
            c_star, gap = 0.0, 1.0
        else:
            gap = math.exp(root_between(excess, lowest, 0.0))
            c_star = 1 - gap
    slope = phi.pair_moments(q, q, one_minus_correlation=gap, fields=("derivative_product",))
    return c_star, sw2 * float(slope.derivative_product), ""
