"""Gaussian means of an activation for the control estimator, by a route of their own.

A reference must not share code with what it tests. The prediction takes closed forms, or Gauss-Legendre panels
split at kinks (`varprop.moments`); here every mean is an integral of phi and phi' themselves by the trapezoidal rule
after a double-exponential change of variable (Takahasi and Mori 1974, *Publ. RIMS* 9, 721), split at the kinks and
at 0, and halved in step until two steps agree.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from varprop._validation import InputError

if TYPE_CHECKING:
    from varprop.activations import Activation

Array = NDArray[Any]

MEANS = ("mean", "second_moment", "derivative_second_moment")
"""What the estimator needs at every draw's variance."""

SPREADS = ("fourth_moment", "derivative_fourth_moment", "silent", "second_moment")
"""What it needs once per layer: E phi⁴, E phi'⁴, P(phi(z) = 0), E phi²."""

TOLERANCE = 1e-11
"""Relative agreement of two steps at which the finer one is taken."""

_REACH = 12.5  # standard deviations; the Gaussian density there is 1e-35
_ROUNDING = 1e-14
_COARSEST, _HALVINGS = 1 / 16, 5
_CHUNK = 1 << 20


def gaussian_means(activation: Activation, k: Array, mean: float, names: tuple[str, ...] = MEANS) -> Array:
    """Return the named means of phi(z), z ~ N(mean, k).

    Parameters
    ----------
    activation : Activation
    k : array of shape (n,)
        Variances; 0 means the point `mean`.
    mean : float
    names : tuple of str
        Of `MEANS` and `SPREADS`.

    Returns
    -------
    array of shape (len(names), n)

    Raises
    ------
    InputError
        If an integral is infinite or its integrand oscillates too fast.

    Examples
    --------
    >>> import numpy as np
    >>> import varprop as vp
    >>> gaussian_means(vp.activation("relu"), np.array([2.0]), 0.0)[1:].round(12).tolist()
    [[1.0], [0.5]]
    """
    k = np.asarray(k, np.float64)
    result = np.empty((len(names), len(k)))
    point = k == 0
    if point.any():
        result[:, point] = _integrands(activation, np.full(1, mean), names)
    todo = np.flatnonzero(~point)
    step, before = _COARSEST, _integrals(activation, k[todo], mean, names, _COARSEST)
    for _ in range(_HALVINGS):
        step /= 2
        after = _integrals(activation, k[todo], mean, names, step)
        size = np.abs(after)
        if (
            "mean" in names and "second_moment" in names
        ):  # a mean may cancel: it is measured by its root square
            place = names.index("mean")
            size[place] = np.sqrt(np.abs(after[names.index("second_moment")]))
            after[place, np.abs(after[place]) <= _ROUNDING * size[place]] = 0.0
        if "silent" in names:  # a probability, whose unit is 1
            size[names.index("silent")] = 1.0
        good = (np.abs(after - before) <= TOLERANCE * size).all(axis=0)
        result[:, todo[good]] = after[:, good]
        todo, before = todo[~good], after[:, ~good]
        if not len(todo):
            return result
    raise InputError(
        "activation", activation.name, f"one whose moments at variance {k[todo[0]]:.3g} quadrature can reach"
    )


def below(bound: float, mean: float, k: Array) -> Array:
    """Return P(z <= bound) for z ~ N(mean, k), k of shape (n,); a variance of 0 means the point `mean`."""
    from scipy.special import erfc

    if math.isinf(bound):
        return np.full(k.shape, float(bound > 0))
    with np.errstate(divide="ignore", invalid="ignore"):
        inside = 0.5 * erfc((mean - bound) / np.sqrt(2.0 * k))
    return np.where(k > 0, inside, float(mean <= bound))


def _integrals(activation: Activation, k: Array, mean: float, names: tuple[str, ...], step: float) -> Array:
    result = np.zeros((len(names), len(k)))
    cuts = sorted({0.0, *activation.kinks})
    root = np.sqrt(k)
    ends = np.clip((np.array([-np.inf, *cuts, np.inf])[:, None] - mean) / root, -_REACH, _REACH)
    share, weight = _rule(step)
    rows = max(1, _CHUNK // len(share))
    for low, high in itertools.pairwise(ends):
        for start in range(0, len(k), rows):
            part = slice(start, start + rows)
            a, b, s = low[part, None], high[part, None], root[part, None]
            # From the nearer end, so that the distance to a kink keeps its digits.
            left = share < 0
            g = np.where(left, a + (b - a) * -share, b - (b - a) * share)
            w = weight * (b - a) * np.exp(-0.5 * g * g) / math.sqrt(2 * math.pi)
            values = _integrands(activation, mean + s * g, names)
            with np.errstate(over="ignore", invalid="ignore"):
                result[:, part] += np.where(w > 0, values * w, 0.0).sum(axis=-1)
    if not np.isfinite(result).all():
        raise InputError("activation", activation.name, "one whose moments are finite here")
    return result


def _rule(step: float) -> tuple[Array, Array]:
    """Return nodes on (0, 1) as distances from the nearer end (negative for the left one), and weights."""
    t = np.arange(step / 2, 3.4, step)
    u = 0.5 * math.pi * np.sinh(t)
    share = 1.0 / (1.0 + np.exp(2 * u))
    weight = step * math.pi * np.cosh(t) * share * (1.0 - share)
    return np.concatenate([-share, share]), np.concatenate([weight, weight])


def _integrands(activation: Activation, z: Array, names: tuple[str, ...]) -> Array:
    value, slope = (getattr(f, "unchecked", f) for f in (activation.value, activation.slope))
    with np.errstate(all="ignore"):
        a, d = np.asarray(value(z)), np.asarray(slope(z))
        square, steep = a * a, d * d
        known = {"mean": a, "second_moment": square, "derivative_second_moment": steep}
        if not known.keys() >= set(names):
            known |= {"fourth_moment": square * square, "derivative_fourth_moment": steep * steep}
            known |= {"silent": (a == 0).astype(float)}
        return np.stack([np.broadcast_to(known[name], z.shape) for name in names])
