"""What is measured at one layer on the way forward."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from varprop.montecarlo.samplers.program import Program, Step
from varprop.montecarlo.samplers.pseudo import pseudo_correlation, pseudo_variance
from varprop.montecarlo.samplers.records import Records
from varprop.montecarlo.samplers.reductions import Columns, NeedsDouble, count, dot, square_sum, total
from varprop.montecarlo.samplers.survey import survey
from varprop.montecarlo.scaled import Power, along, shifted

Array = NDArray[Any]

# Binary exponents beyond which the squares of z, or z itself, leave the range of its precision.
_SINGLE, _DOUBLE = 30, 400
_NEAR_ZERO = 2.0**-300

# Inputs nearer to one another than this (as a share of q) would differ by rounding in single precision.
_CLOSE = 1e-7

_LEAST = 1e-24
"""Sums of squares from here to its inverse hold their products in either precision."""

_STEEP = 1e-2
"""Mean squared slope from which an absolute error of 1e-7 in each slope is below 1e-5 of the mean."""


def measure(
    program: Program, step: Step, y: Array, shift: Power, records: Records, counts: Array
) -> tuple[Columns, Array, Power]:
    """Measure a layer and apply its activation.

    Parameters
    ----------
    y : array of shape (draws, n, B)
        Pre-activations without the biases' mean, in units of ``2**shift``.
    shift : array of int64, shape (draws,), or 0
    records, counts
        Filled in.

    Returns
    -------
    value : Columns of shape (draws, n, B)
        phi(z) in units of ``2**shift`` (the one returned).
    slope : array of shape (draws, n, B)
        phi'(z).
    shift : array of int64, shape (draws,), or 0
        Of `value`; 0 unless the activation is homogeneous.
    """
    number, size = step.number, step.fan_out * program.batch
    z = y
    if step.bias.mean:
        z = y + shifted(np.full((len(y), 1, 1), step.bias.mean), along(-shift, 3)).astype(y.dtype)
    columns = Columns(z)
    seen = survey(program, step, columns, shift)
    second, second_power = columns.squares
    own, power = (second, second_power) if z is y else square_sum(y)
    power, second_power = power + 2 * shift, second_power + 2 * shift
    records.put("preactivation_second_moment", number, second / size, second_power)
    records.put("preactivation_mean", number, seen.total / size, shift)
    if step.mean == "known":
        records.put("preactivation_variance", number, own / size, power)
    else:
        _unknown_mean(step, z, shift, records)
    if program.batch > 1:
        _between_inputs(step, y, columns, shift, records)
    if program.histogram:
        counts[number - 1] += seen.counts

    if not (isinstance(shift, int) or step.homogeneous):
        value, slope, z, shift = _at_true_size(step, z, shift)
        slopes, slopes_power = square_sum(slope)
    else:
        value = step.activation(z)
        slope, slopes, slopes_power = _slope(step, z, value)
    _fractions(program, step, z, seen.saturated, records)
    activations = Columns(value)
    second, second_power = activations.squares
    records.put("activation_second_moment", number, second / size, second_power + 2 * shift)
    records.put("activation_mean", number, total(value) / size, shift)
    records.put("derivative_second_moment", number, slopes / size, slopes_power)
    return activations, slope, shift


def _at_true_size(step: Step, z: Array, shift: Array) -> tuple[Array, Array, Array, Power]:
    """Return phi, phi' and z of pre-activations ``z · 2**shift``, and the exponents that remain.

    So near to 0 that squares would vanish, an activation with phi(0) = 0 and one-sided slopes there is its own
    tangent on either side, and keeps the exponent.
    """
    if z.dtype == np.float32 and np.abs(shift).max() > _SINGLE:
        raise NeedsDouble
    probe = np.array([-1.0, 1.0])
    near, nearer = probe * _NEAR_ZERO, probe * _NEAR_ZERO**2
    tangents = step.activation(near) / near
    linear = np.allclose(tangents, step.activation(nearer) / nearer, rtol=1e-12, atol=0.0)
    tiny = (shift < -_DOUBLE) & linear
    kept = np.where(tiny, shift, 0)
    true = shifted(z, np.where(tiny, 0, shift)[:, None, None])
    value, slope = step.activation(true), step.activation.derivative(true)
    if not tiny.any():
        return value, slope, true, 0
    value[tiny] = z[tiny] * np.where(z[tiny] < 0, tangents[0], tangents[1])
    # Only the sign is left to decide slopes and sets, and must not be lost to 0.
    true[tiny] = np.sign(z[tiny]) * _NEAR_ZERO
    slope[tiny] = step.activation.derivative(true[tiny])
    return value, slope, true, kept


def _slope(step: Step, z: Array, value: Array) -> tuple[Array, Array, Power]:
    """Return phi'(z) and each draw's sum of its squares."""
    cheap = step.activation.slope_of_value
    if cheap is not None and z.dtype == np.float32:
        slope = cheap(value)
        sums = dot(slope, slope)
        # Where all units are far out in the tails, 1 - tanh² and its like have no digits left.
        if sums.min() > _STEEP * slope[0].size:
            return slope, sums, 0
    slope = step.activation.derivative(z)
    return slope, *square_sum(slope)


def _unknown_mean(step: Step, z: Array, shift: Power, records: Records) -> None:
    if step.mean == "none":
        records.put("preactivation_variance", step.number, 0.0)
        return
    common = int(np.max(shift))
    aligned = shifted(z.astype(np.float64), along(shift - common, 3))
    if step.mean == "units":
        aligned = aligned.reshape(len(z), 1, -1)
    pseudo = pseudo_variance(aligned)
    records.put("preactivation_variance", step.number, pseudo, 2 * common)
    if np.isfinite(aligned).all():
        records.skip("preactivation_variance", step.number, np.isnan(pseudo))


def _between_inputs(step: Step, y: Array, z: Columns, shift: Power, records: Records) -> None:
    batch, products = y.shape[2], z.gram
    finite = np.isfinite(products).all()
    deviation, power = _deviation(y, z if z.array is y and finite else None)
    size = step.fan_out * (batch - 1)
    records.put("data_variance", step.number, deviation / size, power + 2 * shift)
    if not isinstance(shift, int):
        products = shifted(products, along(2 * (shift - shift.max()), 3))
    correlation = pseudo_correlation(products)
    records.put("correlation", step.number, correlation)
    if finite:
        records.skip("correlation", step.number, np.isnan(correlation))


def _deviation(y: Array, z: Columns | None) -> tuple[Array, Power]:
    """Return each draw's sum of squares about the mean over inputs, from y's inner products if z tells them."""
    batch = y.shape[2]
    if z is not None and isinstance(z.squares[1], int):
        own = z.squares[0]
        deviation = own - z.gram.reshape(len(y), -1).sum(axis=1) / batch
        if (deviation > own / 2).all() and own.min() > _LEAST and own.max() < 1 / _LEAST:
            return deviation, 0
    # Deviations first, then squares: the difference of sums would cancel where all inputs look alike.
    mean = np.matmul(y, np.full(batch, 1 / batch, y.dtype))
    deviation, power = square_sum(y - mean[:, :, None])
    if y.dtype == np.float32 and np.any((deviation > 0) & (deviation < _CLOSE * dot(y, y))):
        raise NeedsDouble
    return deviation, power


def _fractions(program: Program, step: Step, z: Array, counted: Array | None, records: Records) -> None:
    size, several = step.fan_out * program.batch, program.batch > 1
    low, high = step.low, step.high
    # Often, as for relu, a unit is inactive just where it is saturated.
    same = step.inactive == ((-np.inf, low),) and high == np.inf
    inside = None
    if counted is None or (same and several):
        inside = _inside(z, ((-np.inf, low), (high, np.inf))) if low < high else np.ones(z.shape, bool)
        counted = _counted(inside)
    share = counted / size
    records.put("saturated_fraction", step.number, share)
    if not same:
        inside = _inside(z, step.inactive)
        share = _counted(inside) / size
    records.put("inactive_fraction", step.number, share)
    if several and inside is not None:
        share = count(np.logical_and.reduce(inside, axis=2)) / step.fan_out
    records.put("dead_fraction", step.number, share)


def _counted(mask: NDArray[np.bool_] | None) -> Array:
    return np.zeros(1) if mask is None else count(mask)


def _inside(z: Array, intervals: tuple[tuple[float, float], ...]) -> NDArray[np.bool_] | None:
    """Return which entries lie in the union of closed intervals, None if the union is empty."""
    found: NDArray[np.bool_] | None = None
    for low, high in intervals:
        if low == np.inf or high == -np.inf:
            continue
        if low == -np.inf:
            part = z <= z.dtype.type(high)
        elif high == np.inf:
            part = z >= z.dtype.type(low)
        else:
            part = (z >= z.dtype.type(low)) & (z <= z.dtype.type(high))
        found = part if found is None else found | part
    return found
