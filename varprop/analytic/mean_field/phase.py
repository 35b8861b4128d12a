"""The phase diagram in the (sigma_w², sigma_b²) plane.

The phase diagram needs c* at every point. Subtracting the length map's fixed point from the correlation map's
leaves one equation in which sigma_b² no longer appears,

    [E phi(z)² - E phi(u) phi(v)] / (q (1 - c)) = 1 / sigma_w²,

so c* is read from one table in (log q, arccos c) by spline instead of being solved for point by point.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline, RectBivariateSpline

from varprop._validation import InputError, check_real, described
from varprop.activations import Activation, activation
from varprop.analytic.mean_field.length_map import HIGHEST, LOWEST, depth_scale, phase

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]


def phase_diagram(
    phi: str | Activation | Callable[..., object],
    weight_variance: Sequence[float] | Array | None = None,
    bias_variance: Sequence[float] | Array | None = None,
    *,
    start: float = 1.0,
) -> pd.DataFrame:
    """Phase, fixed point and depth scales over a grid of weight and bias variances.

    Parameters
    ----------
    phi : str, Activation or callable
        The activation.
    weight_variance, bias_variance : sequence of float, optional
        Grid values of sigma_w² (default 100 from 0.1 to 5) and sigma_b² (default 100 from 0 to 1).
    start : float
        Second moment of the first layer; where several fixed points exist, the one reached from here.

    Returns
    -------
    DataFrame
        One row a grid point: ``activation, weight_variance, bias_variance, q_star, length_slope, chi_1,
        phase, c_star, correlation_slope, xi_q, xi_c``. Where q grows without bound q_star is infinite and
        the phase ``unbounded``. c* comes from a spline in (log q, arccos c); its error is below 1e-6.

    Raises
    ------
    InputError
        If a grid is empty, negative or not finite.

    Notes
    -----
    Poole et al. (2016), figure 1; Schoenholz et al. (2017), figure 2.

    Examples
    --------
    >>> frame = phase_diagram("tanh", [0.5, 3.0], [0.05])
    >>> list(frame.phase)
    ['ordered', 'chaotic']
    """
    import pandas as pd

    act = activation(phi)
    sw2 = _grid("weight_variance", np.linspace(0.1, 5, 100) if weight_variance is None else weight_variance)
    sb2 = _grid("bias_variance", np.linspace(0, 1, 100) if bias_variance is None else bias_variance)
    check_real("start", start, minimum=0.0, exclusive=True)
    w, b = (m.ravel() for m in np.meshgrid(sw2, sb2, indexing="ij"))
    q = _attractors(act, w, b, start)
    inner = np.isfinite(q) & (q > 0)
    at = np.where(inner, q, np.where(q == 0, LOWEST, 1.0))
    fields = ("mean", "second_moment", "derivative_second_moment", "z_phi_dphi")
    m = act.moments(at, fields=fields)
    chi = w * np.asarray(m.derivative_second_moment)
    slope = w * np.asarray(m.z_phi_dphi) / at
    bounded = np.isfinite(q)
    chi, slope = np.where(bounded, chi, np.nan), np.where(bounded, slope, np.nan)
    c_star, c_slope = _correlations(act, at, w, b, chi, np.asarray(m.mean))
    return pd.DataFrame(
        {
            "activation": act.name,
            "weight_variance": w,
            "bias_variance": b,
            "q_star": q,
            "length_slope": slope,
            "chi_1": chi,
            "phase": [phase(x) if ok else "unbounded" for x, ok in zip(chi, bounded, strict=True)],
            "c_star": c_star,
            "correlation_slope": c_slope,
            "xi_q": [depth_scale(x) for x in slope],
            "xi_c": [depth_scale(x) for x in c_slope],
        }
    )


def _grid(field: str, values: Sequence[float] | Array) -> Array:
    array = np.atleast_1d(np.asarray(values, dtype=float))
    if array.ndim != 1 or array.size == 0:
        raise InputError(field, described(f"shape {array.shape}"), "a sequence of at least one value")
    bad = ~(np.isfinite(array) & (array >= 0))
    if bad.any():
        raise InputError(
            f"{field}[{int(np.argmax(bad))}]", float(array[bad][0]), "a finite number of at least 0"
        )
    return array


def _attractors(act: Activation, w: Array, b: Array, start: float) -> Array:
    """Fixed point reached from `start` at every (w, b), by bracketing on a grid and Newton's method."""
    if act.slopes is not None:
        k = w * float(act.moments(1.0, fields=("second_moment",)).second_moment)
        with np.errstate(divide="ignore", invalid="ignore"):
            interior = np.where(k < 1, b / (1 - k), np.inf)
        return np.where(
            (b == 0) & (np.abs(k - 1) <= 1e-9), start, np.where((b == 0) & (k < 1), 0.0, interior)
        )
    nodes = np.geomspace(LOWEST, HIGHEST, 22 * 24 + 1)
    nodes[np.argmin(np.abs(np.log(nodes / start)))] = start
    square = np.asarray(act.moments(nodes, fields=("second_moment",)).second_moment)
    first = int(np.argmin(np.abs(nodes - start)))
    gap = b[:, None] + w[:, None] * square[None, :] - nodes[None, :]
    rising = gap[:, first] >= 0
    # From the start q moves monotonically to the first root on its side of the map.
    up = gap[:, first:] < 0
    down = gap[:, : first + 1][:, ::-1] >= 0
    above = np.where(up.any(1), first + np.argmax(up, 1), -1)
    below = np.where(down.any(1), first - np.argmax(down, 1), -1)
    low = np.where(rising, above - 1, below)
    found = np.where(rising, above > 0, below >= 0)
    q = np.where(rising, np.inf, 0.0)
    lo, hi = nodes[np.clip(low, 0, nodes.size - 2)], nodes[np.clip(low, 0, nodes.size - 2) + 1]
    w, b, lo, hi = w[found], b[found], lo[found], hi[found]
    x = _bisected(w, b, lo, hi, CubicSpline(np.log(nodes), np.log(square)))
    for _ in range(2):  # Newton's method squares the spline's error of 1e-7 twice
        m = act.moments(x, fields=("second_moment", "z_phi_dphi"))
        value = b + w * np.asarray(m.second_moment)
        slope = w * np.asarray(m.z_phi_dphi) / x
        new = x + (value - x) / np.where(np.abs(1 - slope) > 1e-6, 1 - slope, 1.0)
        # Near a tangency a step may leave the bracket: fall back to the map itself, which is monotone.
        x = np.where((new > lo) & (new < hi), new, np.clip(value, lo, hi))
    q[found] = x
    return q


