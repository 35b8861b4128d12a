"""Sums and products of values, entry by entry.

E (Σ a_i x_i)(Σ a_i x_i)ᵀ has cross terms; that of two values of which one is linear in weights of mean zero of its own
is the product of their means, exactly (`Walk.independent`): so it is for a residual branch that ends in a map.
"""

from __future__ import annotations

import numpy as np

from varprop.analytic.propagation.fluctuation import fluctuation_behind_sum
from varprop.analytic.propagation.signal import Array, Gradient, Signal, gram, merged
from varprop.analytic.propagation.walk import Place, Roots, Rule, Walk, kept_roots
from varprop.spec.graph import Node
from varprop.spec.ops import Add


def _add(place: Place, inputs: list[Signal]) -> Signal:
    op, sources, walk = place.node.op, place.node.sources, place.walk
    assert isinstance(op, Add)
    pairs = list(zip(op.scales, inputs, strict=True))
    second: Array = np.sum([a * a * x.second for a, x in pairs], axis=0)
    shared = any(x.common is not None for x in inputs)
    means = np.sum([a * a * x.feature_means for a, x in pairs], axis=0) if shared else None
    known, separate = True, True
    for i, (a, x) in enumerate(pairs):
        for j, (b, y) in enumerate(pairs[:i]):
            cross, own = walk.cross(sources[i], sources[j])
            second = second + a * b * (cross + cross.T)
            known &= own
            separate &= walk.independent(sources[i], sources[j])
            if means is not None:
                both = x.feature_means if sources[i] == sources[j] else np.outer(x.mean, y.mean)
                means = means + a * b * (both + both.T)
    why = (
        () if known else (f"values added at {place.node.name} that share weights are taken as uncorrelated",)
    )
    gaussian = all(x.gaussian for x in inputs) and separate
    tokens = [a * x.token for a, x in pairs if x.token is not None]
    return Signal(
        second,
        np.sum([a * x.mean for a, x in pairs], axis=0),
        inputs[0].features,
        exact_mean=all(x.exact_mean for x in inputs),
        exact_diagonal=known and all(x.exact_diagonal and x.exact_mean for x in inputs),
        exact=known and all(x.exact and x.exact_mean for x in inputs),
        reasons=merged(*(x.reasons for x in inputs), why),
        gaussian=gaussian,
        law=all(x.law for x in inputs) and separate,
        symmetric=_symmetric(place, inputs),
        common=means,
        fluctuation=fluctuation_behind_sum(place, inputs),
        spread=_spread(pairs, second),
        token=np.sum(tokens, axis=0) if tokens else None,
    )


def _spread(pairs: list[tuple[float, Signal]], second: Array) -> float:
    """Return the relative variance of a sum's mean square, from its parts'."""
    whole = float(np.trace(second))
    if whole <= 0.0:
        return 0.0
    shares = [a * a * float(np.trace(x.second)) / whole for a, x in pairs]
    own = sum(share**2 * x.spread for share, (_, x) in zip(shares, pairs, strict=True))
    # (2 x·y)² on average: y holds a part of x that differs from draw to draw.
    return own + sum(
        4.0 * share * (1.0 - share) * x.echo for share, (_, x) in zip(shares, pairs, strict=True)
    )


def _symmetric(place: Place, inputs: list[Signal]) -> bool:
    walk, sources = place.walk, place.node.sources
    return all(x.symmetric for x in inputs) and all(
        any(not walk.depends(j, w) for w in walk.roots[i].odd) for i in sources for j in sources if i != j
    )


def _add_back(place: Place, gradient: Gradient, inputs: list[Signal]) -> list[Gradient]:
    op = place.node.op
    assert isinstance(op, Add)
    return [gradient.scaled(scale) for scale in op.scales]


def _add_sample(place: Place, inputs: list[Signal], values: list[Array]) -> Array:
    op = place.node.op
    assert isinstance(op, Add)
    return np.asarray(np.sum([a * x for a, x in zip(op.scales, values, strict=True)], axis=0))


def _add_sample_back(place: Place, gradient: Array, inputs: list[Signal], values: list[Array]) -> list[Array]:
    op = place.node.op
    assert isinstance(op, Add)
    return [scale * gradient for scale in op.scales]


def _multiply(place: Place, inputs: list[Signal]) -> Signal:
    """Return the signal of x y: E x x' E y y' in the limit of wide layers, if independent given what both read."""
    walk, (one, other) = place.walk, place.node.sources
    x, y = inputs
    reasons = merged(x.reasons, y.reasons)
    if not walk.independent(one, other):
        values = place.walk.sample(one), place.walk.sample(other)
        product = values[0] * values[1]
        return Signal(
            gram(product), product.mean(axis=1), x.features, reasons=reasons, fluctuation=x.fluctuation
        )
    return Signal(
        x.second * y.second,
        x.mean * y.mean,
        x.features,
        exact_mean=x.exact_mean and y.exact_mean,
        reasons=reasons,
        symmetric=x.symmetric or y.symmetric,
        fluctuation=max(x.fluctuation, y.fluctuation),
    )


def _multiply_back(place: Place, gradient: Gradient, inputs: list[Signal]) -> list[Gradient]:
    reasons = merged(gradient.reasons, *(x.reasons for x in inputs))
    found = []
    for factor in reversed(inputs):
        by = None if gradient.factor is None else gradient.factor * factor.mean
        found.append(
            Gradient(gradient.second * factor.second, False, reasons, gradient.origin, by, gradient.start)
        )
    return found


def _multiply_sample(place: Place, inputs: list[Signal], values: list[Array]) -> Array:
    return np.asarray(values[0] * values[1])


def _multiply_sample_back(
    place: Place, gradient: Array, inputs: list[Signal], values: list[Array]
) -> list[Array]:
    return [gradient * values[1], gradient * values[0]]


def _multiply_roots(walk: Walk, node: Node) -> Roots:
    """Return the roots of one factor on which the other does not depend."""
    one, other = node.sources
    found = Roots()
    for factor, rest in ((one, other), (other, one)):
        own = walk.roots[factor]
        linear = (w for w in own.linear if not walk.depends(rest, w))
        odd = (w for w in own.odd if not walk.depends(rest, w))
        found = Roots(found.linear | frozenset(linear), found.odd | frozenset(odd))
    return found


def _dependent(walk: Walk, node: Node) -> bool:
    return not walk.independent(*node.sources)


ADD = Rule(_add, _add_back, _add_sample, _add_sample_back, roots=kept_roots)
MULTIPLY = Rule(
    _multiply, _multiply_back, _multiply_sample, _multiply_sample_back, _dependent, _multiply_roots
)
