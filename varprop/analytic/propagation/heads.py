"""Where the gradient of a graph starts: second moments at the output's columns, and the expected loss.

An example's loss is the mean over its T positions, so that the gradient at a column carries 1/T. ``unit``: iid N(0, 1).
``mse``: E (z - y)(z' - y')/T². ``bce``: the same of sigmoid(z). ``softmax_ce``: `position_losses`, and for an output
tied to the embedding the mean of the own token's logit (`tied_loss`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from varprop.activations import activation
from varprop.analytic.attention.unembedding import position_losses, tied_loss
from varprop.analytic.propagation.pairs import activated
from varprop.analytic.propagation.rules.embedding import Tied
from varprop.analytic.propagation.signal import Array, Gradient, Signal, merged
from varprop.analytic.propagation.walk import Walk

_NOT_GAUSSIAN = "outputs that are not Gaussian are taken as such by the head"


@dataclass(frozen=True, eq=False)
class Start:
    """The gradient at the output, and the expected loss.

    Attributes
    ----------
    gradient : Gradient
    loss : ndarray or None
        At every column, shape (N,); None for the head ``unit``.
    exact_loss : bool
    """

    gradient: Gradient
    loss: Array | None = None
    exact_loss: bool = False


def start(walk: Walk) -> Start:
    """Return where the backward walk starts."""
    output = walk.signals[-1]
    return RULES[walk.network.head.kind](walk, output)


def _unit(walk: Walk, output: Signal) -> Start:
    return Start(Gradient(np.eye(output.mean.size), True))


def _positions(walk: Walk) -> int:
    return walk.graph.output.shape.count


def _mse(walk: Walk, output: Signal) -> Start:
    targets = walk.network.targets
    assert targets is not None
    level = targets.mean(axis=0)
    mixed = np.outer(output.mean, level)
    square = output.second - mixed - mixed.T + targets.T @ targets / targets.shape[0]
    loss = 0.5 * output.features * np.diagonal(square)
    gradient = Gradient(square / _positions(walk) ** 2, False, output.reasons)
    return Start(gradient, loss, output.exact_diagonal and output.exact_mean)


def _bce(walk: Walk, output: Signal) -> Start:
    targets = walk.network.targets
    assert targets is not None
    level = targets.mean(axis=0)
    found = activated(activation("sigmoid"), output.mean, output.covariance)
    mixed = np.outer(found.mean, level)
    square = found.second - mixed - mixed.T + targets.T @ targets / targets.shape[0]
    nodes, weights = np.polynomial.hermite_e.hermegauss(96)
    z = output.mean[:, None] + np.sqrt(np.maximum(np.diagonal(output.covariance), 0.0))[:, None] * nodes
    softplus = np.logaddexp(0.0, z) @ (weights / weights.sum())
    loss = output.features * (softplus - level * output.mean)
    why = merged(output.reasons, () if output.gaussian else (_NOT_GAUSSIAN,))
    return Start(Gradient(square / _positions(walk) ** 2, False, why), loss)


def _softmax(walk: Walk, output: Signal) -> Start:
    targets, classes = walk.network.targets, output.features
    # What all logits share drops out.
    own = output.second - output.between
    same = None if targets is None else (targets[:, None] == targets).astype(np.float64)
    tied = output.kept if isinstance(output.kept, Tied) else None
    if tied is not None:
        own = output.second - np.diag(np.square(tied.own)) / classes
    found = position_losses(_levelled(0.5 * (own + own.T)), classes, same)
    loss, square = found.loss, found.gradient
    gaussian = output.gaussian or not output.second.any()
    why = merged(output.reasons, () if gaussian else (_NOT_GAUSSIAN,))
    if tied is not None and tied.own.any():
        ids = walk.network.input.array()[0]
        shares = [None if targets is None else float(targets[i] == ids[i]) for i in range(loss.size)]
        loss = loss + [tied_loss(float(m), classes, p) for m, p in zip(tied.own, shares, strict=True)]
        own_chance = _own_chance(tied.own, np.maximum(np.diagonal(own), 0.0), classes)
        if own_chance.max() > _SMALL_CHANCE:
            hit = 1.0 / classes if targets is None else (targets == ids).astype(np.float64)
            square = square * np.outer(1.0 - own_chance, 1.0 - own_chance)
            same_token = (ids[:, None] == ids).astype(np.float64)
            square = square + same_token * np.outer(own_chance, own_chance)
            missed = own_chance * (2.0 - own_chance) * (1.0 - hit)
            np.fill_diagonal(square, np.diagonal(square) + missed * (1.0 - 1.0 / classes))
            why = merged(why, (_OWN_TOKEN,))
    return Start(Gradient(square / classes / _positions(walk) ** 2, False, why), loss)


_FEW = 32


def _levelled(covariance: Array) -> Array:
    """Round the variances of many columns to four digits: behind a normalization they differ by its eps alone.

    Every variance costs an integral; of the loss this changes less than 5e-5 times the variance.
    """
    if covariance.shape[0] <= _FEW:
        return covariance
    found = covariance.copy()
    np.fill_diagonal(found, [float(f"{v:.3e}") for v in np.diagonal(covariance)])
    return found


_SMALL_CHANCE = 0.01
_OWN_TOKEN = "the tied output layer expects a position's own token, whose embedding is part of the stream"


def _own_chance(mean: Array, variance: Array, classes: int) -> Array:
    """Return E p of a column's own token, of which the logit has a mean; the sum over other classes as its mean."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(24)
    logits = mean[:, None] + np.sqrt(variance)[:, None] * nodes
    rest = np.log(classes) + 0.5 * variance[:, None]
    return np.asarray(expit(logits - rest) @ (weights / weights.sum()))


RULES: dict[str, Callable[[Walk, Signal], Start]] = {
    "unit": _unit,
    "mse": _mse,
    "bce": _bce,
    "softmax_ce": _softmax,
}
"""From the kind of a head to its rule."""
