"""Activations: E phi(z_t) phi(z_t') and E phi'(z_t) phi'(z_t') for all pairs of columns.

Of Gaussian values by formulas and Hermite series (`varprop.analytic.propagation.pairs`); of others, sums of activated
and fresh values for instance, from features drawn in the limit of wide layers.
"""

from __future__ import annotations

import numpy as np

from varprop.activations import Activation
from varprop.analytic.propagation.pairs import Activations, activated
from varprop.analytic.propagation.signal import Array, Gradient, Signal, gram, merged
from varprop.analytic.propagation.slopes import Activated
from varprop.analytic.propagation.walk import Place, Roots, Rule, Walk, kept_roots
from varprop.spec.graph import Node
from varprop.spec.ops import Activate


def _phi(place: Place) -> Activation:
    op = place.node.op
    assert isinstance(op, Activate)
    return op.activation


def _forward(place: Place, inputs: list[Signal]) -> Signal:
    (before,) = inputs
    phi = _phi(place)
    if phi.slopes == (1.0, 1.0):
        n = before.mean.size
        return Signal(**{**vars(before), "kept": Activated(np.ones((n, n)), np.ones(n))})
    if not before.gaussian:
        return _sampled(place, before, phi)
    found = _averaged(phi, before)
    homogeneous = phi.slopes is not None and before.symmetric
    small = found.error <= 1e-9
    return Signal(
        found.second,
        found.mean,
        before.features,
        exact_mean=before.law,
        exact_diagonal=before.law or (homogeneous and before.exact_diagonal),
        exact=before.law and small,
        reasons=merged(before.reasons, found.reasons(phi)),
        fluctuation=before.fluctuation,
        overlap=None if before.overlap is None else before.overlap * _linear_share(before, found) ** 2,
        echo=before.echo * _linear_share(before, found) if before.echo else 0.0,
        kept=Activated(found.slopes, found.slope),
    )


def _averaged(phi: Activation, before: Signal) -> Activations:
    """Return averages over the values and, where their variance is a quadratic form in few positions, over that."""
    left = 0.0 if before.overlap is None else max(before.overlap - 1.0 / before.features, 0.0)
    if left == 0.0:
        return activated(phi, before.mean, before.covariance)
    # Two points have the mean and the variance 2 `left` of a column's variance.
    size = min(float(np.sqrt(2.0 * left)), 1.0)
    low, high = (activated(phi, before.mean, before.covariance * (1.0 + sign * size)) for sign in (-1.0, 1.0))
    return Activations(
        second=0.5 * (low.second + high.second),
        slopes=0.5 * (low.slopes + high.slopes),
        mean=0.5 * (low.mean + high.mean),
        slope=0.5 * (low.slope + high.slope),
        error=max(low.error, high.error),
    )


def _linear_share(before: Signal, found: Activations) -> float:
    """Return which share of the variance behind phi its linear part has."""
    variance = np.diagonal(before.covariance) * np.square(found.slope)
    whole = np.diagonal(found.second) - np.square(found.mean)
    return float(np.mean(variance / np.where(whole > 0.0, whole, 1.0)))


def _sampled(place: Place, before: Signal, phi: Activation) -> Signal:
    z = place.walk.sample(place.node.sources[0])
    a, slope = phi(z), phi.derivative(z)
    return Signal(
        gram(a),
        a.mean(axis=1),
        before.features,
        reasons=before.reasons,
        fluctuation=before.fluctuation,
        kept=Activated(gram(slope), slope.mean(axis=1)),
    )


def _backward(place: Place, gradient: Gradient, inputs: list[Signal]) -> list[Gradient]:
    kept = place.walk.signals[place.node.index].kept
    assert isinstance(kept, Activated)
    linear = _phi(place).slopes == (1.0, 1.0)
    return [
        Gradient(
            gradient.second * kept.slopes,
            gradient.exact and linear,
            merged(gradient.reasons, () if linear else inputs[0].reasons),
            gradient.origin,
            None if gradient.factor is None else gradient.factor * kept.slope,
            gradient.start,
        )
    ]


def _sample(place: Place, inputs: list[Signal], values: list[Array]) -> Array:
    return np.asarray(_phi(place)(values[0]))


def _sample_back(place: Place, gradient: Array, inputs: list[Signal], values: list[Array]) -> list[Array]:
    return [gradient * _phi(place).derivative(values[0])]


def _roots(walk: Walk, node: Node) -> Roots:
    op = node.op
    assert isinstance(op, Activate)
    return kept_roots(walk, node) if op.activation.slopes == (1.0, 1.0) else Roots()


def _coupling(walk: Walk, node: Node) -> bool:
    """Say whether it reads a function of a feature whose slope goes with its own."""
    op = node.op
    assert isinstance(op, Activate)
    return op.activation.slopes != (1.0, 1.0) and not walk.signals[node.sources[0]].gaussian


RULE = Rule(_forward, _backward, _sample, _sample_back, _coupling, _roots)
