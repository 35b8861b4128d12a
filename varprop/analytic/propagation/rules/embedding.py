"""Tables of vectors: token embeddings, positions, class tokens, and the output layer tied to an embedding.

Two columns of one token share a row of the table, others have independent ones: E e_t e_t' = s [same token] + mu², for
entries of variance s and mean mu, exactly and for any law of iid entries.
"""

from __future__ import annotations

import numpy as np

from varprop.analytic.propagation.rules.dense import Read
from varprop.analytic.propagation.signal import Array, Gradient, Index, Signal, merged
from varprop.analytic.propagation.walk import Place, Roots, Rule, Walk
from varprop.initializers import Law
from varprop.spec.graph import Node
from varprop.spec.ops import ClassToken, Embedding, Positions


def _table(place: Place, same: Array, law: Law) -> Signal:
    n = same.shape[0]
    odd = "" if law.iid else f"entries of {place.node.name} are not independent of each other"
    return Signal(
        law.variance * same + law.mean**2,
        np.full(n, law.mean),
        place.node.shape.features,
        exact_mean=True,
        exact_diagonal=True,
        exact=True,
        reasons=(odd,) if odd else (),
        gaussian=law.gaussian or law.deterministic,
        law=law.gaussian and law.iid,
        symmetric=law.symmetric and law.mean == 0.0,
    )


def _embedding(place: Place, inputs: list[Signal]) -> Signal:
    op = place.node.op
    assert isinstance(op, Embedding)
    ids = place.walk.network.input.array()[0]
    found = _table(place, (ids[:, None] == ids).astype(np.float64), op.weight_law(*place.before))
    return Signal(**{**vars(found), "token": np.ones(ids.size)})


def _no_gradient(place: Place, gradient: Gradient, inputs: list[Signal]) -> list[Gradient]:
    n = inputs[0].second.shape[0]
    return [Gradient(np.zeros((n, n)), True)]


def _positions(place: Place, inputs: list[Signal]) -> Signal:
    op = place.node.op
    assert isinstance(op, Positions)
    (before,) = inputs
    eye = np.eye(place.node.shape.count)
    same: Array = np.tile(eye, (place.examples, place.examples))
    added = _table(place, same, op.weight_law(*place.before))
    mixed = np.outer(before.mean, added.mean)
    common = None
    if before.common is not None:
        common = before.common + added.feature_means + mixed + mixed.T
    return Signal(
        before.second + added.second + mixed + mixed.T,
        before.mean + added.mean,
        before.features,
        exact_mean=before.exact_mean,
        exact_diagonal=before.exact_diagonal and before.exact_mean,
        exact=before.exact and before.exact_mean,
        reasons=merged(before.reasons, added.reasons),
        gaussian=before.gaussian and added.gaussian,
        law=before.law and added.law,
        symmetric=before.symmetric and added.symmetric,
        common=common,
        fluctuation=before.fluctuation,
        token=before.token,
    )


def _unchanged(place: Place, gradient: Gradient, inputs: list[Signal]) -> list[Gradient]:
    return [gradient]


def _class_token(place: Place, inputs: list[Signal]) -> Signal:
    op = place.node.op
    assert isinstance(op, ClassToken)
    (before,) = inputs
    own, old = class_columns(place)
    n = place.columns
    added = _table(place, np.ones((1, 1)), op.weight_law(*place.before))
    mean = np.full(n, added.mean[0])
    mean[old] = before.mean
    second = np.outer(mean, mean)
    second[np.ix_(own, own)] = added.second[0, 0]
    second[np.ix_(old, old)] = before.second
    common = None
    if before.common is not None:
        common = np.outer(mean, mean)
        common[np.ix_(own, own)] = added.feature_means[0, 0]
        common[np.ix_(old, old)] = before.common
    token = None
    if before.token is not None:
        token = np.zeros(n)
        token[old] = before.token
    return Signal(
        second,
        mean,
        before.features,
        exact_mean=before.exact_mean,
        exact_diagonal=before.exact_diagonal,
        exact=before.exact,
        reasons=merged(before.reasons, added.reasons),
        gaussian=before.gaussian and added.gaussian,
        law=before.law and added.law,
        symmetric=before.symmetric and added.symmetric,
        common=common,
        fluctuation=before.fluctuation,
        token=token,
    )


def class_columns(place: Place) -> tuple[Index, Index]:
    """Return the columns of the class token, and those of what was there before."""
    count = place.node.shape.count
    columns = np.arange(place.columns).reshape(place.examples, count)
    return columns[:, 0], columns[:, 1:].ravel()


def _class_back(place: Place, gradient: Gradient, inputs: list[Signal]) -> list[Gradient]:
    _, old = class_columns(place)
    samples = None if gradient.samples is None else gradient.samples[old]
    return [Gradient(gradient.second[np.ix_(old, old)], gradient.exact, gradient.reasons, samples=samples)]


def _unembedding(place: Place, inputs: list[Signal]) -> Signal:
    (before,) = inputs
    law, n = tied_law(place), before.features
    own = np.zeros(before.mean.size) if before.token is None else n * law.variance * before.token
    second = n * law.variance * before.second + law.mean**2 * float(n) ** 2 * before.feature_means
    # The logit of a column's own token has a mean: its row of the table is part of what the table is multiplied with.
    second = second + np.outer(own, own) * _same_tokens(place) / place.node.shape.features
    mean = law.mean * n * before.mean + own / place.node.shape.features
    reasons = before.reasons
    if law.mean != 0.0:
        reasons = merged(reasons, (f"weights of {place.node.name} have a mean",))
    return Signal(
        second,
        mean,
        place.node.shape.features,
        reasons=reasons,
        gaussian=True,
        kept=Tied(Read(before.second), own),
    )


class Tied:
    """What a tied output layer keeps.

    Attributes
    ----------
    read : Read
    own : ndarray
        Mean of the logit of a column's own token, shape (N,).
    """

    def __init__(self, read: Read, own: Array) -> None:
        self.read, self.own = read, own

    @property
    def second(self) -> Array:
        """What the weights meet."""
        return self.read.second


def _same_tokens(place: Place) -> Array:
    ids = place.walk.network.input.array()[0]
    if ids.size != place.columns:
        return np.eye(place.columns)
    return np.asarray(ids[:, None] == ids, dtype=np.float64)


def tied_law(place: Place) -> Law:
    """Return the law of the table that an output layer is tied to."""
    graph = place.walk.graph
    table = graph.nodes[place.node.table]
    assert isinstance(table.op, Embedding)
    return table.op.weight_law(*graph.inputs(table))


def _unembedding_back(place: Place, gradient: Gradient, inputs: list[Signal]) -> list[Gradient]:
    scale = place.node.shape.features * tied_law(place).second_moment
    return [Gradient(scale * gradient.second, False, gradient.reasons)]


def _table_roots(walk: Walk, node: Node) -> Roots:
    op = node.op
    assert isinstance(op, Embedding)
    law = op.weight_law(*walk.graph.inputs(node))
    own = frozenset((node.index,))
    return Roots(
        own if law.mean == 0.0 and law.iid else frozenset(),
        own if law.mean == 0.0 and law.symmetric else frozenset(),
    )


EMBEDDING = Rule(_embedding, _no_gradient, roots=_table_roots)
POSITIONS = Rule(_positions, _unchanged)
CLASS_TOKEN = Rule(_class_token, _class_back)
UNEMBEDDING = Rule(_unembedding, _unembedding_back)
