"""What the forward pass knows about a layer, and which of it is exact."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from varprop.activations import Activation
from varprop.analytic.averages import Averages
from varprop.analytic.sets import Interval
from varprop.analytic.silence import LayerSigns, Silence
from varprop.analytic.unit_law import UnitLaw
from varprop.initializers import Law

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Known:
    """Activations that are the same in every draw: the input, or what deterministic layers make of it.

    Attributes
    ----------
    values : ndarray
        Shape (n, B), scaled by ``exp(-log_scale)`` per input.
    log_scale : ndarray
        Shape (B,).
    """

    values: Array
    log_scale: Array

    @property
    def log_mean_square(self) -> Array:
        """Logarithm of the mean over units of the squared value, shape (B,)."""
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(np.mean(np.square(self.values), axis=0)) + 2.0 * self.log_scale)

    def within(self, intervals: Iterable[Interval]) -> NDArray[np.bool_]:
        """Say which values lie in closed intervals, shape (n, B): by their signs where they are too small to write."""
        inside = np.zeros(self.values.shape, dtype=bool)
        with np.errstate(over="ignore", under="ignore"):
            scale = np.exp(-self.log_scale)
            for interval in intervals:
                low, high = (end * scale if end and np.isfinite(end) else end for end in interval)
                inside |= (self.values >= low) & (self.values <= high)
        return inside

    @property
    def mean(self) -> Array:
        """Mean over units, shape (B,)."""
        with np.errstate(over="ignore"):
            return np.asarray(self.values.mean(axis=0) * np.exp(self.log_scale))


@dataclass(frozen=True)
class Exact:
    """Which statements about a layer hold at any width.

    Attributes
    ----------
    mean, variance : bool
        Mean and variance of a pre-activation.
    law : bool
        Its whole law: that of `UnitLaw`.
    mirrored : bool
        The law of weights and biases does not change when a row and its bias change sign. Then the signs of the
        units are fair coins, independent of each other, of all |z| and of everything below, wherever z is not 0.
    """

    mean: bool
    variance: bool
    law: bool
    mirrored: bool


@dataclass(frozen=True)
class LayerState:
    """One random layer after the forward pass.

    Attributes
    ----------
    number, fan_in, width : int
        The layer, counted from 1, its inputs and units.
    activation : Activation
    weights, biases : Law
    unit : UnitLaw
        Law of a pre-activation.
    averages : Averages
        Of the activation under it.
    exact : Exact
    exact_mean, exact_second_moment, exact_derivative : bool
        Whether E phi, E phi², E phi'² hold at any width.
    nothing, silent : Silence
        Of what arrives and of the layer's own activations.
    zero : Silence
        Of its pre-activations: that all of them are 0.
    signs : LayerSigns or None
        Of a pre-activation, where they hold at any width because the law is symmetric.
    common : ndarray
        Covariance of two units' pre-activations, shape (B,); 0 for weights of mean zero.
    arriving_log_square : ndarray
        Logarithm of the mean square of what arrives, shape (B,).
    arriving_exact : bool
        Whether that holds at any width.
    arriving_reasons : tuple of str
        Assumptions that failed for it and make even its limit approximate.
    first : bool
        What arrives is the same in every draw.
    no_atoms : bool
        Whether a unit is 0 with probability 0 if something arrives.
    shape_reason : str
        Why the law of a unit is approximate in this layer; empty if it is Gaussian in the limit of wide layers.
    reasons : tuple of str
        Assumptions that failed here or below and make even the limit approximate.
    """

    number: int
    fan_in: int
    width: int
    activation: Activation
    weights: Law
    biases: Law
    unit: UnitLaw
    averages: Averages
    exact: Exact
    exact_mean: bool
    exact_second_moment: bool
    exact_derivative: bool
    nothing: Silence
    silent: Silence
    zero: Silence
    signs: LayerSigns | None
    common: Array
    arriving_log_square: Array
    arriving_exact: bool
    arriving_reasons: tuple[str, ...]
    first: bool
    no_atoms: bool
    shape_reason: str
    reasons: tuple[str, ...]

    @property
    def homogeneous(self) -> bool:
        """Whether the layer multiplies the norm of what arrives by an independent factor: see `norm_factor`."""
        slopes, weights, biases = self.activation.slopes, self.weights, self.biases
        gaussian = weights.gaussian and weights.iid and weights.mean == 0.0
        silent = biases.deterministic and biases.mean == 0.0
        return slopes is not None and any(slopes) and gaussian and silent


@dataclass(frozen=True)
class KnownLayer:
    """One layer whose pre-activations are the same in every draw.

    Attributes
    ----------
    number, fan_in, width : int
    activation : Activation
    weight_matrix : ndarray
        Shape (n_l, n_{l-1}).
    inputs, preactivations, activations : Known
        What arrives, z, and phi(z).
    slopes : ndarray
        phi'(z), shape (n_l, B).
    """

    number: int
    fan_in: int
    width: int
    activation: Activation
    weight_matrix: Array
    inputs: Known
    preactivations: Known
    activations: Known
    slopes: Array
