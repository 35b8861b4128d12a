"""One sampler per family of laws; each draws exactly its law, in the precision it is asked for."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from varprop._validation import InputError, described
from varprop.initializers.laws import FAMILIES, Law

Array = NDArray[Any]
Sampler = Callable[[Law, tuple[int, ...], np.random.Generator, Any], Array]

# Redrawing what falls outside costs 1/acceptance; below this the inverse distribution function is cheaper.
_REDRAW_ACCEPTANCE = 0.3
# Numbers per transform: small enough for the cache, large enough for NumPy's overhead.
_CHUNK = 1 << 14


def sample_law(law: Law, shape: tuple[int, ...], rng: np.random.Generator, dtype: Any) -> Array:
    """Draw an array of `shape`; its last two axes are (fan_out, fan_in) for laws of whole matrices."""
    if law.own is not None:
        return law.own(shape, rng).astype(dtype, copy=False)
    if law.family not in FAMILIES:
        raise InputError("law.family", law.family, "a family of this package, or a law with a sampler")
    if law.family in _MATRIX and len(shape) < 2:
        raise InputError("shape", described(str(shape)), f"a matrix for the {law.family} law")
    return (_ENTRY | _MATRIX)[law.family](law, shape, rng, np.dtype(dtype))


def standard_normal(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> Array:
    """Draw independent N(0, 1) values.

    Single precision uses the Box–Muller transform of 24-bit uniforms, twice as fast as NumPy's ziggurat; its
    values end at 5.89, beyond which a normal variable lies with probability 4e-9.
    """
    if dtype == np.float64:
        return rng.standard_normal(shape)
    values = np.empty(shape, np.float32)
    flat = values.reshape(-1)
    for start in range(0, flat.size, 2 * _CHUNK):
        piece = flat[start : start + 2 * _CHUNK]
        half = (piece.size + 1) // 2
        radius, angle = rng.random((2, half), dtype=np.float32)
        radius += np.float32(2.0**-25)  # midpoints of the uniform grid: the logarithm of 0 never occurs
        np.log(radius, out=radius)
        radius *= -2
        np.sqrt(radius, out=radius)
        angle *= np.float32(2 * np.pi)
        np.multiply(radius, np.cos(angle), out=piece[:half])
        np.multiply(radius[: piece.size - half], np.sin(angle[: piece.size - half]), out=piece[half:])
    return values


def _constant(law: Law, shape: tuple[int, ...], rng: np.random.Generator, dtype: Any) -> Array:
    return np.full(shape, law.mean, dtype)


def _normal(law: Law, shape: tuple[int, ...], rng: np.random.Generator, dtype: Any) -> Array:
    values = standard_normal(rng, shape, dtype)
    values *= dtype.type(law["std"])
    if law.mean:
        values += dtype.type(law.mean)
    return values


def _uniform(law: Law, shape: tuple[int, ...], rng: np.random.Generator, dtype: Any) -> Array:
    values = rng.random(shape, dtype=dtype)
    values *= dtype.type(law["high"] - law["low"])
    values += dtype.type(law["low"])
    return values


def _truncated_normal(law: Law, shape: tuple[int, ...], rng: np.random.Generator, dtype: Any) -> Array:
    location, scale = law["location"], law["scale"]
    low, high = (law["low"] - location) / scale, (law["high"] - location) / scale
    if math.erf(high / math.sqrt(2)) - math.erf(low / math.sqrt(2)) > 2 * _REDRAW_ACCEPTANCE:
        values = standard_normal(rng, shape, dtype)
        flat = values.reshape(-1)
        outside = np.flatnonzero((flat < low) | (flat > high))
        while outside.size:
            redrawn = standard_normal(rng, outside.shape, dtype)
            flat[outside] = redrawn
            outside = outside[(redrawn < low) | (redrawn > high)]
    else:
        values = _inverse_truncated(low, high, rng.random(shape)).astype(dtype)
    values *= dtype.type(scale)
    values += dtype.type(location)
    # Scaling rounds: a value next to a bound may step over it by one unit in the last place.
    return np.clip(values, dtype.type(law["low"]), dtype.type(law["high"]), out=values)


def _inverse_truncated(low: float, high: float, uniform: Array) -> Array:
    """Return the quantiles of N(0,1) on [low, high]; log probabilities keep the far tails exact."""
    from scipy.special import log_ndtr, ndtri_exp

    if low > 0:  # the left tail has the relative precision
        return -_inverse_truncated(-high, -low, uniform)
    log_low, log_high = log_ndtr(low), log_ndtr(high)
    ratio = np.exp(log_low - log_high)
    quantiles: Array = ndtri_exp(log_high + np.log(ratio + uniform * (1 - ratio)))
    return np.clip(quantiles, low, high)


def _rademacher(law: Law, shape: tuple[int, ...], rng: np.random.Generator, dtype: Any) -> Array:
    values = rng.integers(0, 2, shape, dtype=np.int8).astype(dtype)
    values *= dtype.type(2 * law["std"])
    values -= dtype.type(law["std"])
    return values


def _sparse(law: Law, shape: tuple[int, ...], rng: np.random.Generator, dtype: Any) -> Array:
    values = standard_normal(rng, shape, dtype)
    values *= dtype.type(law["std"])
    values[rng.random(shape) < law["sparsity"]] = 0
    return values


def _sparse_columns(law: Law, shape: tuple[int, ...], rng: np.random.Generator, dtype: Any) -> Array:
    values = standard_normal(rng, shape, dtype)
    values *= dtype.type(law["std"])
    zeros = math.ceil(law["sparsity"] * shape[-2])
    chosen = np.argpartition(rng.random(shape), zeros - 1, axis=-2)[..., :zeros, :]
    np.put_along_axis(values, chosen, 0, axis=-2)
    return values


def _identity(law: Law, shape: tuple[int, ...], rng: np.random.Generator, dtype: Any) -> Array:
    rows = shape[-2] // int(law["groups"])
    block = np.eye(rows, shape[-1], dtype=dtype) * dtype.type(law["gain"])
    matrix = np.tile(block, (int(law["groups"]), 1))
    return np.broadcast_to(matrix, shape).copy()


def _orthogonal(law: Law, shape: tuple[int, ...], rng: np.random.Generator, dtype: Any) -> Array:
    """Haar: Q of a Gaussian matrix, signs such that R's diagonal is positive (Mezzadri, AMS Notices 2007)."""
    from scipy.linalg import qr

    values = np.empty(shape, dtype)
    rows, columns = shape[-2:]
    wide = rows < columns
    for matrix in values.reshape(-1, rows, columns):
        gaussian = standard_normal(rng, (max(rows, columns), min(rows, columns)), dtype)
        q, r = qr(gaussian, mode="economic", overwrite_a=True, check_finite=False)
        q *= np.where(np.diagonal(r) < 0, -law["gain"], law["gain"]).astype(dtype)
        matrix[...] = q.T if wide else q
    return values


_ENTRY: dict[str, Sampler] = {
    "constant": _constant,
    "normal": _normal,
    "uniform": _uniform,
    "truncated_normal": _truncated_normal,
    "rademacher": _rademacher,
    "sparse": _sparse,
}
_MATRIX: dict[str, Sampler] = {
    "sparse_columns": _sparse_columns,
    "identity": _identity,
    "orthogonal": _orthogonal,
}