def _bisected(w: Array, b: Array, lo: Array, hi: Array, log_square: CubicSpline) -> Array:
    """Roots of b + w V(q) = q between `lo` and `hi`, with V interpolated in the logarithms."""
    below = b + w * np.exp(log_square(np.log(lo))) >= lo
    for _ in range(40):
        mid = np.sqrt(lo * hi)
        same = (b + w * np.exp(log_square(np.log(mid))) >= mid) == below
        lo, hi = np.where(same, mid, lo), np.where(same, hi, mid)
    return np.asarray(np.sqrt(lo * hi))


def _correlations(
    act: Activation, q: Array, w: Array, b: Array, chi: Array, mean: Array
) -> tuple[Array, Array]:
    """c* and C'(c*) for every point; 1 and chi_1 outside the chaotic phase."""
    c_star, slope = np.where(np.isnan(chi), np.nan, 1.0), chi.copy()
    chaotic = chi > 1 + 1e-9
    if not chaotic.any():
        return c_star, slope
    x = np.log(q[chaotic])
    pad = 1e-9 + 0.02 * (x.max() - x.min())
    xs = np.linspace(x.min() - pad, x.max() + pad, 48)
    theta = np.linspace(0.0, math.pi / 2, 49)
    lengths = np.exp(xs)[:, None]
    gap = 2 * np.sin(theta[1:] / 2) ** 2  # 1 - cos without cancellation
    pair = act.pair_moments(lengths, lengths, one_minus_correlation=gap)
    m = act.moments(lengths, fields=("second_moment", "derivative_second_moment"))
    top = np.asarray(m.derivative_second_moment)  # the limit of the ratio as c -> 1
    # The smallest gap is 5e-4: the difference keeps twelve digits.
    ratio = (np.asarray(m.second_moment) - np.asarray(pair.product)) / (lengths * gap)
    ratios = np.concatenate([np.broadcast_to(top, (xs.size, 1)), ratio], axis=1)
    slopes = np.concatenate([np.broadcast_to(top, (xs.size, 1)), np.asarray(pair.derivative_product)], axis=1)
    ratio_of, slope_of = RectBivariateSpline(xs, theta, ratios), RectBivariateSpline(xs, theta, slopes)
    target = 1 / w[chaotic]
    # The ratio falls as theta grows (C is convex): bisect for theta.
    lo, hi = np.zeros_like(x), np.full_like(x, math.pi / 2)
    for _ in range(48):
        mid = (lo + hi) / 2
        big = ratio_of.ev(x, mid) > target
        lo, hi = np.where(big, mid, lo), np.where(big, hi, mid)
    angle = (lo + hi) / 2
    even = (b[chaotic] == 0) & (mean[chaotic] ** 2 <= 1e-28 * q[chaotic])
    angle = np.where(even, math.pi / 2, angle)
    c_star[chaotic] = np.where(even, 0.0, np.cos(angle))
    slope[chaotic] = w[chaotic] * slope_of.ev(x, angle)
    return c_star, slope
