"""The probability that all activations of a layer are exactly 0, so that nothing arrives at the next one.

A unit is off where phi is 0 (`Activation.zeros`). Given what arrives at a layer of n units:

nothing
    z is the bias, whatever the weights are: all are off with probability P(phi(b) = 0)^n, biases being independent.
signs are symmetric
    The law of weights and biases does not change when a row changes sign, so z_i = s_i y_i with fair coins s_i that
    are independent of each other, of the y and of what arrives. A half-line from 0 takes all units with probability
    2^-n if no unit is 0 by chance, and ((1 + a)/2)^n if each is with probability a, independently (`zero_atom`).
the law is known
    Gaussian rows over known inputs are independent: P(phi(z) = 0)^n.
otherwise
    Units are independent only given what arrives: P = E[P(off | what arrives)^n], which is not the power of the
    average. The power is an estimate; ((1 + a)/2)^n bounds its error for symmetric weights and biases never below 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from varprop.activations import Activation
from varprop.analytic.atoms import Atom
from varprop.analytic.sets import Interval
from varprop.analytic.unit_law import UnitLaw, bias_mixture, mixture_is_exact
from varprop.analytic.unit_sets import each_unit, unit_probability
from varprop.initializers import Law

Array = NDArray[np.float64]

NEGLIGIBLE = 1e-12
"""An error of a probability up to this is rounding."""

_HALF_LINES = ((-np.inf, 0.0), (0.0, np.inf))
_POINT = (0.0, 0.0)


@dataclass(frozen=True)
class Silence:
    """The probability that all numbers of a layer are 0, shape (B,).

    Attributes
    ----------
    probability : ndarray
    log_awake : ndarray
        Logarithm of the probability of the contrary, which keeps its digits where that is small.
    doubt : float
        How far the probability may be off; 0 if it is exact.
    """

    probability: Array
    log_awake: Array
    doubt: float = 0.0

    @property
    def exact(self) -> bool:
        """Whether the probability holds at any width."""
        return self.doubt <= NEGLIGIBLE

    def log_average(self, awake: Array | float, silent: Array | float) -> Array:
        """Average over being awake or silent what has the logarithm `awake` or `silent`; returns the logarithm."""
        with np.errstate(divide="ignore"):
            return np.asarray(np.logaddexp(self.log_awake + awake, np.log(self.probability) + silent))

    def average(self, awake: Array, silent: Array | float) -> Array:
        """Average over being awake or silent what has the value `awake` or `silent`."""
        return np.asarray(np.exp(self.log_awake) * awake + self.probability * silent)

    def matters(self, awake: Array | float, silent: Array | float) -> bool:
        """Whether an average over these two values feels that the probability is not exact."""
        return bool(np.max(self.doubt * np.abs(np.asarray(awake) - silent)) > NEGLIGIBLE)


def certain(silent: NDArray[np.bool_]) -> Silence:
    """Return the silence of numbers that are known."""
    with np.errstate(divide="ignore"):
        return Silence(silent.astype(np.float64), np.log((~silent).astype(np.float64)))


@dataclass(frozen=True)
class Signs:
    """Probabilities of z < 0, z = 0 and z > 0, shape (B,) or floats."""

    below: Array
    at: Array
    above: Array

    def probability(self, intervals: tuple[Interval, ...]) -> Array:
        """Return the probability of intervals that end nowhere but at 0 and infinity."""
        total = np.zeros_like(self.at)
        for low, high in intervals:
            total = total + (self.below if low < 0.0 else 0.0) + (self.above if high > 0.0 else 0.0)
        covered = any(low <= 0.0 <= high for low, high in intervals)
        return np.asarray(total + (self.at if covered else 0.0))

    def slope_square(self, activation: Activation) -> Array:
        """Return E phi'² of a positively homogeneous activation."""
        assert activation.slopes is not None
        low, high = activation.slopes
        return np.asarray(low**2 * self.below + high**2 * self.above + slope_at_zero(activation) * self.at)


