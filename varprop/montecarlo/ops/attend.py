"""Softmax attention.

Heads are consecutive blocks of features; query head h reads key and value head ``h // (heads / kv_heads)``. With
logits ``l_ts = q_t · k_s / sqrt(d)`` and A the softmax of l over the visible s: out_t = Σ_s A_ts v_s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from varprop.montecarlo.ops._rule import Context, Place, Rule, register
from varprop.montecarlo.samplers.reductions import Columns
from varprop.spec.ops import Attend

Array = NDArray[Any]

_BASE = 10000.0


@dataclass(frozen=True)
class _Saved:
    """Queries, keys, values as (draws, B, kv heads, heads of a group or 1, positions, size), and A."""

    q: Array
    k: Array
    v: Array
    a: Array
    measured: dict[str, Array]


def _heads(x: Array, op: Attend, per_pair: int, examples: int) -> Array:
    """Return a view of shape (draws, B, kv heads, `per_pair`, T, size)."""
    draws, features, _ = x.shape
    size = features // (op.kv_heads * per_pair)
    return x.reshape(draws, op.kv_heads, per_pair, size, examples, -1).transpose(0, 4, 1, 2, 5, 3)


def _joined(x: Array) -> Array:
    """Return (draws, B, kv heads, per pair, T, size) as (draws, features, B T)."""
    draws = len(x)
    features = x.shape[2] * x.shape[3] * x.shape[5]
    return x.transpose(0, 2, 3, 5, 1, 4).reshape(draws, features, -1)


def _rotated(x: Array, examples: int, size: int, sign: float) -> Array:
    """Rotate the pairs (i, i + size / 2) of every head by ``sign · t · base**(-2 i / size)``."""
    draws, features, _ = x.shape
    half = size // 2
    pairs = x.reshape(draws, features // size, 2, half, examples, -1)
    angle = np.outer(_BASE ** (-2.0 * np.arange(half) / size), np.arange(pairs.shape[5]))[:, None, :]
    cosine, sine = np.cos(angle).astype(x.dtype), (sign * np.sin(angle)).astype(x.dtype)
    first, second = pairs[:, :, 0], pairs[:, :, 1]
    result = np.empty_like(pairs)
    result[:, :, 0] = first * cosine - second * sine
    result[:, :, 1] = second * cosine + first * sine
    return result.reshape(x.shape)


def _forward(place: Place, inputs: Sequence[Columns], context: Context) -> tuple[Array, Any]:
    op: Attend = place.op
    size, group = op.head_size(*place.inputs), op.heads // op.kv_heads
    query, key, value = (columns.array for columns in inputs)
    if op.rotary:
        query, key = (_rotated(x, place.examples, size, 1.0) for x in (query, key))
    q = _heads(query, op, group, place.examples)
    k, v = (_heads(x, op, 1, place.examples) for x in (key, value))
    logits = np.matmul(q, k.swapaxes(-1, -2))
    logits *= logits.dtype.type(size**-0.5)
    hidden = None
    if op.causal:
        hidden = np.triu(np.ones(logits.shape[-2:], bool), 1)
        logits[..., hidden] = -np.inf
    measured = {} if context.bare else {"logit_variance": _variance(logits, hidden)}
    logits -= logits.max(axis=-1, keepdims=True)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=-1, keepdims=True)
    output = _joined(np.matmul(logits, v))
    if context.bare:
        return output, None
    measured["attention_concentration"] = _per_draw_mean(np.einsum("...s,...s->...", logits, logits))
    return output, _Saved(q, k, v, logits, measured)


def _variance(logits: Array, hidden: Array | None) -> Array:
    """Return each draw's mean variance (ddof 1) over the visible keys of queries that see at least two."""
    rows, keys = logits.shape[-2:]
    number = np.full(rows, keys) if hidden is None else keys - hidden.sum(axis=1)
    usable = number >= 2
    if not usable.any():
        return np.full(len(logits), np.nan)
    shown = logits if hidden is None else np.where(hidden, 0, logits)
    count = number[:, None].astype(logits.dtype)
    centred = shown - shown.sum(axis=-1, keepdims=True) / count
    if hidden is not None:
        centred[..., hidden] = 0
    squares = np.einsum("...s,...s->...", centred, centred)
    return _per_draw_mean(squares[..., usable] / (number[usable] - 1))


def _per_draw_mean(x: Array) -> Array:
    return x.reshape(len(x), -1).mean(axis=1, dtype=np.float64)  # type: ignore[no-any-return]


def _vjp(place: Place, saved: _Saved, gradient: Columns, context: Context) -> Sequence[Array]:
    op: Attend = place.op
    size, group = op.head_size(*place.inputs), op.heads // op.kv_heads
    g = _heads(gradient.array, op, group, place.examples)
    a = saved.a
    value = _paired(np.matmul(a.swapaxes(-1, -2), g))
    logits = np.matmul(g, saved.v.swapaxes(-1, -2))
    logits *= a
    logits -= a * logits.sum(axis=-1, keepdims=True)
    logits *= logits.dtype.type(size**-0.5)
    query = _joined(np.matmul(logits, saved.k))
    key = _joined(_paired(np.matmul(logits.swapaxes(-1, -2), saved.q)))
    if op.rotary:
        query, key = (_rotated(x, place.examples, size, -1.0) for x in (query, key))
    return [query, key, _joined(value)]


def _paired(x: Array) -> Array:
    """Add up what the query heads of one key head give."""
    return x if x.shape[3] == 1 else x.sum(axis=3, keepdims=True)


def _measured(saved: _Saved) -> dict[str, Array]:
    return saved.measured


register(Attend, Rule(_forward, _vjp, measure=_measured))
