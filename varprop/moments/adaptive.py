"""E f(z), z ~ N(m, q), by Gauss-Legendre panels on both scales, split at kinks and refined where needed.

Two scales meet in such an integral: the Gaussian varies with g = (z - m)/sqrt(q), the function with z. Panel
edges at g = 0, 0.5, …, 8, 10, 13, at z = ±0.5, …, ±3 and on by factors of 1.4, and at the kinks resolve both
for any q; Gauss-Hermite, which knows only g, is off by 80 % for tanh'² at q = 100. Panels that their own
highest Legendre coefficients show to be unresolved are halved, until they are or a budget is spent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from varprop._validation import InputError, described
from varprop.moments.rule import Array, nodes_of, relative_error, roughness, scale_edges

_NEAR = np.concatenate([np.arange(0, 8.25, 0.5), [10.0, 13.0]])
_FAR = np.array([16.0, 19.0, 22.0, 25.0, 28.0, 31.0, 34.5, 38.0])
_TOLERANCE = 1e-15
_BUDGET = 6000  # panels for one expectation
_CHUNK = 1 << 14  # panels evaluated at a time
ACCURACY = 1e-12


@dataclass(frozen=True)
class Panels:
    """Panels in g of several integrals, sorted by integral and position.

    Attributes
    ----------
    item : ndarray of int
        Which integral a panel belongs to.
    low, high : ndarray
        Its ends.
    error : ndarray, shape (components, items)
        Estimated absolute quadrature error; infinite where the tails do not decay.
    """

    item: npt.NDArray[np.intp]
    low: Array
    high: Array
    error: Array


Components = Callable[[Array], Any]
"""From z, shape (panels, 16), to the integrands there, shape (components, panels, 16)."""


def resolve(f: Components, q: Array, m: Array, kinks: Sequence[float]) -> Panels:
    """Lay panels on which every component of `f` is resolved, for each z ~ N(m[i], q[i]).

    Parameters
    ----------
    f : callable
        The integrands without the Gaussian.
    q, m : ndarray, shape (items,)
        Variances, positive, and means.
    kinks : sequence of float
        Where the integrands are not smooth.
    """
    near = _resolve(f, q, m, kinks, _NEAR)
    heavy = np.flatnonzero(near.error.max(axis=0) == np.inf)
    if heavy.size == 0:
        return near
    far = _resolve(f, q[heavy], m[heavy], kinks, np.concatenate([_NEAR, _FAR]))
    error = near.error.copy()
    error[:, heavy] = far.error
    keep = ~np.isin(near.item, heavy)
    item = np.concatenate([near.item[keep], heavy[far.item]])
    low, high = np.concatenate([near.low[keep], far.low]), np.concatenate([near.high[keep], far.high])
    order = np.lexsort((low, item))
    return Panels(item[order], low[order], high[order], error)


def _resolve(f: Components, q: Array, m: Array, kinks: Sequence[float], grid: Array) -> Panels:
    s, count = np.sqrt(q), q.size
    item, low, high = _first_panels(s, m, kinks, grid)
    done: list[tuple[Any, ...]] = []
    total: Any = 0.0
    budget = np.full(count, _BUDGET)
    outermost = grid[-2]
    while item.size:
        size, estimate = _measure(f, s, m, item, low, high)
        pending = _sum_by(size, item, count)
        with np.errstate(invalid="ignore"):
            bad = (estimate > _TOLERANCE * (total + pending)[:, item]).any(axis=0)
        bad &= (high - low > 1e-14 * (1 + np.abs(low))) & (budget[item] > 0)
        good = ~bad
        done.append((item[good], low[good], high[good], size[:, good], estimate[:, good]))
        total = total + _sum_by(size[:, good], item[good], count)
        budget -= np.bincount(item, minlength=count)
        middle = 0.5 * (low[bad] + high[bad])
        item = np.concatenate([item[bad], item[bad]])
        low, high = np.concatenate([low[bad], middle]), np.concatenate([middle, high[bad]])
    item, low, high = (np.concatenate([d[i] for d in done]) for i in range(3))
    size, estimate = (np.concatenate([d[i] for d in done], axis=1) for i in (3, 4))
    error = _sum_by(estimate, item, count)
    edge = np.minimum(np.abs(low), np.abs(high)) >= outermost
    tail = _sum_by(size[:, edge], item[edge], count)
    error[tail > 1e-17 * total] = np.inf
    order = np.lexsort((low, item))
    return Panels(item[order], low[order], high[order], error)


def _first_panels(s: Array, m: Array, kinks: Sequence[float], grid: Array) -> tuple[Any, Array, Array]:
    reach = grid[-1]
    z = np.array(scale_edges(float(np.max(np.abs(m) + reach * s))))
    z = np.concatenate([-z, [0.0], z, np.asarray(kinks, dtype=float)])
    g = np.concatenate([-grid[:0:-1], grid])
    with np.errstate(over="ignore"):
        edges = np.clip((z - m[:, None]) / s[:, None], -reach, reach)
    edges = np.sort(np.concatenate([np.broadcast_to(g, (s.size, g.size)), edges], axis=1), axis=1)
    low, high = edges[:, :-1], edges[:, 1:]
    keep = high - low > 1e-15 * (1 + np.abs(low))
    item = np.broadcast_to(np.arange(s.size)[:, None], keep.shape)
    return item[keep], low[keep], high[keep]


def _measure(f: Components, s: Array, m: Array, item: Any, low: Array, high: Array) -> tuple[Array, Array]:
    """Return each panel's integral of |f| and its estimated error, shape (components, panels)."""
    sizes, estimates = [], []
    for start in range(0, item.size, _CHUNK):
        part = slice(start, start + _CHUNK)
        g, w = nodes_of(low[part], high[part])
        bell = np.exp(-0.5 * g * g) / np.sqrt(2 * np.pi)
        with np.errstate(over="ignore", invalid="ignore"):  # a diverging f is found out by its size
            values = np.asarray(f(m[item[part], None] + s[item[part], None] * g)) * bell
            size = (np.abs(values) * w).sum(axis=-1)
            sizes.append(size)
            estimates.append(size * relative_error(roughness(values)))
    return np.concatenate(sizes, axis=1), np.concatenate(estimates, axis=1)