def slope_at_zero(activation: Activation) -> float:
    """Return phi'(0)²."""
    return float(np.square(activation.derivative(np.zeros(1))[0]))


def bias_law(biases: Law) -> UnitLaw:
    """Return the law of a unit at which nothing arrives, as one input."""
    with np.errstate(divide="ignore"):
        log_variance = np.log(np.array([biases.variance if biases.gaussian else 0.0]))
    mixture = bias_mixture(biases if not biases.gaussian else _NO_BIAS, 0.0, [-biases.mean])
    rest = 0.0 if biases.gaussian else biases.variance
    return UnitLaw(np.array([biases.mean]), log_variance, mixture, rest, np.zeros(1))


_NO_BIAS = Law("constant", 0.0, 0.0, 0.0, True, False, True, True, False, (("value", 0.0),))


def bias_signs(biases: Law) -> Signs:
    """Return the signs of a bias."""
    at = {"sparse": biases["sparsity"]} if biases.family == "sparse" else {}
    zero = np.array([at.get(biases.family, float(biases.deterministic and biases.mean == 0.0))])
    below, above = (unit_probability(bias_law(biases), biases, (line,)) - zero for line in _HALF_LINES)
    return Signs(below, zero, above)


def bias_is_known(biases: Law) -> bool:
    """Whether `bias_signs` and `bias_law` are exact and biases independent."""
    return mixture_is_exact(biases) and (biases.iid or biases.deterministic)


@dataclass(frozen=True)
class LayerSigns:
    """Signs of the units of a layer: `awake` if something arrives, `alone` for the bias alone."""

    nothing: Silence
    awake: Signs
    alone: Signs

    def probability(self, intervals: tuple[Interval, ...]) -> Array:
        """Return the probability of intervals that end nowhere but at 0 and infinity, shape (B,)."""
        return self.nothing.average(self.awake.probability(intervals), self.alone.probability(intervals))

    def log_slope_square(self, activation: Activation) -> Array:
        """Return log E phi'² of a positively homogeneous activation, shape (B,)."""
        with np.errstate(divide="ignore"):
            awake, alone = (np.log(s.slope_square(activation)) for s in (self.awake, self.alone))
        return self.nothing.log_average(awake, alone)


@dataclass(frozen=True)
class Arrangement:
    """How a layer is made and what is known of it: the arguments of `silence` and `layer_signs`.

    Attributes
    ----------
    width : int
    weights, biases : Law
    unit : UnitLaw
        Law of a pre-activation.
    atom : Atom
        Of a unit being 0 although something arrives.
    nothing : Silence
        Of what arrives.
    known_law : bool
        `unit` is the law itself, over known inputs.
    symmetric : bool
        The law of weights and biases does not change when a row changes sign.
    """

    width: int
    weights: Law
    biases: Law
    unit: UnitLaw
    atom: Atom
    nothing: Silence
    known_law: bool
    symmetric: bool


def layer_signs(layer: Arrangement) -> LayerSigns | None:
    """Return the signs of the units; None where they are not known at any width."""
    biases, nothing = layer.biases, layer.nothing
    alone_is_known = bias_is_known(biases) or (biases.symmetric and biases.continuous)
    if not (layer.symmetric and layer.atom.exact and alone_is_known):
        return None
    half = 0.5 * (1.0 - layer.atom.probability)
    awake, alone = Signs(half, layer.atom.probability, half), bias_signs(biases)
    if nothing.matters(awake.at, alone.at) or nothing.matters(awake.above, alone.above):
        return None
    return LayerSigns(nothing, awake, alone)


def silence(activation: Activation, layer: Arrangement) -> Silence:
    """Return the silence of a layer's activations."""
    log_on, doubt = _units_on(activation, layer)
    nothing, width = layer.nothing, layer.width
    on_alone = 1.0 - _bias_off(activation, layer.biases)
    off, off_alone = _all_off(np.exp(log_on), width), _all_off(np.full(1, on_alone), width)
    if not bias_is_known(layer.biases):
        doubt += float(nothing.probability.max()) + nothing.doubt
    doubt += nothing.doubt * float(np.abs(off - off_alone).max())
    with np.errstate(divide="ignore"):
        log_awake = nothing.log_average(
            _log_any(log_on, width), _log_any(np.log(np.full(1, on_alone)), width)
        )
    return Silence(
        np.clip(nothing.average(off, off_alone), 0.0, 1.0), np.minimum(log_awake, 0.0), min(1.0, doubt)
    )


