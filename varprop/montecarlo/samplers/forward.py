"""What is measured at one layer on the way forward."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from varprop.montecarlo import histograms
from varprop.montecarlo.samplers.program import Program, Step
from varprop.montecarlo.samplers.pseudo import pseudo_correlation, pseudo_variance
from varprop.montecarlo.samplers.records import Records
from varprop.montecarlo.samplers.reductions import NeedsDouble, count, dot, square_sum, total
from varprop.montecarlo.scaled import shifted

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
    program: Program, step: Step, y: Array, shift: Array, records: Records, counts: Array
) -> tuple[Array, Array, Array, tuple[Array, Array | int]]:
    """Measure a layer and apply its activation.

    Parameters
    ----------
    y : array of shape (draws, n, B)
        Pre-activations without the biases' mean, in units of ``2**shift``.
    shift : array of int64, shape (draws,)
    records, counts
        Filled in.

    Returns
    -------
    value, slope : arrays of shape (draws, n, B)
        phi(z) in units of ``2**shift`` (the new one) and phi'(z).
    shift : array of int64, shape (draws,)
        Of `value`; 0 unless the activation is homogeneous.
    squares : (value, exponent)
        Sums of squares of `value`.
    """
    number, size = step.number, step.fan_out * program.batch
    scaled = bool(shift.any())
    z = y
    if step.bias.mean:
        offset = shifted(np.full(len(y), step.bias.mean), -shift)
        z = y + offset.astype(y.dtype)[:, None, None]
    own, power = square_sum(y)
    second, second_power = (own, power) if z is y else square_sum(z)
    power, second_power = power + 2 * shift, second_power + 2 * shift
    records.put("preactivation_second_moment", number, second / size, second_power)
    records.put("preactivation_mean", number, total(z) / size, shift)
    if step.mean == "known":
        records.put("preactivation_variance", number, own / size, power)
    else:
        _unknown_mean(step, z, shift, records)
    if program.batch > 1:
        _between_inputs(step, y, z, shift, records)
    if program.histogram:
        counts[number - 1] += _histogram(program, step, z, shift)

    if scaled and not step.homogeneous:
        value, slope, z, shift = _at_true_size(step, z, shift)
        slopes, slopes_power = square_sum(slope)
    else:
        value = step.activation(z)
        slope, slopes, slopes_power = _slope(step, z, value)
    _fractions(program, step, z, records)
    second, second_power = square_sum(value)
    records.put("activation_second_moment", number, second / size, second_power + 2 * shift)
    records.put("activation_mean", number, total(value) / size, shift)
    records.put("derivative_second_moment", number, slopes / size, slopes_power)
    return value, slope, shift, (second, second_power)


def _at_true_size(step: Step, z: Array, shift: Array) -> tuple[Array, Array, Array, Array]:
    """Return phi, phi' and z of pre-activations ``z · 2**shift``, and the exponents that remain.

    So near to 0 that squares would vanish, an activation with phi(0) = 0 and one-sided slopes there is its own
    tangent on either side, and keeps the exponent.
    """
    if z.dtype == np.float32 and np.abs(shift).max() > _SINGLE:
        raise NeedsDouble
    probe = np.array([-1.0, 1.0])
    near = step.activation(probe * _NEAR_ZERO), step.activation(probe * _NEAR_ZERO**2)
    tangents = near[0] / _NEAR_ZERO
    linear = np.allclose(tangents, near[1] / _NEAR_ZERO**2, rtol=1e-12, atol=0.0)
    tiny = (shift < -_DOUBLE) & linear
    kept = np.where(tiny, shift, 0)
    true = shifted(z, np.where(tiny, 0, shift)[:, None, None])
    value, slope = step.activation(true), step.activation.derivative(true)
    if tiny.any():
        value[tiny] = z[tiny] * np.where(z[tiny] < 0, tangents[0], tangents[1])
        slope[tiny] = step.activation.derivative(np.sign(z[tiny]) * _NEAR_ZERO)
        true[tiny] = shifted(z[tiny], shift[tiny, None, None])
    return value, slope, true, kept


def _slope(step: Step, z: Array, value: Array) -> tuple[Array, Array, Array | int]:
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


def _unknown_mean(step: Step, z: Array, shift: Array, records: Records) -> None:
    if step.mean == "none":
        records.put("preactivation_variance", step.number, 0.0)
        return
    common = int(shift.max())
    aligned = shifted(z.astype(np.float64), shift[:, None, None] - common)
    if step.mean == "units":
        aligned = aligned.reshape(len(z), 1, -1)
    pseudo = pseudo_variance(aligned)
    records.put("preactivation_variance", step.number, pseudo, 2 * common)
    if np.isfinite(aligned).all():
        records.skip("preactivation_variance", step.number, np.isnan(pseudo))


def _between_inputs(step: Step, y: Array, z: Array, shift: Array, records: Records) -> None:
    batch = y.shape[2]
    products = np.matmul(z.swapaxes(-1, -2), z).astype(np.float64)
    finite = np.isfinite(products).all()
    deviation, power = _deviation(y, products if z is y and finite else None)
    size = step.fan_out * (batch - 1)
    records.put("data_variance", step.number, deviation / size, power + 2 * shift)
    if shift.any():
        products = shifted(products, 2 * (shift - shift.max())[:, None, None])
    correlation = pseudo_correlation(products)
    records.put("correlation", step.number, correlation)
    if finite:
        records.skip("correlation", step.number, np.isnan(correlation))


def _deviation(y: Array, products: Array | None) -> tuple[Array, Array | int]:
    """Return each draw's sum of squares about the mean over inputs, from their inner products if those tell."""
    batch = y.shape[2]
    if products is not None:
        own = np.trace(products, axis1=1, axis2=2)
        deviation = own - products.sum(axis=(1, 2)) / batch
        if np.all(deviation > own / 2) and own.min() > _LEAST and own.max() < 1 / _LEAST:
            return deviation, 0
    # Deviations first, then squares: the difference of sums would cancel where all inputs look alike.
    mean = np.matmul(y, np.full(batch, 1 / batch, y.dtype))
    deviation, power = square_sum(y - mean[:, :, None])
    if y.dtype == np.float32 and np.any((deviation > 0) & (deviation < _CLOSE * dot(y, y))):
        raise NeedsDouble
    return deviation, power


def _fractions(program: Program, step: Step, z: Array, records: Records) -> None:
    size = step.fan_out * program.batch
    low, high = step.low, step.high
    saturated = _inside(z, ((-np.inf, low), (high, np.inf))) if low < high else np.ones(z.shape, bool)
    records.put("saturated_fraction", step.number, 0.0 if saturated is None else count(saturated) / size)
    same = step.inactive == ((-np.inf, low),) and high == np.inf
    inactive = saturated if same else _inside(z, step.inactive)
    if inactive is None:
        records.put("inactive_fraction", step.number, 0.0)
        records.put("dead_fraction", step.number, 0.0)
        return
    share = count(inactive) / size
    records.put("inactive_fraction", step.number, share)
    if program.batch > 1:
        share = count(np.logical_and.reduce(inactive, axis=2)) / step.fan_out
    records.put("dead_fraction", step.number, share)


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


def _histogram(program: Program, step: Step, z: Array, shift: Array) -> Array:
    if z.dtype == np.float32:
        return histograms.count(z, step.exponent, shift, program.compiled)
    # Scaled to the layer's expected size first: single precision then holds whatever the grid can tell apart.
    near = shifted(z, (shift - step.exponent)[:, None, None]).astype(np.float32)
    return histograms.count(near, 0)
