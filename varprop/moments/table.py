"""Zero-mean moments of one function, fast: its values on fixed panels, reweighted for each variance.

With z ~ N(0, q) only the Gaussian weight depends on q. Panels whose ends grow by a factor of 1.4 from 1e-10
to 1e7 resolve that weight for every q between, and the function once and for all; an expectation then costs
one vector of exponentials and one product. Values at z and -z are added up front: odd parts vanish exactly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from varprop.moments.rule import (
    POINTS,
    RUNNING,
    Array,
    end_values,
    nodes_of,
    relative_error,
    roughness,
    scale_edges,
)

_SMALLEST, _REACH = 1e-10, 1.4e7
_SIGMAS = 13.0  # the Gaussian density there is 1e-37
_BUDGET = 3000
_DEEPEST = 60
_SEAM = 1e-10  # relative disagreement of neighbouring panels; it hides in a hundredth of their width
_CHUNK = 1 << 21  # exponentials at a time
_ROOT_TWO_PI = math.sqrt(2 * math.pi)


class Table:
    """Values of phi and phi' on panels of the half line, folded.

    Parameters
    ----------
    value, slope : callable
        phi and phi', vectorised.
    kinks : sequence of float
        Where they are not smooth.

    Attributes
    ----------
    lowest, highest : float
        The range of variances that the table serves; empty if phi grows faster than a power.
    """

    def __init__(
        self, value: Callable[[Array], Any], slope: Callable[[Array], Any], kinks: Sequence[float]
    ) -> None:
        self._value, self._slope, self._kinks = value, slope, tuple(kinks)
        edges = {0.0, *scale_edges(_REACH, _SMALLEST), *(abs(k) for k in kinks)}
        grid = np.array(sorted(edges))
        low, high, reach = self._refine(grid[:-1], grid[1:])
        self.lowest = (2 * _SMALLEST) ** 2 if reach > 0 else math.inf
        self.highest = (reach / _SIGMAS) ** 2
        self._low, self._high = low, high
        z, w = nodes_of(low, high)
        self._z, self._w = z.ravel(), w.ravel() / _ROOT_TWO_PI
        self._square = -0.5 * self._z**2
        self._columns: dict[str, Array] = {}
        self._blocks: dict[tuple[str, ...], Array] = {}

    def _refine(self, low: Array, high: Array) -> tuple[Array, Array, float]:
        """Halve unresolved panels; where the budget ends or the function leaves the tame, the table ends."""
        reach = float(high[-1])
        depth = 0
        while True:
            z, _ = nodes_of(low, high)
            with np.errstate(all="ignore"):
                values = np.stack([self._value(z), self._value(-z), self._slope(z), self._slope(-z)])
                size = np.abs(values).max(axis=-1)
                # a decaying function's far panels matter no more than the largest value before them
                running = np.maximum.accumulate(size, axis=1)
                local = np.where(running > 0, size / np.where(running > 0, running, 1), 0)
                error = relative_error(roughness(values)) * local
            finite = np.asarray(np.isfinite(values).all(axis=(0, 2)))
            wild = ~finite | _explodes(low, running.max(axis=0))
            if wild.any():
                keep = slice(0, int(np.argmax(wild)))
                low, high, error = low[keep], high[keep], error[:, keep]
                if low.size == 0 or low[-1] < 1e3:
                    return np.zeros(1), np.ones(1), 0.0
                reach = float(high[-1])
            bad = np.asarray(np.any(error > 1e-14, axis=0)) | self._torn(low, high, values, running)
            if not bad.any():
                return low, high, reach
            if depth == _DEEPEST or low.size + bad.sum() > _BUDGET:  # it oscillates, or is rough: end here
                count = int(np.argmax(bad)) if depth == _DEEPEST else min(low.size, _BUDGET) // 4
                if count == 0:
                    return np.zeros(1), np.ones(1), 0.0
                low, high, bad = low[:count], high[:count], bad[:count]
                reach = float(high[-1])
            middle = 0.5 * (low[bad] + high[bad])
            low, high = np.concatenate([low, middle]), np.concatenate([high, high[bad]])
            high[np.flatnonzero(bad)] = middle
            order = np.argsort(low)
            low, high = low[order], high[order]
            depth += 1

    def _torn(self, low: Array, high: Array, values: Array, running: Array) -> npt.NDArray[np.bool_]:
        """Find neighbours that do not meet: a jump hides between their edge and the nearest nodes."""
        joint = np.all([np.abs(low[1:] - abs(k)) > 1e-12 * low[1:] for k in (0.0, *self._kinks)], axis=0)
        left, right = end_values(values)
        gap = np.abs(right[:, :-1] - left[:, 1:]) > _SEAM * running[:, 1:]
        seam = joint & gap.any(axis=0)
        torn = np.zeros(low.size, dtype=bool)
        torn[1:] |= seam
        torn[:-1] |= seam
        return torn & (high - low > 1e-14 * high)

    def serves(self, q: Any) -> Any:
        """Say for which variances the table is valid."""
        return (q >= self.lowest) & (q <= self.highest)

    def evaluate(self, names: tuple[str, ...], q: Array) -> Array:
        """Return the expectations of the named columns, shape (len(q), len(names)), for variances q."""
        block = self._block(names)
        result = np.empty((q.size, len(names)))
        rows = max(1, _CHUNK // self._z.size)
        for start in range(0, q.size, rows):
            part = q[start : start + rows]
            top = int(np.searchsorted(self._z, _SIGMAS * math.sqrt(part.max())))
            weight = np.exp(np.multiply.outer(1 / part, self._square[:top]))
            result[start : start + rows] = (weight @ block[:top]) / np.sqrt(part)[:, None]
        return result

    def evaluate_one(self, names: tuple[str, ...], q: float) -> list[float]:
        """Return the expectations of the named columns for one variance."""
        block = self._block(names)
        s = math.sqrt(q)
        top = self._z.searchsorted(_SIGMAS * s)
        weight = np.exp(self._square[:top] * (1.0 / q))
        values: list[float] = (weight @ block[:top] / s).tolist()
        return values

    def _block(self, names: tuple[str, ...]) -> Array:
        if names not in self._blocks:
            self._blocks[names] = np.stack([self._column(name) * self._w for name in names], axis=1)
        return self._blocks[names]

    def _column(self, name: str) -> Array:
        if name.startswith("abs "):
            return self._fold(name[4:], np.abs)
        return self._fold(name, np.asarray)

    def _fold(self, name: str, through: Callable[[Array], Array]) -> Array:
        right, left = self._parts(name)
        return through(right) + through(left)

    def _parts(self, name: str) -> tuple[Array, Array]:
        (a, b), (da, db) = self._values, self._slopes
        z = self._z
        match name:
            case "mean":
                return a, b
            case "second_moment":
                return a * a, b * b
            case "fourth_moment":
                return np.square(a * a), np.square(b * b)
            case "derivative_mean":
                return da, db
            case "derivative_second_moment":
                return da * da, db * db
            case "z_phi_dphi":
                return z * a * da, -z * b * db
            case "rise":
                return self._rises
            case "rise squared":
                return np.square(self._rises[0]), np.square(self._rises[1])
        raise KeyError(name)

    @cached_property
    def _values(self) -> tuple[Array, Array]:
        return np.asarray(self._value(self._z)), np.asarray(self._value(-self._z))

    @cached_property
    def _slopes(self) -> tuple[Array, Array]:
        return np.asarray(self._slope(self._z)), np.asarray(self._slope(-self._z))

    @cached_property
    def _rises(self) -> tuple[Array, Array]:
        """phi(±z) - phi(0), by integrating phi' where that agrees with the difference up to rounding.

        The difference loses its digits for small z; the integral does not, but knows nothing of jumps.
        """
        start = float(np.asarray(self._value(np.zeros(1)))[0])
        rises = []
        for sign, values, slopes in zip((1, -1), self._values, self._slopes, strict=True):
            half = 0.5 * (self._high - self._low)[:, None]
            local = sign * half * (slopes.reshape(-1, POINTS) @ RUNNING)
            whole = sign * (slopes * self._w * _ROOT_TWO_PI).reshape(-1, POINTS).sum(axis=1)
            before = np.concatenate([[0.0], np.cumsum(whole)[:-1]])
            rises.append(refined_rise((local + before[:, None]).ravel(), values, start))
        return rises[0], rises[1]


def refined_rise(integrated: Array, values: Array, start: Any) -> Array:
    """Return values - start, from `integrated` wherever the two differ by no more than rounding."""
    difference = values - start
    rounding = 8 * np.finfo(float).eps * (np.abs(values) + np.abs(start))
    return np.where(np.abs(integrated - difference) <= rounding, integrated, difference)


def _explodes(low: Array, size: Array) -> npt.NDArray[np.bool_]:
    """Say from which panel on |phi| or |phi'| has grown faster than z^8 over a doubling of z >= 8."""
    earlier = size[np.maximum(np.searchsorted(low, low / 2, side="right") - 1, 0)]
    with np.errstate(invalid="ignore", over="ignore"):
        steep = (low > 16) & ~(size <= 2.0**9 * earlier)
    return np.logical_or.accumulate(steep)
