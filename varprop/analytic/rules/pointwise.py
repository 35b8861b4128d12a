"""Activations and dropout."""

from __future__ import annotations

import functools
import math
from dataclasses import replace

import numpy as np

from varprop.activations import Activation, activation
from varprop.analytic.rules.signal import Array, Facts, Signal, reasons, worst
from varprop.spec.traced import Node

_POINTS = 512
"""Different variances from which on they are rounded to four digits, to keep quadratures few."""
_WIDE = "entries taken as Gaussian"
_ANGLE = "one correlation taken for all pairs"


def activate(node: Node, inputs: list[Signal], facts: Facts) -> Signal | None:
    """phi(z): exact in the second moment for symmetric z and homogeneous phi, the Gaussian moments otherwise."""
    phi, before = _activation(node), inputs[0]
    homogeneous = phi.slopes is not None and before.fresh
    if not homogeneous and not before.gaussian:
        return None
    linear = phi.slopes is not None and phi.slopes[0] == phi.slopes[1]
    # Where the fan-in is large an entry is Gaussian unless something adds a law of its own.
    limit = "approximate" if before.tail else "infinite"
    if phi.slopes is not None and homogeneous:
        second = before.second * (phi.slopes[0] ** 2 + phi.slopes[1] ** 2) / 2
        order = before.order
    else:
        second = _moments(phi, before, "second_moment")
        order = worst(before.order, limit)
    angle = "" if linear or before.data is None else _ANGLE
    wide = before.tail or _WIDE
    mean = before.mean * phi.slopes[0] if linear and phi.slopes else _moments(phi, before, "mean")
    return Signal(
        second,
        mean,
        node.shape,
        data=_over_pairs(phi, before, before.data, second),
        spread=_spread(phi, before, second),
        fresh=before.fresh and linear,
        order=order,
        mean_order=worst(before.mean_order, order, before.mean_order if linear else limit),
        spread_order=worst(before.spread_order, before.spread_order if linear else "approximate"),
        why=reasons(before.why, wide if order != before.order or (before.tail and not linear) else ""),
        spread_why=reasons(before.spread_why, angle),
    )


def activate_back(node: Node, gradient: Array, inputs: list[Signal], facts: Facts) -> Array | None:
    """Delta = phi'(z) g."""
    before = inputs[0]
    phi = _activation(node)
    if phi.slopes is not None and before.fresh:
        return gradient * ((phi.slopes[0] ** 2 + phi.slopes[1] ** 2) / 2)
    if not before.gaussian:
        return None
    slopes = _moments(phi, before, "derivative_second_moment")
    return gradient * (slopes if slopes.shape[1:] == gradient.shape[1:] else slopes.mean())


def probabilities(node: Node, before: Signal, share: float) -> dict[str, tuple[float, str]]:
    """Return (value, order) of saturated and inactive fraction and E phi'² for Gaussian z, by quantity."""
    from varprop.activations import interval_probability

    phi = _activation(node)
    if not before.gaussian:
        return {}
    variance = np.maximum(before.second - before.mean**2, 0.0)
    even = phi.slopes is not None and before.fresh
    order = worst(before.order, "approximate" if before.tail else "infinite")
    found = {
        "saturated_fraction": (
            float(np.mean(phi.saturation(share).probability(before.mean, variance))),
            order,
        )
    }
    inside = [interval_probability(low, high, before.mean, variance) for low, high in phi.inactive]
    found["inactive_fraction"] = (
        float(np.mean(sum(inside))) if inside else 0.0,
        order if inside else "exact",
    )
    slopes = np.mean(_moments(phi, before, "derivative_second_moment"))
    found["derivative_second_moment"] = (float(slopes), "exact" if even else order)
    return found


def dropout(node: Node, inputs: list[Signal], facts: Facts) -> Signal | None:
    """Inverted dropout keeps 1 - p of the entries, scaled by its inverse: E h² grows by 1/(1 - p)."""
    p, before = float(node.attributes["p"]), inputs[0]
    if p == 0.0:
        return replace(before, shape=node.shape)
    if p >= 1.0:
        return None
    extra = float(before.second.mean()) * p / (1 - p)  # masks are independent: covariances stay as they were
    return replace(
        before,
        second=before.second / (1 - p),
        shape=node.shape,
        data=None if before.data is None else before.data + extra,
        spread=None if before.spread is None else before.spread + extra,
        gaussian=False,
    )


def dropout_back(node: Node, gradient: Array, inputs: list[Signal], facts: Facts) -> Array | None:
    """The same factor goes back."""
    p = float(node.attributes["p"])
    return None if p >= 1.0 else gradient / (1 - p)


@functools.lru_cache(maxsize=64)
def _of(spelling: str) -> Activation:
    # One object per spelling: it keeps its saturation set once that is found.
    return activation(spelling)


def _activation(node: Node) -> Activation:
    return _of(str(node.attributes["activation"]))


def _moments(phi: Activation, before: Signal, name: str) -> Array:
    variance = np.maximum(before.second - before.mean**2, 0.0)
    mean = np.broadcast_to(before.mean, variance.shape)
    if variance.size <= _POINTS:
        return np.asarray(getattr(phi.moments(variance, mean=mean, fields=(name,)), name), dtype=np.float64)
    pairs = np.stack([_rounded(variance).ravel(), _rounded(mean).ravel()])
    distinct, place = np.unique(pairs, axis=1, return_inverse=True)
    values = getattr(phi.moments(distinct[0], mean=distinct[1], fields=(name,)), name)
    return np.asarray(values, dtype=np.float64)[place.reshape(-1)].reshape(variance.shape)


def _rounded(values: Array) -> Array:
    with np.errstate(divide="ignore"):
        digits = np.floor(np.log10(np.abs(values)))
    step = 10.0 ** np.where(np.isfinite(digits), digits - 3, 0.0)
    return np.asarray(np.round(values / step) * step)


def _spread(phi: Activation, before: Signal, second: Array) -> float | None:
    """Spread after phi: count/(count - 1) times it belongs to distinct pairs, as `_over_pairs` wants it."""
    count = math.prod(before.shape) // max(before.shape[1], 1) if len(before.shape) > 1 else 1
    if before.spread is None or count < 2:
        return None
    found = _over_pairs(phi, before, before.spread * count / (count - 1), second)
    return None if found is None else found * (count - 1) / count


def _over_pairs(phi: Activation, before: Signal, between: float | None, second: Array) -> float | None:
    """Variance of phi(z) over the data, from that of z: E (phi(z_a) - phi(z_b))²/2 at the pairs' mean correlation."""
    if between is None or not before.gaussian:
        return None
    total = before.level
    if total <= 0 or np.any(before.mean != 0):
        return None
    covariance = float(np.clip(total - between, -total, total))
    apart = phi.pair_moments(total, total, covariance, fields=("squared_difference",)).squared_difference
    same = phi.moments(total, fields=("second_moment",)).second_moment
    # As a share of the second moment: the mean over examples of E phi² is not E phi² at the mean.
    return 0.5 * float(apart) / float(same) * float(second.mean()) if float(same) > 0 else 0.0
