"""Functions of a variance alone, such as Gaussian moments of an activation, fast enough to call for every draw.

They are interpolated by Chebyshev polynomials in the logarithm of the variance, on
pieces that are halved until points between the nodes agree with the function to `TOLERANCE`; a variance outside
the table is computed directly. So interpolation biases nothing by more than that.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

if TYPE_CHECKING:
    from varprop.activations.base import Activation

Array = NDArray[Any]

TOLERANCE = 1e-11
"""Error of the interpolation, relative to the largest value of the moment on the piece."""

FIELDS = ("mean", "second_moment", "derivative_second_moment")

_NODES = 16
_WIDEST, _NARROWEST = 1.0, 1 / 16
_MARGIN = 1.5


def moment_map(activation: Activation, mean: float, low: float, high: float) -> VarianceMap:
    """Return E phi, E phi² and E phi'² (`FIELDS`) at z ~ N(mean, k), as functions of k.

    Parameters
    ----------
    activation : Activation
    mean : float
        Mean of z.
    low, high : float
        Variances between which most arguments will lie, at least 0.

    Examples
    --------
    >>> import numpy as np
    >>> import varprop as vp
    >>> table = moment_map(vp.activation("relu"), 0.0, 0.5, 2.0)
    >>> table(np.array([1.0, 100.0]))[1]
    array([ 0.5, 50. ])
    """

    def exact(k: Array) -> Array:
        moments = activation.moments(k, mean, fields=FIELDS)
        return np.stack([np.broadcast_to(getattr(moments, name), k.shape) for name in FIELDS])

    return VarianceMap(exact, low, high)


class VarianceMap:
    """Several functions of a variance k, tabulated between two variances and computed directly beyond.

    Parameters
    ----------
    exact : callable
        From variances of shape (n,) to values of shape (functions, n).
    low, high : float
        Variances between which most arguments will lie, at least 0.
    """

    def __init__(self, exact: Callable[[Array], Array], low: float, high: float) -> None:
        self.exact = exact
        self._left = np.zeros(0)
        self._right = np.zeros(0)
        self._coefficients = np.zeros((0, _NODES, 0))
        if low > 0:
            start, stop = np.log(low) - _MARGIN, np.log(high) + _MARGIN
            number = max(1, int(np.ceil((stop - start) / _WIDEST)))
            edges = np.linspace(start, stop, number + 1)
            self._fit(list(itertools.pairwise(edges)))

    def __call__(self, k: Array) -> Array:
        """Return the values at the variances k, shape (functions, len(k))."""
        with np.errstate(divide="ignore"):
            place = np.log(k)
        piece = np.searchsorted(self._right, place)
        inside = piece < len(self._right)
        inside[inside] = place[inside] >= self._left[piece[inside]]
        if not inside.all():
            outside = self.exact(k[~inside])
            result = np.empty((len(outside), len(k)))
            result[:, ~inside] = outside
            if inside.any():
                result[:, inside] = self._interpolated(place[inside], piece[inside])
            return result
        return self._interpolated(place, piece)

    def slopes(self, k: float) -> Array:
        """Return the derivatives with respect to k, shape (functions,), to about six digits."""
        if k == 0.0:
            return np.zeros(len(self.exact(np.zeros(1))))
        step = 1e-4
        ends = self(np.array([k * np.exp(-step), k * np.exp(step)]))
        return (ends[:, 1] - ends[:, 0]) / (2 * step * k)

    def _interpolated(self, place: Array, piece: Array) -> Array:
        left, right = self._left[piece], self._right[piece]
        x = (2 * place - left - right) / (right - left)
        coefficients = np.moveaxis(self._coefficients[piece], 0, -1)
        return chebyshev.chebval(x, coefficients, tensor=False)

    def _fit(self, todo: list[tuple[float, float]]) -> None:
        nodes = chebyshev.chebpts1(_NODES)
        between = np.cos(np.pi * np.arange(1, _NODES) / _NODES)
        design = chebyshev.chebvander(nodes, _NODES - 1)
        found = []
        while todo:
            left, right = todo.pop()
            x = np.concatenate([nodes, between])
            values = self.exact(np.exp(left + (right - left) * (x + 1) / 2))
            coefficients = np.linalg.solve(design, values[:, :_NODES].T)
            error = np.abs(chebyshev.chebval(between, coefficients) - values[:, _NODES:]).max(axis=1)
            if np.all(error <= TOLERANCE * np.abs(values).max(axis=1)):
                found.append((left, right, coefficients))
            elif right - left > 2 * _NARROWEST:
                middle = (left + right) / 2
                todo += [(left, middle), (middle, right)]
        found.sort(key=lambda piece: piece[0])
        if found:
            self._left, self._right = (np.array([piece[i] for piece in found]) for i in (0, 1))
            self._coefficients = np.stack([piece[2] for piece in found])
