"""What a walk over a graph carries: second moments of a node's output over all columns, and of the gradient there.

Columns are examples times positions, N in all; features are alike, so that one feature's law over the N columns is
all there is to know in the limit of wide layers. Matrices are averages over features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Index = NDArray[np.intp]

LARGEST = 2048
"""Columns up to which the covariance of all pairs of them is carried."""


@dataclass(frozen=True, eq=False)
class Signal:
    """The law of one feature of a node's output over all N columns.

    Attributes
    ----------
    second : ndarray
        E x_t x_t', mean over features, shape (N, N).
    mean : ndarray
        E x_t, mean over features, shape (N,).
    features : int
    exact_mean, exact_diagonal, exact : bool
        Whether mean, diagonal of `second`, all of `second` hold at any width.
    reasons : tuple of str
        Assumptions that failed here or below and make even the limit of wide layers approximate.
    gaussian : bool
        Whether a feature's columns are jointly Gaussian in that limit, and its features independent.
    law : bool
        Whether they are at any width.
    symmetric : bool
        Whether the law of the output does not change with its sign.
    common : ndarray or None
        E of the product of two columns' means over features, shape (N, N); None for independent features of equal
        mean.
    fluctuation : float
        Variance of the Gram matrix of the output's features, in units of that of Gaussian features of this number.
    overlap : float or None
        Mean square of the correlation that two columns show in one draw beside the one expected, where features are
        the positions of a transposed value and few; None where it is of order 1 / features.
    spread : float
        Relative variance over draws of the mean square of a column that such an overlap leaves behind.
    echo : float
        Mean square of the correlation that one draw shows between a column and the one of the transposed value it was
        made of.
    token : ndarray or None
        Shape (N,): E x_t e_t over E e_t², e_t being the embedding of the column's own token; None if 0.
    kept : object
        What a rule keeps for its way back.
    unknown : str
        Why nothing is known of it; empty if something is.
    restarted, restarted_pairs : tuple of str
        The measurements on which its sizes, and what it says of pairs of columns, rest.
    """

    second: Array
    mean: Array
    features: int
    exact_mean: bool = False
    exact_diagonal: bool = False
    exact: bool = False
    reasons: tuple[str, ...] = ()
    gaussian: bool = False
    law: bool = False
    symmetric: bool = False
    common: Array | None = None
    fluctuation: float = 1.0
    overlap: float | None = None
    spread: float = 0.0
    echo: float = 0.0
    token: Array | None = None
    kept: Any = None
    unknown: str = ""
    restarted: tuple[str, ...] = ()
    restarted_pairs: tuple[str, ...] = ()

    @property
    def diagonal(self) -> Array:
        """E x_t², shape (N,)."""
        return np.diagonal(self.second)

    @property
    def covariance(self) -> Array:
        """Covariance of a feature's columns, if all features have the mean `mean`."""
        return self.second - np.outer(self.mean, self.mean) if self.mean.any() else self.second

    @property
    def feature_means(self) -> Array:
        """E of the product of two columns' means over features, shape (N, N)."""
        if self.common is not None:
            return self.common
        return np.outer(self.mean, self.mean) + self.covariance / self.features

    @property
    def between(self) -> Array:
        """E x_it x_jt' of two different features i and j, shape (N, N)."""
        if self.common is None or self.features == 1:
            return np.outer(self.mean, self.mean)
        return (self.features * self.common - self.second) / (self.features - 1)


@dataclass(frozen=True, eq=False)
class Gradient:
    """The gradient of the examples' losses at one feature of a node's output, over all N columns.

    Attributes
    ----------
    second : ndarray
        E g_t g_t', mean over features, shape (N, N).
    exact : bool
        Whether it holds at any width: then the gradient does not depend on any value below.
    reasons : tuple of str
    origin : int
        A node from whose gradient this one follows without weights between; -1 if none.
    factor : ndarray or None
        Shape (N,): mean of what the origin's gradient is multiplied by.
    start : ndarray or None
        Second moment of the origin's gradient.
    samples : ndarray or None
        Shape (N, R): the gradient at R features, together with the values of those features (see `walk.Walk.sample`).
    common : ndarray or None
        E of the product of two columns' means over features, shape (N, N); None for uncorrelated features.
    squares : ndarray or None
        Diagonal of `second`, shape (N,), where that has too many columns to be formed (and is empty).
    excess : float
        What finite width adds to the sum over pairs of columns of `second` times the second moment of the values here,
        where this is what a map's weights were multiplied with (keys of an attention).
    unknown : str
        Why nothing is known of it; empty if something is.
    restarted : tuple of str
        The measurements on which it rests.
    total : bool
        Whether it is all that arrives at its node, whatever else is sent there: it was measured.
    """

    second: Array
    exact: bool = False
    reasons: tuple[str, ...] = ()
    origin: int = -1
    factor: Array | None = None
    start: Array | None = None
    samples: Array | None = None
    common: Array | None = None
    squares: Array | None = None
    excess: float = 0.0
    unknown: str = ""
    restarted: tuple[str, ...] = ()
    total: bool = False

    def scaled(self, by: Array | float) -> Gradient:
        """Return the gradient in front of a multiplication by numbers, one for each column or one for all."""
        by = np.broadcast_to(np.asarray(by, dtype=np.float64), self.second.shape[:1])
        return Gradient(
            self.second * np.outer(by, by),
            self.exact,
            self.reasons,
            self.origin,
            None if self.factor is None else self.factor * by,
            self.start,
            None if self.samples is None else self.samples * by[:, None],
            None if self.common is None else self.common * np.outer(by, by),
        )

    @property
    def diagonal(self) -> Array:
        """E g_t², shape (N,)."""
        return np.diagonal(self.second) if self.squares is None else self.squares

    def between(self, features: int) -> Array:
        """Return E g_it g_jt' of two different of so many features, shape (N, N)."""
        if self.common is None or features == 1:
            return np.zeros_like(self.second)
        return (features * self.common - self.second) / (features - 1)


