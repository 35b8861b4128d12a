"""Averages over two inputs at once, for all pairs of a batch: closed form, series, or quadrature, with their doubt.

Closed forms come first; then Mehler's series (`varprop.analytic.pair_series`), which is fast and knows what it leaves
out; the pairs that this is too much for are done by quadrature in rotated coordinates
(`varprop.moments.rotated`), the worst first and so many at most. What remains is stated as a doubt.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from varprop._validation import InputError
from varprop.activations import Activation
from varprop.analytic.pair_series import Found, series
from varprop.analytic.rectified_pairs import rectified_pairs, shifted_rectified_pairs
from varprop.analytic.unit_law import UnitLaw
from varprop.moments.closed import Pair
from varprop.moments.rotated import rotated_pairs

Array = NDArray[np.float64]
Index = NDArray[np.intp]

BUDGET = 64
"""Pairs of a layer that may be done by quadrature: some 30 milliseconds each."""
_NEGLIGIBLE = 1e-10
"""Share of the mean distance below which an error does not count."""
_SLOPES_COUNT = 1e-5
"""How much an error of the slopes counts beside one of the distances: no exact row rests on slopes."""


@dataclass(frozen=True)
class PairAverages:
    """Averages over pairs of inputs, shape (pairs,) each.

    Attributes
    ----------
    log_distance : ndarray
        Logarithm of E (phi_a - phi_b)²/2, -inf for equal inputs.
    slopes : ndarray
        E phi'_a phi'_b.
    doubt : float
        Bound of the error of the mean distance, as a share of it; infinite where nothing is known.
    slopes_doubt : float
        Bound of the mean error of `slopes`, as a share of the largest.
    """

    log_distance: Array
    slopes: Array
    doubt: float
    slopes_doubt: float

    @property
    def distance(self) -> Array:
        """E (phi_a - phi_b)²/2."""
        return np.exp(self.log_distance)


def pair_averages(
    phi: Activation, unit: UnitLaw, eps: Array, first: Index, second: Index, budget: int = BUDGET
) -> PairAverages:
    """Return the averages for all pairs of a batch.

    Parameters
    ----------
    phi : Activation
    unit : UnitLaw
        Law of a unit, for B inputs.
    eps : ndarray
        1 - correlation of the Gaussian parts, shape (pairs,).
    first, second : ndarray of int
        The inputs of each pair.
    budget : int
        How many pairs may be done by quadrature.

    Raises
    ------
    InputError
        Where the moments of the activation are not available.
    """
    means, logs, shares = unit.components()
    moving = unit.log_variance[unit.log_variance > -np.inf]
    if np.any(moving < _SMALLEST):
        raise InputError("input", "pre-activations below 1e-130", "more, for averages over pairs of them")
    roots, base = (np.exp(0.5 * np.minimum(x, _LARGEST)) for x in (logs, unit.log_variance))
    gap = eps * base[first] * base[second] + 0.5 * np.square(base[first] - base[second])
    total = Found(*np.zeros((4, eps.size)))
    for mean, root, extra, share in zip(means, roots, unit.bias.extra, shares[:, 0], strict=True):
        own = eps
        if extra > 0.0:
            # A Gaussian component of the bias is the same for both inputs: it leaves their distance alone.
            a, b = root[first], root[second]
            lengths = (np.square(base[first]) - np.square(base[second])) / (a + b)  # a - b, which may cancel
            own = np.clip((gap - 0.5 * np.square(lengths)) / (a * b), 0.0, 2.0)
        part = _component(phi, mean, np.square(root), own, first, second, budget // means.shape[0])
        total = Found(*(x + share * y for x, y in zip(total, part, strict=True)))
    with np.errstate(divide="ignore"):
        log_distance = np.log(total.distance)
    return PairAverages(
        log_distance,
        total.slopes,
        _share(total.distance_error, float(np.sum(total.distance))),
        _share(total.slopes_error, float(total.slopes.size * np.max(np.abs(total.slopes), initial=0.0))),
    )


def _share(errors: Array, size: float) -> float:
    error = float(np.sum(errors))
    return error / size if size > 0.0 and np.isfinite(error) else float(error and np.inf)


def _component(
    phi: Activation, mean: Array, variance: Array, eps: Array, first: Index, second: Index, budget: int
) -> Found:
    nothing = np.zeros(eps.size)
    if phi.slopes is not None and not mean.any():
        return Found(*rectified_pairs(phi.slopes, variance, eps, first, second), nothing, nothing)
    slope, straight = _straight(phi, mean, np.sqrt(variance))
    along = straight[first] & straight[second] & (mean[first] == mean[second])
    if not along.any():
        return _bent(phi, mean, variance, eps, first, second, budget)
    a, b = np.sqrt(variance[first]), np.sqrt(variance[second])
    square = np.square(slope[first])
    line = Found(square * (0.5 * np.square(a - b) + a * b * eps), square, nothing, nothing)
    if along.all():
        return line
    rest = ~along
    others = _bent(phi, mean, variance, eps[rest], first[rest], second[rest], budget)
    for column, values in zip(line, others, strict=True):
        column[rest] = values
    return line


_SMALLEST = float(np.log(1e-260))
_LARGEST = 230.0
"""What bounded activations do not tell from more."""
_TINY = 1e-100
_NARROW, _WITHIN, _CHANGE = 1e-3, 12.0, 1e-5
"""Up to which standard deviation a straight line is looked for, over how many of them, and how much it may bend."""


def _straight(phi: Activation, mean: Array, std: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Return phi' at the mean, and where phi is a straight line as far as z goes, shape (B,).

    Distances of values that differ by less than their rounding are lost in any quadrature. The slope's relative
    change delta over z enters the distance with its square. Where the slope is 0 the line says nothing.
    """
    narrow = std < _NARROW
    if not narrow.any() or not phi.exact_derivative:
        return np.zeros_like(std), np.zeros(std.shape, dtype=bool)
    z = mean + _WITHIN * std * np.array([[-1.0], [0.0], [1.0]])
    with np.errstate(all="ignore"):
        slopes = phi.derivative(z)
    change = np.abs(slopes - slopes[1]).max(axis=0)
    kinked = np.zeros(std.shape, dtype=bool)
    for kink in phi.kinks:
        kinked |= np.abs(mean - kink) <= _WITHIN * std
    straight = narrow & ~kinked & (np.abs(slopes[1]) > 0.0) & (change <= _CHANGE * np.abs(slopes[1]))
    return slopes[1], straight


