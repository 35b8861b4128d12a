"""The forward recursion: from the input to the law of every layer's pre-activations.

For independent weights of mean 0 and variance s_l, and any activation (Poole et al. 2016, eq. 3, with the layer's
own variance in place of sigma_w²/n, so that unequal widths and fan-out scalings need nothing more):

    Var z^l = s_l sum_j (h_j^{l-1})² + Var b^l        first random layer, exact for any law
    Var z^l = n_{l-1} s_l E phi(z^{l-1})² + Var b^l   below, exact wherever E phi² is

Weights with a mean mu add mu sum_j E h_j to the mean and mu² Var(sum_j h_j) to the variance (exact above units that are
independent: `_log_common`); from then on two units of a layer are correlated, which is followed for a Gaussian pair
and labelled approximate.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from varprop._validation import InputError
from varprop.activations import Activation, activation
from varprop.analytic.atoms import zero_atom
from varprop.analytic.averages import Averages, averages, log_unit_variance, no_averages
from varprop.analytic.common import shared_covariance
from varprop.analytic.known import input_values, known_layer
from varprop.analytic.silence import Arrangement, certain, layer_signs, silence
from varprop.analytic.states import Exact, Known, KnownLayer, LayerState
from varprop.analytic.unit_law import PANELS, BiasMixture, UnitLaw, bias_mixture, mixture_is_exact
from varprop.initializers import Law
from varprop.spec import Network

Array = NDArray[np.float64]

_LINEAR = activation("linear")


def forward(network: Network) -> list[KnownLayer | LayerState]:
    """Return the state of every layer, first to last.

    Layers stay known, and exact, while weights and biases are deterministic; the first random layer sees known
    numbers; the rest follow the recursion.
    """
    states: list[KnownLayer | LayerState] = []
    below: Known | LayerState = input_values(network.input.array())
    rng = np.random.default_rng(0)  # Deterministic laws do not draw from it.
    for number, layer in enumerate(network.layers, start=1):
        fan_in, width = network.fans(number)
        weights, biases = network.weight_law(number), network.bias_law(number)
        if isinstance(below, Known) and weights.deterministic and biases.deterministic:
            matrix = layer.sample_weights(fan_in, width, rng=rng)
            known = known_layer(number, matrix, biases.mean, below, layer.activation)
            states.append(known)
            below = known.activations
        else:
            matrix = None
            if weights.family == "identity" and isinstance(below, Known):
                matrix = layer.sample_weights(fan_in, width, rng=rng)
            below = _random_layer(number, fan_in, width, weights, biases, below, layer.activation, matrix)
            states.append(below)
    return states


@dataclass(frozen=True)
class _Arrived:
    """What the weights make of a layer's inputs, before the biases' own law; names as in `LayerState`.

    ``unknown`` says why the law of a unit is not known at all.
    """

    mean: Array
    log_variance: Array
    kurtosis: Array
    common: Array
    exact: Exact
    shape_reason: str = ""
    reasons: tuple[str, ...] = ()
    uneven: Array | float = 0.0
    unknown: str = ""
    positions: Array | None = None


def _random_layer(
    number: int,
    fan_in: int,
    width: int,
    weights: Law,
    biases: Law,
    below: Known | LayerState,
    phi: Activation,
    matrix: Array | None,
) -> LayerState:
    if isinstance(below, Known):
        arrived, nothing = (
            _from_known(weights, biases, below, matrix),
            certain(np.isneginf(below.log_mean_square)),
        )
        atom = zero_atom(weights, biases, nothing.probability.size, below.values, below.log_scale)
    else:
        arrived, nothing = _from_random(fan_in, weights, biases, below), below.silent
        atom = zero_atom(weights, biases, nothing.probability.size)
    if weights.second_moment == 0.0:
        nothing = certain(np.ones(arrived.mean.shape, dtype=bool))
    unit = _unit_law(arrived, biases, phi)
    arrived = _within_limits(arrived, unit, biases, phi)
    means = averages(phi, unit) if not arrived.unknown else no_averages(unit.mean.size, arrived.unknown)
    arrived = _resolved(arrived, unit, means, biases, phi)
    exact = arrived.exact
    layer = Arrangement(width, weights, biases, unit, atom, nothing, exact.law, exact.mirrored)
    signs = layer_signs(layer)
    linear = phi.slopes is not None and phi.slopes[0] == phi.slopes[1]
    fair = phi.slopes is not None and exact.mirrored
    if fair and not means.reason:
        # Half of every symmetric law is on either side: E phi² is the part of E z² that it is for a Gaussian.
        part = phi.moments(1.0, fields=("second_moment",)).second_moment
        with np.errstate(divide="ignore"):
            means = replace(means, log_second_moment=unit.log_total_variance + np.log(part))
        if signs is not None and not linear:
            means = replace(means, log_derivative=signs.log_slope_square(phi))
    return LayerState(
        number,
        fan_in,
        width,
        phi,
        weights,
        biases,
        unit,
        means,
        exact,
        exact_mean=exact.law or (linear and exact.mean),
        exact_second_moment=exact.law or ((fair or linear) and exact.variance and exact.mean),
        exact_derivative=exact.law or linear or (fair and signs is not None),
        nothing=nothing,
        silent=silence(phi, layer),
        zero=silence(_LINEAR, layer),
        signs=signs,
        common=arrived.common,
        arriving_log_square=below.log_mean_square
        if isinstance(below, Known)
        else below.averages.log_second_moment,
        arriving_exact=isinstance(below, Known) or below.exact_second_moment,
        arriving_reasons=() if isinstance(below, Known) or below.exact_second_moment else below.reasons,
        first=isinstance(below, Known),
        no_atoms=atom.exact and atom.largest == 0.0,
        shape_reason=arrived.shape_reason,
        reasons=(*arrived.reasons, *_unknown_bias(number, biases)),
    )


def _unknown_bias(number: int, biases: Law) -> tuple[str, ...]:
    """Say that the bias enters by its mean and variance alone, where nothing else is known of its law."""
    known = mixture_is_exact(biases)
    return () if known else (f"the {biases.family} biases of layer {number} are taken as Gaussian",)


def _unit_law(arrived: _Arrived, biases: Law, phi: Activation) -> UnitLaw:
    mean, log_variance, kurtosis = arrived.mean, arrived.log_variance, arrived.kurtosis
    if biases.deterministic or biases.gaussian or not mixture_is_exact(biases):
        added = 0.0 if biases.deterministic else biases.variance
        with np.errstate(divide="ignore"):
            total = np.logaddexp(log_variance, np.log(added))
        share = np.where(np.isneginf(log_variance), 0.0, np.exp(2.0 * (log_variance - _finite(total))))
        return UnitLaw(mean, total, _POINT, 0.0, kurtosis * share, arrived.uneven, arrived.positions)
    mixture = _mixture(arrived, biases, phi, PANELS)
    return UnitLaw(mean, log_variance, mixture, biases.variance, kurtosis, arrived.uneven, arrived.positions)


def _mixture(arrived: _Arrived, biases: Law, phi: Activation, panels: int) -> BiasMixture:
    levels, log_variance = _levels(arrived, biases), arrived.log_variance
    finite = log_variance[np.isfinite(log_variance)]
    spread = float(np.exp(0.5 * finite.min())) if finite.size == log_variance.size else 0.0
    kinks = np.subtract.outer(phi.kinks, levels[:_MOST_LEVELS]).ravel()
    return bias_mixture(biases, spread, kinks, -levels[:_MOST_CENTRES], panels)


_MOST_LEVELS = 64
"""Unit means around whose kinks the law of a bias is cut."""

_MOST_CENTRES = 4
"""Unit means about which the panels of a wide bias are refined for smooth activations."""

_UNRESOLVED = 1e-9
"""Relative change of an average, from finer panels over the bias, beyond which it is not exact."""

_MOST_COMPONENTS = 20_000
"""Gaussians of which the law of a unit consists; a million if they are points."""


def _within_limits(arrived: _Arrived, unit: UnitLaw, biases: Law, phi: Activation) -> _Arrived:
    """Take back what `_unit_law` cannot keep: exact averages over a bias with many kinks, laws of many units."""
    bounded = not unit.bias.single and biases.continuous
    if bounded and phi.kinks and _levels(arrived, biases).size > _MOST_LEVELS:
        why = f"averages over the biases meet more than {_MOST_LEVELS} different kinks"
        arrived = replace(arrived, exact=replace(arrived.exact, law=False), reasons=(*arrived.reasons, why))
    units = 1 if arrived.positions is None else arrived.positions.shape[0]
    most = _MOST_COMPONENTS * (50 if bounded else 1)
    if units * unit.bias.weights.size > most:
        return replace(
            arrived, unknown="units of identity weights have too many different laws to average over"
        )
    return arrived


def _resolved(arrived: _Arrived, unit: UnitLaw, means: Averages, biases: Law, phi: Activation) -> _Arrived:
    """Take back exact averages over a wide bias that change with finer panels: a wave, a step of the activation."""
    if unit.bias.single or arrived.unknown or not (biases.continuous and arrived.exact.law):
        return arrived
    if (
        unit.bias.weights.size < 10 * PANELS
    ):  # narrow beside what is added to it, which smooths every activation
        return arrived
    finer = replace(unit, bias=_mixture(arrived, biases, phi, 2 * PANELS + 3))
    other = averages(phi, finer)
    with np.errstate(over="ignore", invalid="ignore"):
        mean = np.abs(means.mean - other.mean) * np.exp(-0.5 * means.log_second_moment)
        changes = (
            mean,
            means.log_second_moment - other.log_second_moment,
            means.log_derivative - other.log_derivative,
        )
        same = all(bool(np.all(~(np.abs(change) > _UNRESOLVED))) for change in changes)
    if same:
        return arrived
    why = "averages over the biases are not resolved: the activation changes too fast for their width"
    return replace(arrived, exact=replace(arrived.exact, law=False), reasons=(*arrived.reasons, why))


def _levels(arrived: _Arrived, biases: Law) -> Array:
    """What different units and inputs add the bias to."""
    means = arrived.mean if arrived.positions is None else arrived.mean + arrived.positions
    return np.unique(means[np.isfinite(means)] - biases.mean)


_POINT = bias_mixture(Law("constant", 0.0, 0.0, 0.0, True, False, True, True, False, (("value", 0.0),)), 0.0)


def _finite(logs: Array) -> Array:
    return np.where(np.isneginf(logs), 0.0, logs)


def _from_known(weights: Law, biases: Law, below: Known, matrix: Array | None) -> _Arrived:
    if matrix is not None:
        return _placed(matrix, biases, below)
    n = below.values.shape[0]
    with np.errstate(over="ignore", divide="ignore"):
        mean = weights.mean * n * below.mean + biases.mean
        log_variance = np.log(weights.variance) + np.log(n) + below.log_mean_square
    squares = np.square(below.values)
    total = squares.sum(axis=0)
    # Independent entries: sum x⁴ / (sum x²)² of their kurtosis is left. A Haar row keeps its own, whatever x.
    share = np.ones_like(total)
    if weights.family != "orthogonal":
        share = np.square(squares).sum(axis=0) / np.square(np.where(total == 0.0, 1.0, total))
    kurtosis = weights.finite_kurtosis * np.where(total == 0.0, 0.0, share)
    gaussian = weights.gaussian or weights.deterministic
    exact = Exact(
        mean=True,
        variance=True,
        law=gaussian and mixture_is_exact(biases),
        mirrored=weights.symmetric and biases.symmetric,
    )
    shape = "" if gaussian else f"the weights are {weights.family.replace('_', ' ')}, not Gaussian"
    return _Arrived(mean, log_variance, kurtosis, np.zeros_like(mean), exact, shape)


_ROUNDING = 1e-6
_LOST = "the mean of the biases is lost beside inputs of this size"


def _placed(matrix: Array, biases: Law, below: Known) -> _Arrived:
    """Identity weights on known inputs: z_i = (W x)_i + b_i, of which everything is known unit by unit."""
    with np.errstate(over="ignore"):
        z = (matrix @ below.values) * np.exp(below.log_scale)
    mean, nothing = z.mean(axis=0), np.zeros(z.shape[1])
    positions = z - mean
    # Means of units are kept as differences from their average, next to which that of the biases may vanish.
    lost = bool(np.abs(mean).max() * _ROUNDING > np.abs(biases.mean) > 0.0)
    exact = Exact(mean=True, variance=True, law=mixture_is_exact(biases) and not lost, mirrored=False)
    return _Arrived(
        mean + biases.mean, nothing - np.inf, nothing, nothing, exact, _LOST if lost else "",
        uneven=np.square(positions).mean(axis=0), positions=positions if positions.any() else None,
    )  # fmt: skip


def _from_random(fan_in: int, weights: Law, biases: Law, below: LayerState) -> _Arrived:
    second, shape = below.averages.log_second_moment, below.averages.mean.shape
    mirrored = weights.symmetric and biases.symmetric
    nothing = np.zeros(shape)
    if weights.second_moment == 0.0:
        exact = Exact(mean=True, variance=True, law=mixture_is_exact(biases), mirrored=mirrored)
        return _Arrived(np.full(shape, biases.mean), np.full(shape, -np.inf), nothing, nothing, exact)
    if weights.family == "identity":
        return _through_identity(fan_in, weights, biases, below)
    with np.errstate(divide="ignore"):
        log_variance = np.log(weights.variance * fan_in) + second
    exact = Exact(mean=True, variance=below.exact_second_moment, law=False, mirrored=mirrored)
    if weights.mean == 0.0:
        level = np.full(shape, biases.mean)
        return _Arrived(
            level, log_variance, nothing, nothing, exact, "", below.reasons, 0.0, below.averages.reason
        )
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        log_common = _log_common(fan_in, weights, below)
        mean = weights.mean * fan_in * below.averages.mean + biases.mean
    # E z asks for E h, Var z for E h², Var h and for what two units have in common: nothing, if they are independent.
    moments = below.exact_mean and below.exact_second_moment
    exact = Exact(below.exact_mean, moments and _independent_units(below), law=False, mirrored=False)
    reasons = (*below.reasons, f"weights of layer {below.number + 1} have a mean")
    with np.errstate(over="ignore"):
        common = np.exp(log_common)
    log_variance = np.logaddexp(log_variance, log_common)
    unknown = below.averages.reason or (_NO_PAIRS if np.isnan(log_common).any() else "")
    return _Arrived(mean, log_variance, nothing, common, exact, "", reasons, 0.0, unknown)


_NO_PAIRS = "what two units have in common is not known: moments of the activation are not available there"


def _log_common(fan_in: int, weights: Law, below: LayerState) -> Array:
    """Return log of mu² Var(sum_j h_j), the covariance of two units above weights of mean mu, shape (B,).

    Var(sum_j h_j) = n Var h + n (n - 1) Cov(h_i, h_j). The second term is exactly 0 in a layer whose units are
    independent and equally distributed (`_independent_units`), and then the whole is exact as soon as E h and E h²
    are, whatever the laws of weights and biases: nothing else enters. Elsewhere it is what the shared Gaussian
    part makes of it (`shared_covariance`), which leaves out that the units of a deep layer also share the mean
    square of what arrives (a term of the same order, n² times 1/n): approximate.
    """
    if below.averages.reason:
        return np.full(below.averages.mean.shape, np.nan)
    try:
        alone = log_unit_variance(below.activation, below.unit, below.averages.mean)
    except InputError:
        return np.full(below.averages.mean.shape, np.nan)
    together = np.log(shared_covariance(below)) + np.log(max(fan_in - 1, 0))
    return np.asarray(2.0 * np.log(abs(weights.mean)) + np.log(fan_in) + np.logaddexp(alone, together))


def _independent_units(state: LayerState) -> bool:
    """Whether the units of a layer are independent and equally distributed at a fixed input.

    z_i = sum_j W_ij x_j + b_i with x the same in every draw is a function of row i and bias i alone: independent and
    equally distributed if rows and biases are. Rows of a Haar matrix are orthogonal to each other, hence
    dependent; so are those of columns with a fixed number of zeros; units of deeper layers share what arrives.
    """
    return state.first and state.weights.iid and state.biases.iid


_NO_SUMS = "identity weights add nothing up: units follow no Gaussian law from here on"


def _through_identity(fan_in: int, weights: Law, biases: Law, below: LayerState) -> _Arrived:
    # z_i = gain h_i on the diagonal and 0 beside it: averages over positions are right, the law is not Gaussian.
    h, nothing = below.averages.mean, np.zeros_like(below.averages.mean)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        square = np.exp(below.averages.log_second_moment)
        placed = weights.second_moment * fan_in
        mean = weights.mean * fan_in * h
        log_variance = np.log(np.maximum(placed * (square - np.square(h)), 0.0))
        uneven = np.maximum(placed * np.square(h) - np.square(mean), 0.0)
    # Units with one law: which of them meet the diagonal does not matter. Above identity weights it does.
    alike = below.weights.family != "identity"
    both = below.exact_mean and below.exact_second_moment
    exact = Exact(mean=below.exact_mean and alike, variance=both and alike, law=False, mirrored=False)
    reasons = below.reasons if alike else (*below.reasons, _UNLIKE)
    return _Arrived(mean + biases.mean, log_variance, nothing, nothing, exact, "", reasons, uneven, _NO_SUMS)


_UNLIKE = "units above identity weights have different laws, and identity weights pick some of them"