def _sum_by(values: Array, item: Any, count: int) -> Array:
    return np.stack([np.bincount(item, weights=row, minlength=count) for row in values])


def expectation(
    f: Callable[[Any], Any],
    variance: npt.ArrayLike,
    mean: npt.ArrayLike = 0.0,
    kinks: Sequence[float] = (),
    *,
    floor: float = 1e-3,
) -> Any:
    """Return E f(z) for z ~ N(mean, variance) to about 1e-12.

    Parameters
    ----------
    f : callable
        Vectorised, from an array to an array of its shape.
    variance, mean : array_like
        Broadcast together; variance 0 gives f(mean) itself.
    kinks : sequence of float
        Where f is not smooth. An undeclared kink costs time, not accuracy.
    floor : float
        The error may reach 1e-12 of E f or of `floor` times E \\|f\\|, whichever is larger.

    Raises
    ------
    InputError
        Where quadrature cannot reach that: f oscillates too fast, the moment diverges, f is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> round(float(expectation(np.abs, 1.0, kinks=(0.0,)) * np.sqrt(np.pi / 2)), 14)
    1.0
    """
    q, m = gaussian_arguments(variance, mean)
    flat_q, flat_m = q.ravel(), m.ravel()
    result = np.empty(flat_q.shape)
    point = flat_q == 0
    if point.any():
        result[point] = f(flat_m[point])
    if not point.all():
        qs, ms = flat_q[~point], flat_m[~point]
        panels = resolve(lambda z: np.asarray(f(z))[None], qs, ms, kinks)
        values, sizes = integrate(lambda z: np.asarray(f(z))[None], panels, qs, ms)
        check_reached("expectation", values[0], sizes[0], panels.error[0], floor, qs)
        result[~point] = values[0]
    return result.reshape(q.shape)[()]


def integrate(f: Components, panels: Panels, q: Array, m: Array) -> tuple[Array, Array]:
    """Return the integrals of f and of |f|, shape (components, items), on given panels."""
    s, values, sizes = np.sqrt(q), [], []
    for start in range(0, panels.item.size, _CHUNK):
        part = slice(start, start + _CHUNK)
        item = panels.item[part]
        g, w = nodes_of(panels.low[part], panels.high[part])
        with np.errstate(over="ignore", invalid="ignore"):
            weighted = np.asarray(f(m[item, None] + s[item, None] * g)) * (
                w * np.exp(-0.5 * g * g) / np.sqrt(2 * np.pi)
            )
        values.append(weighted.sum(axis=-1))
        sizes.append(np.abs(weighted).sum(axis=-1))
    return (
        _sum_by(np.concatenate(values, axis=1), panels.item, q.size),
        _sum_by(np.concatenate(sizes, axis=1), panels.item, q.size),
    )


def check_reached(what: str, value: Array, size: Array, error: Array, floor: float, q: Array) -> None:
    """Raise `InputError` unless estimated and rounding errors are within `ACCURACY`.

    Rounding errors of some hundred terms are taken as a quarter of the unit roundoff of the sum of sizes. A
    sum of exactly 0 is a symmetry, not a coincidence.
    """
    allowed = ACCURACY * np.maximum(np.abs(value), floor * size)
    doubtful = (error + 0.25 * np.finfo(float).eps * size > allowed) & (value != 0)
    doubtful |= ~np.isfinite(error) & (size > 0)
    if doubtful.any():
        worst = float(q[np.argmax(doubtful)])
        raise InputError(
            "variance",
            described(f"{worst:g} for {what}"),
            "a variance at which quadrature reaches 1e-12: here the function oscillates too fast, its parts "
            "cancel, or the moment diverges",
        )


def gaussian_arguments(variance: npt.ArrayLike, mean: npt.ArrayLike) -> tuple[Array, Array]:
    """Return variance and mean as float64 arrays of one shape; refuse what is not finite or negative."""
    try:
        q, m = np.asarray(variance, dtype=np.float64), np.asarray(mean, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError("variance", variance, "numbers of at least 0") from None
    if not np.isfinite(q).all() or (q < 0).any():
        worst = q[~(np.isfinite(q) & (q >= 0))].ravel()[0]
        raise InputError("variance", float(worst), "a finite number of at least 0")
    if not np.isfinite(m).all():
        raise InputError("mean", float(m[~np.isfinite(m)].ravel()[0]), "a finite number")
    try:
        q, m = np.broadcast_arrays(q, m)
    except ValueError:
        raise InputError("mean", described(f"shape {m.shape}"), f"a shape that fits {q.shape}") from None
    return q, m