def _constant(phi: Activation, mean: Array) -> bool:
    """Whether phi is constant around every mean, as far as variances of `_TINY` and less go."""
    room = 1e-40
    return all(any(low < m - room and m + room < high for low, high in phi.inactive) for m in np.unique(mean))


def _bent(
    phi: Activation, mean: Array, variance: Array, eps: Array, first: Index, second: Index, budget: int
) -> Found:
    nothing = np.zeros(eps.size)
    if phi.slopes is not None:
        shifted = shifted_rectified_pairs(phi.slopes, mean, variance, eps, first, second)
        return Found(*shifted, nothing, nothing)
    if phi.forms.about and np.all(mean == mean[0]):
        pair = Pair.of(variance[first], variance[second], eps)
        distance, slopes = (
            np.asarray(phi.forms.about[name](pair, mean[0]))
            for name in ("squared_difference", "derivative_product")
        )
        return Found(0.5 * distance, slopes, nothing, nothing)
    if np.any((variance > 0.0) & (variance < _TINY)):
        # Neither straight nor homogeneous: squares of what such values make are not resolved.
        tiny = np.maximum(variance[first], variance[second])
        lost = (tiny > 0.0) & (tiny < _TINY)
        variance = np.where(variance > 0.0, np.maximum(variance, _TINY), 0.0)
        if lost.any() and not _constant(phi, mean):
            found = _bent(phi, mean, variance, eps, first, second, budget)
            unknown = np.where(lost, np.inf, 0.0)
            return found._replace(
                distance_error=found.distance_error + unknown, slopes_error=found.slopes_error + unknown
            )
    closed = not mean.any() and "product" in phi.forms.pair
    if closed and phi.kinks:
        return _closed(phi, variance, eps, first, second)
    found = series(phi, mean, variance, eps, first, second)
    worst = _worst(found, eps.size if closed else budget)
    if not worst.size:
        return found
    i, j = first[worst], second[worst]
    e = eps[worst]
    better = _closed(phi, variance, e, i, j) if closed else _rotated(phi, mean, variance, e, i, j)
    return _replaced(found, better, worst)


