"""Attention's averages from explicit queries and keys of a few heads, for any logits and any second moments.

Only queries and keys of single heads are drawn; values and what comes back are averaged exactly. Heads come in pairs
(l, -l), which is exact because (q, k) and (-q, k) have the same law; the Gaussian tables are rotated so that their Gram
matrix over all heads is exactly the identity; roots come from eigenvectors, so that tokens may repeat. Seeds are fixed:
results are deterministic.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from varprop.analytic.attention.averages import BackwardAverages, ForwardAverages
from varprop.analytic.attention.fluctuation import double_trace, own_pair_factor
from varprop.analytic.attention.forms import Forms, left, right, transposed
from varprop.analytic.attention.kernels import HeadKernels

Array = NDArray[np.float64]

_CELLS = 2**19
"""Entries of one stack of N x N matrices: what stays in the cache."""

_WORK, _MOST = 2**22, 128
"""Multiplications in one product of all heads that are always affordable, and the most pairs of heads that they buy."""


class _Heads(NamedTuple):
    """A few pairs of heads: attention (2, pairs, B, T, T), Gram matrices q^T q / d and k^T k / d (pairs, N, N)."""

    pairs: slice
    attention: Array
    query_gram: Array
    key_gram: Array


def head_pairs(kernels: HeadKernels) -> int:
    """Return how many pairs of heads are drawn: more where logits are large, or where they cost little.

    Spread of traces over seeds, 32 causal tokens, d = 64, logits of standard deviation 1 to 5: with 16 pairs
    0.7 to 1.3 % forward and 1 to 3 % backward; with the 128 that they get, 0.2 to 0.3 % and 0.3 to 1.2 %.
    """
    n, widest = kernels.query.shape[0], float(np.max(kernels.rows.variance))
    least = 16 if widest < 1.5**2 else 32 if widest < 3.0**2 else 64
    cheap = min(_WORK // n**3, _MOST)
    # As many features in all as columns, or the tables cannot be rotated.
    return int(max(least, cheap, -(-n // kernels.shape.head_size)))


def forward(kernels: HeadKernels) -> ForwardAverages:
    """Return the averages of the forward pass."""
    n = kernels.query.shape[0]
    output, double, powers = np.zeros((n, n)), np.zeros((n, n)), np.zeros((4, n))
    traces, total = [], head_pairs(kernels)
    for heads in _draw(kernels):
        a = heads.attention
        found = right(left(a, kernels.value), transposed(a)).mean(axis=0)
        traces.append(np.trace(found, axis1=-2, axis2=-1))
        share = a.shape[1] / total
        output += found.sum(axis=0) / total
        double += share * double_trace(a.reshape(-1, *a.shape[2:]), kernels.common, kernels.shape)
        p2, p3, p4 = (np.sum(a**k, axis=-1).reshape(-1, n) for k in (2, 3, 4))
        powers += share * np.array([p.mean(axis=0) for p in (p2, p3, p2**2 - p4, (1.0 - p2) ** 2)])
    factor = own_pair_factor(powers[0], powers[1], powers[2], powers[3])
    np.fill_diagonal(double, np.diagonal(double) * factor)
    return ForwardAverages(0.5 * (output + output.T), powers[0], double, _noise(traces))


def backward(kernels: HeadKernels, gradient: Array) -> BackwardAverages:
    """Return the averages of the backward pass for a second moment `gradient` at the output."""
    n, total = kernels.query.shape[0], head_pairs(kernels)
    query, key, value, double = (np.zeros((n, n)) for _ in range(4))
    turned_query, turned_key = np.zeros((n, n)), np.zeros((n, n))
    traces: list[list[Array]] = [[], [], []]
    for heads in _draw(kernels):
        a, share = heads.attention, heads.attention.shape[1] / total
        forms, back = Forms(a, kernels.value), transposed(a)
        found = (
            forms.over_keys(heads.key_gram),
            forms.over_queries(gradient * heads.query_gram),
            left(back, right(gradient, a)),
        )
        for sums, kept, f in zip((query, key, value), traces, found, strict=True):
            sums += 0.5 * f.sum(axis=(0, 1)) / total
            kept.append(np.einsum("ptt,tt->p", f.mean(axis=0), gradient) if sums is query else _trace(f))
        double += share * double_trace(a.reshape(-1, *a.shape[2:]), kernels.common, kernels.shape)
        if kernels.shape.rotary is not None:
            for sums, f in zip(
                (turned_query, turned_key), _turned(kernels, forms, gradient, heads.pairs), strict=True
            ):
                sums += f
    if kernels.shape.rotary is not None:
        query, key = _rescaled(turned_query, query), _rescaled(turned_key, key)
    return BackwardAverages(query, key, 0.5 * (value + value.T), double, max(_noise(kept) for kept in traces))


def _turned(kernels: HeadKernels, forms: Forms, gradient: Array, pairs: slice) -> tuple[Array, Array]:
    """Return both forms summed over `pairs`, for gradients in front of the rotation.

    In front of the rotation, the pair (t, t') sees the keys' Gram matrix turned by its own distance. A pair of heads
    takes two rotary frequencies, in turn over all pairs, with the expected Gram matrix Kk in place of the head's own.
    """
    angles, weights = _angles(kernels)
    query, key = np.zeros_like(gradient), np.zeros_like(gradient)
    for i in range(angles.shape[1]):
        cos, sin = kernels.shape.turns(angles[pairs, i])
        weight = 0.5 * weights[pairs, i, None, None]
        for turn, sign in ((cos, 1.0), (sin, -1.0)):
            query += np.sum(weight * forms.over_keys(kernels.key * turn, sign) * turn, axis=(0, 1))
            key += np.sum(
                weight * forms.over_queries(gradient * kernels.query * turn, sign) * turn, axis=(0, 1)
            )
    return query, key


def _angles(kernels: HeadKernels) -> tuple[Array, Array]:
    """Return two angles for each pair of heads, shape (pairs, 2), with weights that sum to 1."""
    angles, pairs = kernels.shape.frequencies, head_pairs(kernels)
    slots = 2 * pairs
    index = (np.arange(slots) + 0.5) * angles.size // slots
    chosen = index.astype(np.intp)
    weights = 1.0 / np.bincount(chosen, minlength=angles.size)[chosen]
    return angles[chosen].reshape(pairs, 2), (weights / weights.sum()).reshape(pairs, 2)


def _rescaled(turned: Array, exact: Array) -> Array:
    """Return `turned` with the diagonal of `exact`, everything else scaled by the roots of both diagonals' ratio."""
    own, other = np.diagonal(exact), np.diagonal(turned)
    positive = (own > 0.0) & (other > 0.0)
    root = np.sqrt(np.where(positive, own / np.where(positive, other, 1.0), 1.0))
    scaled = 0.5 * (turned + turned.T) * np.outer(root, root)
    np.fill_diagonal(scaled, own)
    return np.asarray(scaled)


def _draw(kernels: HeadKernels) -> Iterator[_Heads]:
    """Yield all heads, a few pairs at a time."""
    shape, total = kernels.shape, head_pairs(kernels)
    d, n = shape.head_size, kernels.query.shape[0]
    tables = _tables(total, d, n, kernels.seed)
    roots = [_root(matrix) for matrix in (kernels.query, kernels.key)]
    step = max(1, _CELLS // n**2)
    for start in range(0, total, step):
        pairs = slice(start, min(start + step, total))
        q, k = (_rotated(table[pairs] @ root, kernels) for table, root in zip(tables, roots, strict=True))
        columns = [x.reshape(-1, d, shape.blocks, n // shape.blocks).transpose(0, 2, 3, 1) for x in (q, k)]
        logits = columns[0] @ transposed(columns[1]) / np.sqrt(d)
        grams = [transposed(x) @ x / d for x in (q, k)]
        yield _Heads(pairs, _softmax(np.stack([logits, -logits]), shape.inside), *grams)


def _softmax(logits: Array, inside: NDArray[np.bool_]) -> Array:
    seen = np.where(inside, logits, -np.inf)
    seen -= seen.max(axis=-1, keepdims=True)
    np.exp(seen, out=seen)
    return np.asarray(seen / seen.sum(axis=-1, keepdims=True))


def _rotated(features: Array, kernels: HeadKernels) -> Array:
    """Return features (pairs, d, N), two by two rotated by their positions."""
    shape = kernels.shape
    if shape.rotary is None:
        return features
    angles = np.multiply.outer(shape.frequencies, shape.rotary)
    cos, sin = np.cos(angles), np.sin(angles)
    even, odd = features[:, 0::2], features[:, 1::2]
    return np.concatenate([even * cos - odd * sin, even * sin + odd * cos], axis=1)


def _root(matrix: Array) -> Array:
    """Return the symmetric root of a second moment, which may be singular."""
    values, vectors = np.linalg.eigh(0.5 * (matrix + matrix.T))
    # The symmetric root moves little when equal eigenvalues are told apart by rounding.
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)


@functools.lru_cache(maxsize=8)
def _tables(pairs: int, head_size: int, columns: int, seed: int) -> Array:
    """Return normal tables for queries and keys, shape (2, pairs, d, N), whose Gram matrix over heads is pairs d I."""
    features = pairs * head_size
    normal = np.random.default_rng([seed, pairs, head_size, columns]).standard_normal((2, features, columns))
    orthogonal, triangle = np.linalg.qr(normal)
    table: Array = (
        orthogonal * np.sign(np.diagonal(triangle, axis1=-2, axis2=-1))[:, None, :] * np.sqrt(features)
    )
    table = table.reshape(2, pairs, head_size, columns)
    table.flags.writeable = False
    return table


def _trace(found: Array) -> Array:
    return np.asarray(np.trace(found.mean(axis=0), axis1=-2, axis2=-1))


def _noise(traces: list[Array]) -> float:
    """Return the relative standard error of a mean over pairs of heads; 0 where there is nothing."""
    every = np.concatenate(traces)
    mean = float(np.mean(every))
    if every.size < 2 or mean <= 0.0:
        return 0.0
    return float(np.std(every, ddof=1) / np.sqrt(every.size) / mean)
