"""The probability that a pre-activation is exactly 0 although something arrives.

With a density of weights or biases it is 0. Otherwise, for known inputs, z = sum_j W_j x_j + b is 0 for sparse weights
if all weights that meet an input are 0 and the bias is; for signs W = ±s the law of the sum is convolved, over equal
|x_j| at a time. Where that takes too long, two proofs are left: a sum of an odd number of odd multiples of a power of
two is not 0 (all floating-point numbers are such multiples); and no value of a sum of signs with m sizes has more
than the probability C(m, m/2)/2^m (Erdős 1945).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from varprop.initializers import Law

Array = NDArray[np.float64]

_LARGEST = 1 << 16
"""Values of a sum that are told apart."""


@dataclass(frozen=True)
class Atom:
    """P(z = 0) of a unit at which something arrives, for symmetric laws.

    Attributes
    ----------
    probability : ndarray
        Shape (B,).
    largest : float
        How large it may be for any input; that of `probability` where it is exact.
    exact : bool
        Whether it holds for every input.
    """

    probability: Array
    largest: float
    exact: bool


def zero_atom(
    weights: Law, biases: Law, batch: int, x: Array | None = None, log_scale: Array | float = 0.0
) -> Atom:
    """Return P(z = 0), given that something arrives (weights of 0 let nothing arrive).

    Parameters
    ----------
    weights, biases : Law
    batch : int
        B.
    x, log_scale : ndarray
        Known inputs x exp(log_scale), shapes (n, B) and (B,); no x where they are random.

    Examples
    --------
    >>> from varprop.initializers.laws import constant, rademacher
    >>> zero_atom(rademacher(1.0), constant(0.0), 1, np.ones((2, 1))).probability
    array([0.5])
    """
    none = np.zeros(batch)
    if weights.continuous or biases.continuous or weights.second_moment == 0.0:
        return Atom(none, 0.0, True)
    own = _bias_atom(biases)
    if own is None or weights.family not in ("sparse", "sparse_columns", "rademacher"):
        return Atom(none, 1.0, False)
    if weights.family == "rademacher":
        return Atom(none, 0.5, False) if x is None else _of_signs(weights, biases, own, x, log_scale)
    # Of a column's zeros the number is whole, so that their share is not the sparsity asked for: E w² says it.
    zero = 1.0 - weights.variance / weights["std"] ** 2
    if x is None:
        return Atom(none, zero * own, own == 0.0)
    probability = zero ** np.count_nonzero(x, axis=0) * own
    return Atom(probability, float(probability.max()), True)


def _bias_atom(biases: Law) -> float | None:
    """P(b = 0) of a bias without a density; None if it is not known."""
    if biases.deterministic:
        return float(biases.mean == 0.0)
    if biases.family == "sparse":
        return biases["sparsity"]
    return 0.0 if biases.family == "rademacher" else None


def _of_signs(weights: Law, biases: Law, own: float, x: Array, log_scale: Array | float) -> Atom:
    size = weights["std"]
    # What the sum has to be for z = 0, and how probable it is that the bias leaves it at that.
    target, share = (biases["std"], 1.0) if biases.family == "rademacher" else (abs(biases.mean), 1.0)
    if biases.family == "sparse":
        target, share = 0.0, own
    with np.errstate(over="ignore"):
        targets = target * np.exp(-np.broadcast_to(log_scale, x.shape[1])) if target else np.zeros(x.shape[1])
    found, bounds = np.zeros(x.shape[1]), np.zeros(x.shape[1])
    done = np.ones(x.shape[1], dtype=bool)
    for column, values in enumerate(np.abs(x.T)):
        value = _sum_probability(size * values[values > 0.0], float(targets[column]))
        found[column], bounds[column], done[column] = value
    return Atom(share * found, share * float(bounds.max()), bool(done.all()))


def _sum_probability(sizes: Array, target: float) -> tuple[float, float, bool]:
    """P(sum of ±sizes = target), a bound on it, and whether it is known."""
    if sizes.size == 0:
        return float(target == 0.0), float(target == 0.0), True
    values, counts = np.unique(sizes, return_counts=True)
    if np.prod(counts + 1.0) <= _LARGEST:
        exact = _convolved(values, counts, target)
        return exact, exact, True
    if target == 0.0 and _odd(sizes):
        return 0.0, 0.0, True
    m = sizes.size
    middle = gammaln(m + 1) - gammaln(m // 2 + 1) - gammaln(m - m // 2 + 1) - m * np.log(2.0)
    return 0.0, float(np.exp(middle)), False


def _convolved(values: Array, counts: NDArray[np.intp], target: float) -> float:
    sums, shares = np.zeros(1), np.ones(1)
    for value, count in zip(values, counts, strict=True):
        ups = np.arange(count + 1)
        log_choices = gammaln(count + 1) - gammaln(ups + 1) - gammaln(count - ups + 1)
        binomial = np.exp(log_choices - count * np.log(2.0))
        sums = (sums[:, None] + value * (2.0 * ups - count)).ravel()
        shares = (shares[:, None] * binomial).ravel()
    near = np.abs(sums - target) <= 1e-12 * float(values @ counts)
    return float(shares[near].sum())


def _odd(sizes: Array) -> bool:
    """Whether an odd number of the sizes are odd multiples of the power of two that divides all of them."""
    mantissa, exponent = np.frexp(sizes)
    whole = (mantissa * 2.0**53).astype(np.int64)
    lowest = exponent + np.log2((whole & -whole).astype(np.float64)).astype(np.int64)
    return bool(np.count_nonzero(lowest == lowest.min()) % 2)