def _closed(phi: Activation, variance: Array, eps: Array, first: Index, second: Index) -> Found:
    fields = ("squared_difference", "derivative_product")
    m = phi.pair_moments(variance[first], variance[second], one_minus_correlation=eps, fields=fields)
    # Of different variances phi(s_a g) - phi(s_b g) is among it, which is rounded as phi is.
    fields = ("second_moment", "derivative_second_moment")
    own = phi.moments(np.maximum(variance[first], variance[second]), fields=fields)
    apart = np.abs(np.sqrt(variance[first]) - np.sqrt(variance[second]))
    along = apart * np.sqrt(3.0 * np.asarray(own.derivative_second_moment))
    size = np.sqrt(np.asarray(own.second_moment))
    rounding = np.where(apart > 0.0, _UNIT * size * (along + _UNIT * size), 0.0)
    return Found(0.5 * m.squared_difference, np.asarray(m.derivative_product), rounding, np.zeros(eps.size))


_UNIT = float(np.finfo(np.float64).eps)


def _rotated(phi: Activation, mean: Array, variance: Array, eps: Array, first: Index, second: Index) -> Found:
    std = np.sqrt(variance)
    means, stds = (mean[first], mean[second]), (std[first], std[second])
    found = rotated_pairs(phi, phi.derivative, phi.kinks, means, stds, eps)
    squares = phi.moments(variance, mean=mean, fields=("second_moment",)).second_moment
    largest = np.maximum(squares[first], squares[second])
    rounding = _UNIT * np.sqrt(found.distance * largest) + np.where(eps > 0.0, _UNIT**2 * largest, 0.0)
    return Found(found.distance, found.slopes, found.distance_error + rounding, found.slopes_error)


def _worst(found: Found, most: int) -> Index:
    """Return the pairs whose errors count, the worst first, not more than `most`."""
    if found.distance.size == 0:
        return np.zeros(0, dtype=np.intp)
    with np.errstate(invalid="ignore", divide="ignore"):
        score = found.distance_error / float(np.sum(found.distance))
        slopes = found.slopes_error / (found.slopes.size * float(np.max(np.abs(found.slopes))))
        score = np.nan_to_num(score, nan=0.0, posinf=np.inf) + _SLOPES_COUNT * np.nan_to_num(
            slopes, nan=0.0, posinf=np.inf
        )
    order = np.argsort(-score, kind="stable")
    left = np.cumsum(score[order][::-1])[::-1]  # what remains if this pair and all after it are left alone
    return order[: min(most, int(np.count_nonzero(left > _NEGLIGIBLE)))]


def _replaced(found: Found, better: Found, where: Index) -> Found:
    """Take `better` at the places `where`, each average only if its error is smaller."""
    result = [np.array(column) for column in found]
    for value, error in ((0, 2), (1, 3)):
        chosen = better[error] <= result[error][where]
        result[value][where[chosen]] = better[value][chosen]
        result[error][where[chosen]] = better[error][chosen]
    return Found(*result)
