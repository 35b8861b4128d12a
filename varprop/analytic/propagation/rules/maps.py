"""What dense layers and convolutions share: second moments through one random matrix, and back.

For weights of mean 0 and variance s whose entries are uncorrelated (iid of any law, or Haar), independent of their
input x, E (Σ_j W_ij x_jt)(Σ_j W_ij x_jt') = s Σ_j E x_jt x_jt' exactly, at any width; a random bias adds E b². With a
mean mu, mu² E (Σ_j x_jt)(Σ_j x_jt') comes on top.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from varprop.analytic.propagation.signal import Array, Gradient, Signal, merged
from varprop.analytic.propagation.walk import Place, Roots, Walk
from varprop.initializers import Law
from varprop.spec.graph import Node
from varprop.spec.ops import Weighted

_KURTOSIS = 0.02
"""Excess kurtosis that a bias may give a pre-activation and is still taken as Gaussian without a remark."""


def through(
    place: Place,
    before: Signal,
    weights: Law,
    biases: Law,
    gathered: tuple[Array, Array, Array],
    kept: object,
) -> Signal:
    """Return the signal behind weights and biases.

    Parameters
    ----------
    place : Place
    before : Signal
    weights, biases : Law
    gathered : tuple of ndarray
        Sums over all that an output unit reads: of E x_jt x_jt' (N, N), of E x_jt (N,), and E of the product of two
        columns' sums (N, N).
    kept : object
        For the way back.
    """
    squares, means, sums = gathered
    mean = weights.mean * means + biases.mean
    second = weights.variance * squares + (biases.variance + biases.mean**2)
    reasons = before.reasons
    common = None
    if weights.mean != 0.0:
        offset = weights.mean * biases.mean * np.add.outer(means, means)
        shared = weights.mean**2 * sums + offset + biases.mean**2
        second = second + shared - biases.mean**2
        n = place.node.shape.features
        common = (second + (n - 1) * shared) / n
        reasons = merged(reasons, (f"weights of {place.node.name} have a mean",))
    uncorrelated = weights.iid or weights.family == "orthogonal"
    centred = weights.mean == 0.0 and uncorrelated
    if not uncorrelated:
        reasons = merged(reasons, (f"weights of {place.node.name} are not independent of each other",))
    known = isinstance(before.kept, Known)
    normal = biases.gaussian or biases.deterministic
    if not normal:
        share = biases.variance / np.maximum(np.diagonal(second) - np.square(mean), 1e-300)
        if np.max(np.abs(biases.finite_kurtosis) * np.square(share)) > _KURTOSIS:
            reasons = merged(
                reasons, (f"the {biases.family} biases of {place.node.name} are taken as Gaussian",)
            )
    return Signal(
        second,
        mean,
        place.node.shape.features,
        exact_mean=weights.mean == 0.0 or before.exact_mean,
        exact_diagonal=centred and before.exact_diagonal,
        exact=centred and before.exact,
        reasons=reasons,
        gaussian=True,
        law=known and centred and weights.gaussian and weights.iid and normal,
        symmetric=weights.symmetric and biases.symmetric and biases.mean == 0.0,
        common=common,
        fluctuation=1.0,
        overlap=None if before.overlap is None else before.overlap + 1.0 / place.node.shape.features,
        echo=before.echo,
        kept=kept,
    )


def map_roots(walk: Walk, node: Node) -> Roots:
    """Return the map itself, where its weights have mean zero, and everything in which its input is linear."""
    op = node.op
    assert isinstance(op, Weighted)
    shapes = walk.graph.inputs(node)
    weights, biases = op.weight_law(*shapes), op.bias_law(*shapes)
    before = walk.roots[node.sources[0]]
    linear = before.linear
    if weights.mean == 0.0 and (weights.iid or weights.family == "orthogonal"):
        linear = linear | {node.index}
    mirrored = weights.symmetric and biases.symmetric and biases.mean == 0.0
    return Roots(linear, frozenset((node.index,)) if mirrored else frozenset())


@dataclass(frozen=True, eq=False)
class Known:
    """Values that are the same in every draw: the input.

    Attributes
    ----------
    values : ndarray or None
        Shape (features, N), where a rule may need them: the second moment of more columns than are carried is formed
        by what reads them (a convolution over patches).
    """

    values: Array | None = None


def unformed(signal: Signal) -> bool:
    """Return whether the covariance of an input of many columns was not formed."""
    return signal.second.size == 0


def back(
    gradient: Gradient, fan_out: float, weights: Law, name: str, spread: Callable[[Array], Array]
) -> Gradient:
    """Return the gradient in front of weights: ``fan_out`` E W² times what `spread` makes of the one behind them.

    Exact where the gradient depends on no value below: then it is independent of these weights.
    """
    reasons = gradient.reasons
    if weights.mean != 0.0:
        reasons = merged(reasons, (f"weights of {name} have a mean",))
    second = (fan_out * weights.second_moment) * spread(gradient.second)
    return Gradient(second, gradient.exact and weights.mean == 0.0, reasons)