def _units_on(activation: Activation, layer: Arrangement) -> tuple[Array, float]:
    """Logarithm of the probability that a unit is on if something arrives, and how far its power may be off."""
    weights, biases, unit, atom, width = layer.weights, layer.biases, layer.unit, layer.atom, layer.width
    zeros = activation.zeros
    if not zeros:
        return np.zeros_like(unit.mean), 0.0
    if layer.known_law and (weights.iid or weights.deterministic) and bias_is_known(biases):
        if unit.positions is None:
            return _log_outside(unit, biases, zeros), 0.0
        # Units that differ: the mean of their logarithms gives the product.
        with np.errstate(divide="ignore"):
            log_off = np.log(np.minimum(each_unit(unit, biases, zeros), 1.0)).mean(axis=0)
            return np.log(-np.expm1(log_off)), 0.0
    independent = 0.0 if atom.exact and atom.largest == 0.0 else float(not weights.iid)
    if layer.symmetric and len(zeros) == 1 and zeros[0] in (*_HALF_LINES, _POINT):
        off = atom.probability if zeros[0] == _POINT else 0.5 * (1.0 + atom.probability)
        worst = atom.largest if zeros[0] == _POINT else 0.5 * (1.0 + atom.largest)
        doubt = 0.0 if atom.exact else worst**width
        with np.errstate(divide="ignore"):
            return np.log1p(-off), max(doubt, independent)
    if zeros == (_POINT,) and atom.exact and atom.largest == 0.0:
        return np.zeros_like(unit.mean), 0.0
    # Biases that are never negative leave a symmetric sum at most every other chance to be at or below 0.
    helped = weights.symmetric and biases.deterministic and biases.mean >= 0.0 and zeros[-1][1] <= 0.0
    bound = (0.5 * (1.0 + atom.largest)) ** width if helped else 1.0
    return _log_outside(unit, biases, zeros), max(bound, independent)


def _log_outside(unit: UnitLaw, biases: Law, zeros: tuple[Interval, ...]) -> Array:
    """Logarithm of the probability of what the closed intervals leave out."""
    rest: list[Interval] = []
    reached = -np.inf
    for low, high in zeros:
        if low > reached:
            rest.append((reached, float(np.nextafter(low, -np.inf))))
        reached = float(np.nextafter(high, np.inf))
    if reached < np.inf:
        rest.append((reached, np.inf))
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(np.minimum(unit_probability(unit, biases, tuple(rest)), 1.0)))


def _bias_off(activation: Activation, biases: Law) -> float:
    """P(phi(b) = 0)."""
    if biases.deterministic:
        return float(activation(np.array([biases.mean]))[0] == 0.0)
    if biases.family == "rademacher":
        return float(np.mean(activation(np.array([-biases["std"], biases["std"]])) == 0.0))
    if not activation.zeros:
        return 0.0
    outside = _log_outside(bias_law(biases), biases, activation.zeros)
    return float(1.0 - np.exp(outside)[0])


def _all_off(on: Array | float, width: int) -> Array:
    with np.errstate(divide="ignore"):
        return np.asarray(np.exp(width * np.log1p(-np.minimum(on, 1.0))))


def _log_any(log_on: Array | float, width: int) -> Array:
    """Logarithm of 1 - (1 - on)^width."""
    on = np.exp(log_on)
    with np.errstate(divide="ignore"):
        found = np.log(-np.expm1(width * np.log1p(-np.minimum(on, 1.0))))
    return np.asarray(np.where(on < 1e-12 / width, log_on + np.log(width), found))
