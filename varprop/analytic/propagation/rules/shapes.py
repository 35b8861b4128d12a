"""Ops that move numbers: the input, flattening, transposing, selecting, concatenating, dropout.

All of them are linear in their input, so that second moments are followed exactly; what changes is which index is a
feature and which a column.
"""

from __future__ import annotations

import numpy as np

from varprop.analytic.propagation.rules.maps import Known, unformed
from varprop.analytic.propagation.signal import LARGEST, Array, Gradient, Index, Signal, merged
from varprop.analytic.propagation.walk import Place, Rule, kept_roots
from varprop.spec.ops import Dropout, Select


def _input(place: Place, inputs: list[Signal]) -> Signal:
    x = place.walk.network.input.array()
    return known_signal(x)


def known_signal(x: Array) -> Signal:
    """Return the signal of values that are the same in every draw, shape (features, N)."""
    mean = x.mean(axis=0)
    many = x.shape[1] > LARGEST
    nothing = np.zeros((0, 0))
    return Signal(
        nothing if many else x.T @ x / x.shape[0],
        mean,
        x.shape[0],
        exact_mean=True,
        exact_diagonal=True,
        exact=True,
        common=nothing if many else np.outer(mean, mean),
        fluctuation=0.0,
        kept=Known(x),
    )


def _nothing(place: Place, gradient: Gradient, inputs: list[Signal]) -> list[Gradient]:
    return []


def _select_columns(place: Place) -> Index:
    op = place.node.op
    assert isinstance(op, Select)
    return np.arange(place.examples) * place.before[0].count + op.position


def picked(before: Signal, at: Index) -> Signal:
    """Return the signal whose columns are those of `before` at `at`, in which one may stand repeatedly: exact."""
    both = np.ix_(at, at)
    return Signal(
        **{
            **vars(before),
            "second": before.second[both],
            "mean": before.mean[at],
            "common": None if before.common is None else before.common[both],
            "token": None if before.token is None else before.token[at],
            "kept": before.kept if isinstance(before.kept, Known) else None,
        }
    )


def sent_back(gradient: Gradient, at: Index, columns: int) -> Gradient:
    """Return the gradient before `picked`: at each of the `columns` the sum over where it was put."""
    second = np.zeros((columns, columns))
    np.add.at(second, np.ix_(at, at), gradient.second)
    return Gradient(second, gradient.exact, gradient.reasons)


def _select(place: Place, inputs: list[Signal]) -> Signal:
    return picked(inputs[0], _select_columns(place))


def _select_back(place: Place, gradient: Gradient, inputs: list[Signal]) -> list[Gradient]:
    return [sent_back(gradient, _select_columns(place), inputs[0].mean.size)]


def _select_sample(place: Place, inputs: list[Signal], values: list[Array]) -> Array:
    return np.asarray(values[0][_select_columns(place)])


def _select_sample_back(
    place: Place, gradient: Array, inputs: list[Signal], values: list[Array]
) -> list[Array]:
    found = np.zeros_like(values[0])
    found[_select_columns(place)] = gradient
    return [found]


def _cells(second: Array, examples: int) -> Array:
    """Return an (N, N) matrix as (B, T, B, T)."""
    positions = second.shape[0] // examples
    return second.reshape(examples, positions, examples, positions)


def _flatten(place: Place, inputs: list[Signal]) -> Signal:
    (before,) = inputs
    b, t = place.examples, place.before[0].count
    if t == 1:
        return before
    if isinstance(before.kept, Known) and before.kept.values is not None:
        x = before.kept.values.reshape(before.features, b, t)
        return known_signal(x.transpose(0, 2, 1).reshape(-1, b))
    second = np.einsum("atbt->ab", _cells(before.second, b)) / t
    mean = before.mean.reshape(b, t)
    # Means over all rows: of different positions and of different features.
    own = _cells(before.feature_means, b).sum(axis=(1, 3)) / t**2
    alike = bool(np.allclose(mean, mean[:, :1]))
    plain = before.common is None and alike and not _correlated(before.second, b)
    return Signal(
        second,
        mean.mean(axis=1),
        place.node.shape.features,
        exact_mean=before.exact_mean,
        exact_diagonal=before.exact_diagonal,
        exact=before.exact,
        reasons=before.reasons,
        common=None if plain else own,
        fluctuation=before.fluctuation,
    )


def _correlated(second: Array, examples: int) -> bool:
    cells = _cells(second, examples)
    return bool(
        np.abs(cells - np.einsum("atbt->atb", cells)[..., None] * np.eye(cells.shape[1])[None, :, None]).any()
    )


def _flatten_back(place: Place, gradient: Gradient, inputs: list[Signal]) -> list[Gradient]:
    t = place.before[0].count
    if unformed(inputs[0]):
        return [Gradient(np.zeros((0, 0)), gradient.exact, gradient.reasons)]
    second = np.asarray(np.kron(gradient.second, np.eye(t)), dtype=np.float64)
    return [Gradient(second, gradient.exact, gradient.reasons)]


def _turned(second: Array, between: Array, examples: int, features: int) -> tuple[Array, Array]:
    """Return second moment and common part with features as columns, given those of one feature and of two.

    Column (b, i) of the result is feature i of example b, its features are the positions.
    """
    t = second.shape[0] // examples
    found = []
    for part in ("atbt->ab", "atbs->ab"):
        # Mean over positions: of the same in both factors (one feature of the result), of any two (their mean).
        count = t if part == "atbt->ab" else t * t
        own, other = (np.einsum(part, _cells(m, examples)) / count for m in (second, between))
        found.append(np.kron(own - other, np.eye(features)) + np.kron(other, np.ones((features, features))))
    return found[0], found[1]