def total(parts: Sequence[Gradient], node: int, features: int, fill: np.random.Generator) -> Gradient:
    """Return the sum of the gradients that a node's consumers send.

    Two of one origin are correlated: E (f g)(f' g)ᵀ = E g gᵀ ∘ f f'ᵀ. Others have passed different weights of mean
    zero, so that their cross term is 0.

    Parameters
    ----------
    parts : sequence of Gradient
    node : int
        The node, which becomes the origin of what follows.
    features : int
        Of the node.
    fill : Generator
        Draws features for parts without samples, where another part has some.
    """
    sampled = [part.samples for part in parts if part.samples is not None]
    samples: Array | None = None
    if sampled:
        count = sampled[0].shape[1]
        drawn = [p.samples if p.samples is not None else gaussian(p.second, count, fill) for p in parts]
        samples = np.sum(drawn, axis=0)
        second = gram(samples)
    else:
        second = np.sum([part.second for part in parts], axis=0)
        for i, one in enumerate(parts):
            for other in parts[:i]:
                if one.origin >= 0 and one.origin == other.origin:
                    assert one.factor is not None
                    assert other.factor is not None
                    assert one.start is not None
                    both = np.outer(one.factor, other.factor)
                    second = second + one.start * (both + both.T)
    exact, reasons = all(part.exact for part in parts), merged(*(part.reasons for part in parts))
    if len(parts) == 1 and samples is None and parts[0].origin >= 0:
        return parts[0]
    common: Array | None = None
    if samples is None and any(part.common is not None for part in parts):
        common = np.sum([p.second / features if p.common is None else p.common for p in parts], axis=0)
    return Gradient(second, exact, reasons, node, np.ones(second.shape[0]), second, samples, common)


def merged(*given: Sequence[str]) -> tuple[str, ...]:
    """Return the different reasons in order."""
    return tuple(dict.fromkeys(reason for reasons in given for reason in reasons))


def gram(samples: Array) -> Array:
    """Return the mean over sampled features of the products of columns."""
    found = samples @ samples.T
    return np.asarray(found / samples.shape[1])


def sample_count(columns: int) -> int:
    """Return how many features are drawn where a law over that many columns has no formula."""
    return int(np.clip((1 << 22) // columns, 2048, 8192))


def gaussian(second: Array, count: int, rng: np.random.Generator) -> Array:
    """Draw `count` features N(0, `second`), shape (N, `count`), in pairs of opposite sign.

    Where there are more of them than columns, their mean square is exactly `second`.
    """
    n, half = second.shape[0], count // 2
    draws = rng.standard_normal((n, half))
    if half > n:
        orthogonal, triangle = np.linalg.qr(draws.T)
        draws = (orthogonal * np.sign(np.diagonal(triangle)) * np.sqrt(half)).T
    else:
        draws /= np.sqrt(np.mean(np.square(draws), axis=1))[:, None]
    found = root(second) @ draws
    return np.asarray(np.concatenate([found, -found], axis=1))


def root(second: Array) -> Array:
    """Return L with L Lᵀ = `second`, which may be singular."""
    scale = np.sqrt(np.maximum(np.diagonal(second), 0.0))
    safe = np.where(scale > 0.0, scale, 1.0)
    correlation = second / np.outer(safe, safe)
    for jitter in (1e-13, 1e-10):
        try:
            found = np.linalg.cholesky(correlation + jitter * np.eye(safe.size))
        except np.linalg.LinAlgError:
            continue
        return np.asarray(scale[:, None] * found)
    values, vectors = np.linalg.eigh(correlation)
    return np.asarray(scale[:, None] * (vectors * np.sqrt(np.maximum(values, 0.0))))
