"""Gauss-Legendre panels on both scales of E f(z), z ~ N(m, q), split at kinks and refined where needed.

Two scales meet in such an integral: the Gaussian varies with g = (z - m)/sqrt(q), the function with z. Panel
edges at g = 0, 0.5, …, 8, 10, 13, at z = ±0.5, …, ±3 and on by factors of 1.4, and at the kinks resolve both
for any q; Gauss-Hermite, which knows only g, is off by 80 % for tanh'² at q = 100. Panels are halved where their
own highest Legendre coefficients show them to be unresolved, or where the polynomials of two neighbours disagree
at their common edge (a jump between the edge and the nearest node), until all is well or a budget is spent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from varprop.moments.rule import Array, end_values, nodes_of, relative_error, roughness, scale_edges

_NEAR = np.concatenate([np.arange(0, 8.25, 0.5), [10.0, 13.0]])
_FAR = np.array([16.0, 19.0, 22.0, 25.0, 28.0, 31.0, 34.5, 38.0])
_TOLERANCE = 1e-15
_SEAM = 1e-12  # error that may hide between an edge and the nearest node, relative to the whole
_GAP = 0.01  # that distance, relative to the panel
_BUDGET = 6000  # panels for one expectation
_CHUNK = 1 << 14  # panels evaluated at a time


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


@dataclass
class _Batch:
    """Measured panels: ends, integral of |f|, estimated error, and f extrapolated to both ends."""

    item: Any
    low: Array
    high: Array
    size: Array
    estimate: Array
    left: Array
    right: Array

    def take(self, chosen: Any) -> _Batch:
        """Return the chosen panels."""
        return _Batch(**{part.name: getattr(self, part.name)[..., chosen] for part in fields(self)})

    def joined(self, other: _Batch) -> _Batch:
        """Return the panels of both."""

        def both(name: str) -> Any:
            return np.concatenate([getattr(self, name), getattr(other, name)], axis=-1)

        return _Batch(**{part.name: both(part.name) for part in fields(self)})


def _resolve(f: Components, q: Array, m: Array, kinks: Sequence[float], grid: Array) -> Panels:
    s, count = np.sqrt(q), q.size
    fresh = _measure(f, s, m, *_first_panels(s, m, kinks, grid))
    done = fresh.take(slice(0, 0))
    budget = np.full(count, _BUDGET)
    while True:
        total = _sum_by(done.size, done.item, count) + _sum_by(fresh.size, fresh.item, count)
        with np.errstate(invalid="ignore"):
            bad = (fresh.estimate > _TOLERANCE * total[:, fresh.item]).any(axis=0)
        bad &= _divisible(fresh, budget)
        split = fresh.take(bad)
        done = done.joined(fresh.take(~bad))
        if not split.item.size:
            order = np.lexsort((done.low, done.item))
            done = done.take(order)
            torn = _torn(done, total, s, m, kinks) & _divisible(done, budget)
            split = done.take(torn)
            done = done.take(~torn)
            if not split.item.size:
                break
        budget -= np.bincount(split.item, minlength=count)
        middle = 0.5 * (split.low + split.high)
        fresh = _measure(
            f,
            s,
            m,
            np.concatenate([split.item, split.item]),
            np.concatenate([split.low, middle]),
            np.concatenate([middle, split.high]),
        )
    error = _sum_by(done.estimate, done.item, count)
    edge = np.minimum(np.abs(done.low), np.abs(done.high)) >= grid[-2]
    tail = _sum_by(done.size[:, edge], done.item[edge], count)
    error[tail > 1e-17 * total] = np.inf
    return Panels(done.item, done.low, done.high, error)


def _divisible(batch: _Batch, budget: Any) -> npt.NDArray[np.bool_]:
    wide = batch.high - batch.low > 1e-14 * (1 + np.abs(batch.low))
    return np.asarray(wide & (budget[batch.item] > 0))


def _torn(batch: _Batch, total: Array, s: Array, m: Array, kinks: Sequence[float]) -> npt.NDArray[np.bool_]:
    """Find the neighbours whose polynomials do not meet where they should.

    Panels of one integral leave nothing out but slivers between edges that differ by roundoff: one is the neighbour of
    the next. What is looked at is the same from both sides, so that mirror images have the same panels.
    """
    joint = batch.item[1:] == batch.item[:-1]
    z = m[batch.item[1:]] + s[batch.item[1:]] * (0.5 * (batch.high[:-1] + batch.low[1:]))
    for k in kinks:
        joint &= np.abs(z - k) > 1e-12 * (1 + abs(k))
    width = np.maximum((batch.high - batch.low)[:-1], (batch.high - batch.low)[1:])
    with np.errstate(invalid="ignore"):
        hidden = _GAP * width * np.abs(batch.right[:, :-1] - batch.left[:, 1:])
        seam = joint & (hidden > _SEAM * total[:, batch.item[1:]]).any(axis=0)
    torn = np.zeros(batch.item.size, dtype=bool)
    torn[1:] |= seam
    torn[:-1] |= seam
    return torn


def _first_panels(s: Array, m: Array, kinks: Sequence[float], grid: Array) -> tuple[Any, Array, Array]:
    reach = grid[-1]
    z = np.array(scale_edges(float(np.max(np.abs(m) + reach * s))))
    z = np.concatenate([-z, [0.0], z, np.asarray(kinks, dtype=float)])
    g = np.concatenate([-grid[:0:-1], grid])
    with np.errstate(over="ignore"):
        edges = np.clip((z - m[:, None]) / s[:, None], -reach, reach)
    edges = np.sort(np.concatenate([np.broadcast_to(g, (s.size, g.size)), edges], axis=1), axis=1)
    low, high = edges[:, :-1], edges[:, 1:]
    keep = high - low > 1e-15 * (1 + np.maximum(np.abs(low), np.abs(high)))
    item = np.broadcast_to(np.arange(s.size)[:, None], keep.shape)
    return item[keep], low[keep], high[keep]


def _measure(f: Components, s: Array, m: Array, item: Any, low: Array, high: Array) -> _Batch:
    """Evaluate panels."""
    parts: list[list[Array]] = [[], [], [], []]
    for start in range(0, item.size, _CHUNK):
        part = slice(start, start + _CHUNK)
        g, w = nodes_of(low[part], high[part])
        bell = np.exp(-0.5 * g * g) / np.sqrt(2 * np.pi)
        with np.errstate(over="ignore", invalid="ignore"):  # a diverging f is found out by its size
            values = np.asarray(f(m[item[part], None] + s[item[part], None] * g)) * bell
            size = (np.abs(values) * w).sum(axis=-1)
            found = (size, size * relative_error(roughness(values)), *end_values(values))
        for column, array in zip(parts, found, strict=True):
            column.append(array)
    return _Batch(item, low, high, *(np.concatenate(column, axis=1) for column in parts))


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


def _sum_by(values: Array, item: Any, count: int) -> Array:
    return np.stack([np.bincount(item, weights=row, minlength=count) for row in values])
