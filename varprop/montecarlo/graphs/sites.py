"""What is measured at a site on the way forward."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from varprop.montecarlo.graphs.program import Spot
from varprop.montecarlo.samplers.pseudo import pseudo_variance
from varprop.montecarlo.samplers.records import Records
from varprop.montecarlo.samplers.reductions import NeedsDouble, count, dot, square_sum, total
from varprop.montecarlo.scaled import Power

Array = NDArray[Any]

# Columns nearer to one another than this (as a share of z²) would differ by rounding in single precision.
_CLOSE = 1e-7

_STRETCH = 1 << 12
"""Rows whose squares are added in the array's own precision."""

_SAFE = {np.dtype(np.float32): (1e-30, 1e30), np.dtype(np.float64): (1e-280, 1e280)}


def column_squares(z: Array) -> Array:
    """Return the sums of squares of columns, float64 of shape (draws, N)."""
    parts = (z[:, start : start + _STRETCH] for start in range(0, z.shape[1], _STRETCH))
    return sum((np.einsum("rij,rij->rj", p, p) for p in parts), np.zeros((len(z), z.shape[2])))


def sum_of_squares(z: Array, columns: Array) -> tuple[Array, Power]:
    """Return each draw's sum of squares as `square_sum` does, given those of its columns."""
    sums = columns.sum(axis=1)
    least, greatest = _SAFE[z.dtype]
    return (sums, 0) if least < sums.min() and sums.max() < greatest else square_sum(z)


def measure_values(spot: Spot, z: Array, examples: int, records: Records) -> None:
    """Measure z, shape (draws, n, B T)."""
    number, columns = spot.number, column_squares(z)
    second, power = sum_of_squares(z, columns)
    records.put("preactivation_second_moment", number, second / z[0].size, power)
    rows = np.matmul(z, _looks(z, columns, examples))
    means = rows[:, :, 0]
    records.put("preactivation_mean", number, means.sum(axis=1, dtype=np.float64) / spot.features)
    if spot.weighted:
        _variance(spot, z, second, power, records)
    if z.shape[2] > 1:
        deviation, own = _deviation(z, means, second, power)
        records.put("data_variance", number, deviation / (spot.features * (z.shape[2] - 1)), own)
        _correlations(spot, columns, rows[:, :, 1:], examples, records)


def _looks(z: Array, squares: Array, examples: int) -> Array:
    """Return the matrix that makes of z the mean over columns, and sums of unit vectors example by example."""
    draws, number = squares.shape
    look = np.zeros((draws, number, 1 + (examples if number > 1 else 0)), z.dtype)
    look[:, :, 0] = z.dtype.type(1.0 / number)
    if number > 1:
        places = np.arange(number)
        inverse = np.divide(1.0, np.sqrt(squares), out=np.zeros_like(squares), where=squares > 0)
        look[:, places, 1 + places // (number // examples)] = inverse
    return look


def _variance(spot: Spot, z: Array, second: Array, power: Power, records: Records) -> None:
    if spot.mean == "none":
        records.put("preactivation_variance", spot.number, 0.0)
    elif spot.mean == "known":
        if spot.offset:
            second, power = square_sum(z - z.dtype.type(spot.offset))
        records.put("preactivation_variance", spot.number, second / z[0].size, power)
    else:
        draws, features, columns = z.shape
        shape = (draws, 1, -1) if spot.mean == "units" else (draws, features, columns)
        pseudo = pseudo_variance(z.reshape(shape))
        records.put("preactivation_variance", spot.number, pseudo)
        if np.isfinite(second).all():
            records.skip("preactivation_variance", spot.number, np.isnan(pseudo))


def _deviation(z: Array, means: Array, second: Array, power: Power) -> tuple[Array, Power]:
    """Return each draw's sum of squares about the means over columns."""
    if isinstance(power, int):
        deviation = second - z.shape[2] * dot(means, means)
        if (deviation > second / 2).all():
            return deviation, 0
    # Deviations first, then squares: the difference of sums would cancel where all columns look alike.
    deviation, own = square_sum(z - means[:, :, None])
    if z.dtype == np.float32 and np.any((deviation > 0) & (deviation < _CLOSE * second)):
        raise NeedsDouble
    return deviation, own


def _correlations(spot: Spot, squares: Array, sums: Array, examples: int, records: Records) -> None:
    """Enter the mean cosines of pairs; `sums` has each example's sum of unit vectors, shape (draws, n, B).

    A sum of unit vectors has as its squared length the number of vectors plus the sum of all cosines of ordered pairs.
    """
    used = (squares > 0).reshape(len(squares), examples, -1).sum(axis=2)
    own = np.einsum("rib,rib->rb", sums, sums).astype(np.float64)
    defined = bool(np.isfinite(squares).all())
    if spot.positions > 1:
        inside, pairs = (own - used).sum(axis=1), (used * (used - 1)).sum(axis=1)
        _enter("token_correlation", spot, inside, pairs, defined, records)
    if examples > 1:
        everything = dot(sums.sum(axis=2), sums.sum(axis=2))
        across, everyone = everything - own.sum(axis=1), used.sum(axis=1)
        _enter("correlation", spot, across, everyone**2 - (used**2).sum(axis=1), defined, records)


def _enter(name: str, spot: Spot, cosines: Array, pairs: Array, defined: bool, records: Records) -> None:
    mean = np.divide(cosines, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)
    records.put(name, spot.number, mean)
    if defined:
        records.skip(name, spot.number, np.isnan(mean))


def measure_activations(spot: Spot, z: Array, value: Array, slope: Array, records: Records) -> None:
    """Measure phi(z) and phi'(z)."""
    number, size = spot.number, value[0].size
    second, power = square_sum(value)
    records.put("activation_second_moment", number, second / size, power)
    records.put("activation_mean", number, total(value) / size)
    slopes, power = square_sum(slope)
    records.put("derivative_second_moment", number, slopes / size, power)
    outside = ((-np.inf, spot.low), (spot.high, np.inf))
    saturated = _inside(z, outside) if spot.low < spot.high else np.ones(z.shape, bool)
    records.put("saturated_fraction", number, _share(saturated, size))
    # Often, as for relu, a unit is inactive just where it is saturated.
    same = spot.inactive == ((-np.inf, spot.low),) and spot.high == np.inf
    inactive = saturated if same else _inside(z, spot.inactive)
    records.put("inactive_fraction", number, _share(inactive, size))
    if z.shape[2] > 1:
        dead = None if inactive is None else np.logical_and.reduce(inactive, axis=2)
        records.put("dead_fraction", number, _share(dead, spot.features))


def _share(mask: Array | None, size: int) -> Array:
    return np.zeros(1) if mask is None else count(np.ascontiguousarray(mask)) / size


def _inside(z: Array, intervals: tuple[tuple[float, float], ...]) -> NDArray[np.bool_] | None:
    """Return which entries lie in the union of closed intervals, None if the union is empty."""
    found: NDArray[np.bool_] | None = None
    for low, high in intervals:
        if low == np.inf or high == -np.inf:
            continue
        part = np.ones(z.shape, bool)
        if low > -np.inf:
            part &= z >= z.dtype.type(low)
        if high < np.inf:
            part &= z <= z.dtype.type(high)
        found = part if found is None else found | part
    return found
