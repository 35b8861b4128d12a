"""Tables of vectors: the embedding of tokens, vectors of positions, the class token, and the tied output layer.

Of an embedding only the rows of tokens in use are drawn. The tied output layer multiplies by the whole table: by those
rows, and by the others, which nothing has depended on so far and which therefore act as a fresh random map,

    logits = [E_used y; E_rest y].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from varprop._validation import InputError, described
from varprop.montecarlo.maps import LinearMap, draw_map
from varprop.montecarlo.ops._rule import Context, Place, Rule, register
from varprop.montecarlo.ops._weights import weight_gradients
from varprop.montecarlo.ops.reshapes import by_example
from varprop.montecarlo.samplers.entries import draw_entries
from varprop.montecarlo.samplers.reductions import Columns
from varprop.spec.ops import ClassToken, Embedding, Positions, Unembedding

Array = NDArray[Any]

MOST_ENTRIES = 1 << 28
"""Entries of a table whose law is one of the whole matrix, and which therefore is drawn whole."""


@dataclass(frozen=True)
class Table:
    """What is known of an embedding.

    Attributes
    ----------
    used, rest : array of int
        Tokens whose rows are drawn, and the others.
    rows : array of shape (draws, features, used)
    law : Law
    """

    used: Array
    rest: Array
    rows: Array
    law: Any


def _embed(place: Place, inputs: Sequence[Columns], context: Context) -> tuple[Array, Any]:
    tokens = inputs[0].distinct[0, 0].astype(np.int64)
    law, vocabulary = place.op.weight_law(*place.inputs), place.inputs[0].vocabulary
    if law.iid or law.deterministic:
        used, index = np.unique(tokens, return_inverse=True)
        shape = (context.draws, place.output.features, len(used))
        rows = draw_entries(law, shape, context.noise)
    else:
        used, index = np.arange(vocabulary), tokens
        if vocabulary * place.output.features > MOST_ENTRIES:
            found = described(f"{place.op.weights.name} for {vocabulary} tokens")
            raise InputError("embedding.weights", found, "a law of independent entries for so large a table")
        whole = (context.draws, vocabulary, place.output.features)
        rows = draw_entries(law, whole, context.noise).swapaxes(-1, -2)
    rest = np.setdiff1d(np.arange(vocabulary), used, assume_unique=True)
    context.tables[place.node] = Table(used, rest, rows, law)
    return np.take(rows, index.reshape(-1), axis=2), None


def _nothing(place: Place, saved: Any, gradient: Columns, context: Context) -> Sequence[Array]:
    return []


@dataclass(frozen=True)
class _Untied:
    table: Table
    linear: LinearMap | None
    columns: Columns


def _unembed(place: Place, inputs: Sequence[Columns], context: Context) -> tuple[Array, Any]:
    (columns,) = inputs
    y, table = columns.array, context.tables[place.table]
    logits = np.empty((len(y), place.output.features, y.shape[2]), y.dtype)
    logits[:, table.used] = np.matmul(table.rows.swapaxes(-1, -2), y)
    linear = None
    if len(table.rest):
        linear = draw_map(
            table.law,
            columns,
            len(table.rest),
            context.noise,
            explicit=context.explicit,
            keep=context.keep,
        )
        logits[:, table.rest] = linear.forward()
    return logits, _Untied(table, linear, columns)


def _unembed_back(place: Place, saved: _Untied, gradient: Columns, context: Context) -> Sequence[Array]:
    g, table = gradient.array, saved.table
    result: Array = np.matmul(table.rows, g[:, table.used])
    if saved.linear is not None:
        result += saved.linear.backward(Columns(g[:, table.rest]))
    return [result]


def _unembedding_weights(place: Place, saved: _Untied, gradient: Columns) -> tuple[Array, Array, int]:
    return weight_gradients(gradient, saved.columns, place.examples)


def _add_positions(place: Place, inputs: Sequence[Columns], context: Context) -> tuple[Array, Any]:
    law, count = place.op.weight_law(*place.inputs), place.output.count
    vectors = draw_entries(law, (context.draws, place.output.features, count), context.noise)
    x = by_example(inputs[0].array, place.examples)
    return (x + vectors[:, :, None]).reshape(len(x), place.output.features, -1), None


def _positions_back(place: Place, saved: Any, gradient: Columns, context: Context) -> Sequence[Array]:
    return [gradient.array]


def _put_token(place: Place, inputs: Sequence[Columns], context: Context) -> tuple[Array, Any]:
    x = by_example(inputs[0].array, place.examples)
    law, features = place.op.weight_law(*place.inputs), place.output.features
    token = draw_entries(law, (context.draws, features, 1), context.noise)
    first = np.broadcast_to(token[:, :, None], (len(x), features, place.examples, 1))
    return np.concatenate([first.astype(x.dtype, copy=False), x], axis=3).reshape(len(x), features, -1), None


def _token_back(place: Place, saved: Any, gradient: Columns, context: Context) -> Sequence[Array]:
    g = by_example(gradient.array, place.examples)[:, :, :, 1:]
    return [np.ascontiguousarray(g).reshape(*g.shape[:2], -1)]


register(Embedding, Rule(_embed, _nothing))
register(Unembedding, Rule(_unembed, _unembed_back, weight_gradients=_unembedding_weights))
register(Positions, Rule(_add_positions, _positions_back))
register(ClassToken, Rule(_put_token, _token_back))