def _transpose(place: Place, inputs: list[Signal]) -> Signal:
    (before,) = inputs
    b, t, n = place.examples, place.before[0].count, before.features
    second, common = _turned(before.second, before.between, b, n)
    # Rows of weights see the few positions' covariance: a mean square of a row is a quadratic form in it. Turned back,
    # what two features share beside their own number shows as a fluctuation of every position's mean square.
    squares = np.einsum("atas,atas->", _cells(before.second, b), _cells(before.second, b))
    traces = np.square(np.einsum("atat->a", _cells(before.second, b))).sum()
    left = 0.0 if before.overlap is None else max(before.overlap - 1.0 / before.features, 0.0)
    few = float(squares / traces) if traces > 0.0 and before.overlap is None else None
    return Signal(
        second,
        np.repeat(before.mean.reshape(b, t).mean(axis=1), n),
        t,
        exact_mean=before.exact_mean,
        exact_diagonal=before.exact_diagonal,
        exact=before.exact and before.common is None,
        reasons=before.reasons,
        common=common,
        fluctuation=before.fluctuation,
        overlap=few,
        echo=before.echo if few is None else few,
        spread=2.0 * left,
    )


def _transpose_back(place: Place, gradient: Gradient, inputs: list[Signal]) -> list[Gradient]:
    b, t = place.examples, place.before[0].count
    second, common = _turned(gradient.second, gradient.between(t), b, t)
    return [Gradient(second, gradient.exact, gradient.reasons, common=common)]


def _concatenate(place: Place, inputs: list[Signal]) -> Signal:
    sizes = np.array([x.features for x in inputs], dtype=np.float64)
    shares = sizes / sizes.sum()

    def mixed(values: list[Array]) -> Array:
        return np.asarray(np.sum([s * v for s, v in zip(shares, values, strict=True)], axis=0))

    mean = mixed([x.mean for x in inputs])
    # The mean over all features: products of different branches' means are known where they are independent.
    common = np.sum([s * s * x.feature_means for s, x in zip(shares, inputs, strict=True)], axis=0)
    for i, x in enumerate(inputs):
        for j, y in enumerate(inputs[:i]):
            same = place.node.sources[i] == place.node.sources[j]
            both = x.feature_means if same else np.outer(x.mean, y.mean)
            common = common + shares[i] * shares[j] * (both + both.T)
    return Signal(
        mixed([x.second for x in inputs]),
        mean,
        int(sizes.sum()),
        exact_mean=all(x.exact_mean for x in inputs),
        exact_diagonal=all(x.exact_diagonal for x in inputs),
        exact=all(x.exact for x in inputs),
        reasons=merged(*(x.reasons for x in inputs)),
        common=common,
        fluctuation=max(x.fluctuation for x in inputs),
        kept=Known() if all(isinstance(x.kept, Known) for x in inputs) else None,
    )


def _concatenate_back(place: Place, gradient: Gradient, inputs: list[Signal]) -> list[Gradient]:
    return [Gradient(gradient.second, gradient.exact, gradient.reasons) for _ in inputs]


def _rate(place: Place) -> float:
    op = place.node.op
    assert isinstance(op, Dropout)
    return op.rate


def _dropout(place: Place, inputs: list[Signal]) -> Signal:
    """Return E m² = 1/(1 - rate) on the diagonal; masks of different columns are independent: exact."""
    (before,) = inputs
    more = _rate(place) / (1.0 - _rate(place))
    added = np.diag(more * before.diagonal)
    return Signal(
        **{
            **vars(before),
            "second": before.second + added,
            "common": None if before.common is None else before.common + added / before.features,
            "gaussian": before.gaussian and more == 0.0,
            "law": before.law and more == 0.0,
            "kept": before.kept if more == 0.0 else None,
        }
    )


def _dropout_back(place: Place, gradient: Gradient, inputs: list[Signal]) -> list[Gradient]:
    more = _rate(place) / (1.0 - _rate(place))
    second = gradient.second + np.diag(more * np.diagonal(gradient.second))
    return [
        Gradient(second, gradient.exact, gradient.reasons, gradient.origin, gradient.factor, gradient.start)
    ]


def _mask(place: Place, shape: tuple[int, ...]) -> Array:
    rate = _rate(place)
    rng = np.random.default_rng([41, place.node.index])
    return np.asarray((rng.random(shape) >= rate) / (1.0 - rate))


def _dropout_sample(place: Place, inputs: list[Signal], values: list[Array]) -> Array:
    return np.asarray(values[0] * _mask(place, values[0].shape))


def _dropout_sample_back(
    place: Place, gradient: Array, inputs: list[Signal], values: list[Array]
) -> list[Array]:
    return [gradient * _mask(place, values[0].shape)]


INPUT = Rule(_input, _nothing)
SELECT = Rule(_select, _select_back, _select_sample, _select_sample_back, roots=kept_roots, reads_known=True)
FLATTEN = Rule(_flatten, _flatten_back, roots=kept_roots, reads_known=True)
TRANSPOSE = Rule(_transpose, _transpose_back, roots=kept_roots)
CONCATENATE = Rule(_concatenate, _concatenate_back, roots=kept_roots)
DROPOUT = Rule(_dropout, _dropout_back, _dropout_sample, _dropout_sample_back, roots=kept_roots)
