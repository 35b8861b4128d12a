"""The gain, and where it takes one the bias, that keep a signal and its gradient level over a given depth."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from varprop.activations import activation
from varprop.activations.maps import VarianceMap, moment_map
from varprop.results.health import LIMIT

Array = NDArray[np.float64]

_LARGEST, _SMALLEST = 1e30, 1e-30
_TABLE = 1e-8, 1e12
"""Second moments that are interpolated; bounded above for all but homogeneous activations, which are closed."""
_STARTS = np.array([0.7, 1.0, 1.4])
"""Second moments to start from: a gain that works at one of them only is of no use at a finite width."""
_BIASES = np.array([0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5])


@dataclass(frozen=True)
class Course:
    """What a gain does over a depth.

    Attributes
    ----------
    gain : float
        Root of fan_in times the weight variance.
    bias_variance : float
    forward, backward : float
        Logarithms of what the mean squares of signal and gradient gain over the depth.
    """

    gain: float
    bias_variance: float
    forward: float
    backward: float

    @property
    def worst(self) -> float:
        """The larger of the two, in size."""
        return max(abs(self.forward), abs(self.backward))


def course(spelling: str, gain: float, depth: int, start: float = 1.0, bias_variance: float = 0.0) -> Course:
    """Follow q and chi_1 through `depth` layers, in the limit of wide layers.

    Parameters
    ----------
    spelling : str
        The activation.
    gain : float
        Root of fan_in times the weight variance.
    depth : int
        Steps from one pre-activation to the next.
    start : float
        Second moment of the first pre-activation.
    bias_variance : float

    Examples
    --------
    >>> relu = course("relu", 2**0.5, 50)
    >>> abs(relu.forward) < 1e-9, abs(relu.backward) < 1e-9
    (True, True)
    """
    one = np.array([1.0])
    forward, backward = _follow(spelling, gain * one, bias_variance * one, depth, start * one)
    return Course(gain, bias_variance, float(forward[0]), float(backward[0]))


@functools.lru_cache(maxsize=256)
def level_gain(spelling: str, depth: int) -> Course:
    """Return the gain (and bias variance) whose worse direction is best over `depth` layers.

    For a homogeneous activation that is the exact sqrt(2/(a² + b²)) of its slopes (He et al. 2015, eq. 10)
    and no bias. For
    another the forward and the backward condition contradict each other; the compromise is found by
    search, judged at the
    worst of several starting levels, and a bias is only brought in where no gain alone stays within a healthy factor.

    Examples
    --------
    >>> round(level_gain("relu", 50).gain, 6), level_gain("tanh", 50).bias_variance
    (1.414214, 0.0)
    """
    phi = activation(spelling)
    if phi.slopes is not None:
        square = (phi.slopes[0] ** 2 + phi.slopes[1] ** 2) / 2
        return course(spelling, 1 / math.sqrt(square), depth)
    found = _search(spelling, depth, np.zeros(1))
    if _robust(spelling, found, depth) > math.log(LIMIT) / 2:
        with_bias = _search(spelling, depth, _BIASES)
        if _robust(spelling, with_bias, depth) < _robust(spelling, found, depth):
            found = with_bias
    return found


def _search(spelling: str, depth: int, biases: Array) -> Course:
    """Search a grid of gains and biases, then ever finer grids of gains around the best."""
    low, high = math.log(0.5), math.log(16.0)
    best = Course(1.0, 0.0, math.inf, math.inf)
    for _ in range(4):
        gains = np.exp(np.linspace(low, high, 33))
        grid = np.meshgrid(gains, biases, _STARTS, indexing="ij")
        forward, backward = _follow(spelling, grid[0].ravel(), grid[1].ravel(), depth, grid[2].ravel())
        cost = np.maximum(np.abs(forward), np.abs(backward)) + 1e-3 * (np.abs(forward) + np.abs(backward))
        i, j = np.unravel_index(int(cost.reshape(grid[0].shape).max(axis=2).argmin()), grid[0].shape[:2])
        best = course(spelling, float(gains[i]), depth, bias_variance=float(biases[j]))
        width = (high - low) / 16
        centre, biases = math.log(gains[i]), biases[j : j + 1]
        low, high = centre - width / 2, centre + width / 2
    return best


def _robust(spelling: str, found: Course, depth: int) -> float:
    same = np.ones_like(_STARTS)
    both = _follow(spelling, found.gain * same, found.bias_variance * same, depth, _STARTS)
    return float(np.max(np.abs(both)))


@functools.lru_cache(maxsize=64)
def _moments(spelling: str) -> VarianceMap:
    return moment_map(activation(spelling), 0.0, *_TABLE)


def _follow(spelling: str, gain: Array, bias: Array, depth: int, start: Array) -> tuple[Array, Array]:
    moments, q, back = _moments(spelling), start.astype(np.float64), np.zeros_like(start, dtype=np.float64)
    highest = _TABLE[1] if activation(spelling).slopes is None else _LARGEST
    for _ in range(depth):
        _, square, slope = moments(q)
        with np.errstate(divide="ignore"):
            back = back + np.log(gain**2 * slope)
        q = np.clip(gain**2 * square + bias, _SMALLEST, highest)
    return np.log(q / start), back
