"""The gain that keeps a signal and its gradient level over a given depth, both at once."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

from varprop.activations import activation

_LARGEST, _SMALLEST = 1e30, 1e-30


@dataclass(frozen=True)
class Course:
    """What a gain does over a depth: logarithms of the mean-square factors forward and backward."""

    gain: float
    forward: float
    backward: float

    @property
    def worst(self) -> float:
        """The larger of the two, in size."""
        return max(abs(self.forward), abs(self.backward))


def course(spelling: str, gain: float, depth: int, start: float = 1.0) -> Course:
    """Follow q and chi_1 through `depth` layers of weight variance gain²/fan_in, biases zero, in the limit of wide layers.

    Parameters
    ----------
    spelling : str
        The activation.
    gain : float
    depth : int
        Steps from one pre-activation to the next.
    start : float
        Second moment of the first pre-activation.

    Examples
    --------
    >>> relu = course("relu", 2**0.5, 50)
    >>> abs(relu.forward) < 1e-9, abs(relu.backward) < 1e-9
    (True, True)
    """
    phi, q, back = activation(spelling), start, 0.0
    for _ in range(depth):
        found = phi.moments(q, fields=("second_moment", "derivative_second_moment"))
        slope = gain**2 * float(found.derivative_second_moment)
        back += math.log(slope) if slope > 0 else -math.inf
        q = min(max(gain**2 * float(found.second_moment), _SMALLEST), _LARGEST)
    return Course(gain, math.log(q / start), back)


@functools.lru_cache(maxsize=256)
def level_gain(spelling: str, depth: int, start: float = 1.0) -> Course:
    """Return the gain whose worse direction is best over `depth` layers.

    For a homogeneous activation that is the exact sqrt(2/(a² + b²)) of its slopes (He et al. 2015, eq. 10); for another
    the forward and the backward condition contradict each other, and the gain is found by bounded search.

    Examples
    --------
    >>> round(level_gain("relu", 50).gain, 6), level_gain("tanh", 50).gain > 1.0
    (1.414214, True)
    """
    phi = activation(spelling)
    if phi.slopes is not None:
        square = (phi.slopes[0] ** 2 + phi.slopes[1] ** 2) / 2
        return course(spelling, 1 / math.sqrt(square), depth, start)
    from scipy.optimize import minimize_scalar

    depth = max(depth, 1)

    def cost(log_gain: float) -> float:
        found = course(spelling, math.exp(log_gain), depth, start)
        # The sum breaks ties where one direction does not change.
        return found.worst + 1e-3 * (abs(found.forward) + abs(found.backward))

    grid = [math.log(0.5) + i * math.log(8.0 / 0.5) / 24 for i in range(25)]
    best = min(grid, key=cost)
    width = grid[1] - grid[0]
    found = minimize_scalar(cost, bounds=(best - width, best + width), method="bounded", options={"xatol": 1e-4})
    return course(spelling, math.exp(float(found.x)), depth, start)
