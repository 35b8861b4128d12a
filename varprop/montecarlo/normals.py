"""Random numbers at the speed of the generator: normal, uniform and truncated, in single precision.

NumPy's own single-precision normals (ziggurat) cost 7 to 9 ns each and its uniforms 1.2 to 2.7 ns, because
each number is a branch or a call. Here whole arrays of raw 64-bit words of the generator are transformed by
vectorised functions: about 2 ns for a normal, 1.2 ns for a uniform number on one core.

Normals are Box and Muller's (1958, Ann. Math. Statist. 29, 610): with u in (0, 1] and an angle t,
``sqrt(-2 log u) (cos t, sin t)`` are two independent N(0, 1) numbers. Each word gives u = (k + 1/2) 2⁻³² and
t = 2π j 2⁻³² with two independent 32-bit whole numbers k and j. What the finite word costs: no number exceeds
6.77 in magnitude (a normal one does with probability 1.3e-11; the missing second moment is 6e-10), values are
rounded to 24 bits, and so is u: radii below 0.003 (5 of a million) lie on a grid of squares, the first of which is 0.
All of it is far below any standard error that draws can reach.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# Pairs per pass: 8 arrays of 128 kB stay in the second-level cache; below 8k pairs the calls cost more than the work.
_PAIRS = 1 << 15
_STEP = np.float32(2.0**-32)
_HALF = np.float32(2.0**-33)
_TURN = np.float32(2.0 * math.pi * 2.0**-32)
_LEAST = 1e-28  # sizes from here to its inverse keep their digits in single precision
_MINUS_TWO = np.float32(-2.0)


def kernels_available() -> bool:
    """Say whether the compiled kernels can be used, that is whether numba is installed."""
    from importlib.util import find_spec

    return find_spec("numba") is not None


class Noise:
    """A stream of random arrays, drawn in single precision and delivered in `dtype`.

    The same generator gives the same numbers in both precisions, so a computation that turns out to need
    double precision can be repeated on the same draws.

    Parameters
    ----------
    rng : numpy.random.Generator
        Where the bits come from; any of NumPy's generators with 64-bit words (SFC64 is the fastest).
    dtype : {float32, float64}
        Type of what is returned.
    compiled : bool
        Whether numba transforms the bits (extra ``fast``): the same numbers up to rounding, in half the time.

    Examples
    --------
    >>> noise = Noise(np.random.Generator(np.random.SFC64(1)))
    >>> noise.normal((2, 3)).shape
    (2, 3)
    """

    def __init__(self, rng: np.random.Generator, dtype: Any = np.float32, compiled: bool = False) -> None:
        self.rng = rng
        self.dtype = np.dtype(dtype)
        self.compiled = compiled
        self._words = rng.bit_generator.random_raw
        # Its next word costs a call in NumPy and half of that in the kernel.
        self._stepped = compiled and type(rng.bit_generator) is np.random.SFC64

    def normal(self, shape: tuple[int, ...], scale: float = 1.0) -> Array:
        """Return independent N(0, scale²) numbers."""
        if self.dtype == np.float64 and not _LEAST < abs(scale) < 1 / _LEAST:
            return self.normal(shape) * scale
        size = math.prod(shape)
        flat = np.empty(size + size % 2, np.float32)
        if self._stepped and size > _PAIRS:
            self._step_and_transform(flat, scale)
        else:
            for start in range(0, flat.size, 2 * _PAIRS):
                self._box_muller(flat[start : start + 2 * _PAIRS], scale)
        return flat[:size].reshape(shape).astype(self.dtype, copy=False)

    def uniform(self, shape: tuple[int, ...], low: float, high: float) -> Array:
        """Return independent U(low, high) numbers, on a grid of 2³² points symmetric about the centre."""
        if self.dtype == np.float64 and not _LEAST < high - low < 1 / _LEAST:
            return self.uniform(shape, -0.5, 0.5) * (high - low) + (high + low) / 2
        size = math.prod(shape)
        flat = np.empty(size, np.float32)
        scale, centre = np.float32((high - low) * 2.0**-32), (high + low) / 2
        for start in range(0, size, 2 * _PAIRS):
            part = flat[start : start + 2 * _PAIRS]
            words: Array = self._words((part.size + 1) // 2)
            part[...] = words.view(np.int32)[: part.size]
            part *= scale
        values = flat.reshape(shape).astype(self.dtype, copy=False)
        # The signed grid is -2³¹ … 2³¹-1; half a step moves its centre to 0, which single precision cannot see.
        if centre:
            values += self.dtype.type(centre)
        return values

    def truncated(self, shape: tuple[int, ...], low: float, high: float) -> Array:
        """Return N(0, 1) numbers conditioned on ``low <= g <= high``, by drawing again what falls outside.

        Worth it while the interval has a good part of the probability; the caller sees to that.
        """
        values = self.normal(shape)
        flat = values.reshape(-1)
        outside = np.flatnonzero((flat < low) | (flat > high))
        while outside.size:
            again = self.normal(outside.shape)
            flat[outside] = again
            outside = outside[(again < low) | (again > high)]
        return values

    def signs(self, shape: tuple[int, ...], scale: float = 1.0) -> Array:
        """Return independent fair signs times `scale`."""
        size = math.prod(shape)
        words: Array = self._words(-(-size // 64))
        bits = np.unpackbits(words.view(np.uint8), count=size)
        values = bits.astype(self.dtype)
        values *= self.dtype.type(2.0 * scale)
        values -= self.dtype.type(scale)
        return values.reshape(shape)

    def _step_and_transform(self, out: Array, scale: float) -> None:
        from varprop.montecarlo.kernels import normals

        state = self.rng.bit_generator.state
        normals(state["state"]["state"], np.empty(_PAIRS, np.uint64), out, np.float32(scale))
        self.rng.bit_generator.state = state

    def _box_muller(self, out: Array, scale: float) -> None:
        half = out.size // 2
        words: Array = self._words(half)
        if self.compiled:
            from varprop.montecarlo.kernels import box_muller

            box_muller(words.view(np.uint32), words.view(np.int32), out, np.float32(scale))
            return
        cosine, sine = out[:half], out[half:]
        radius = words.view(np.uint32)[:half].astype(np.float32)
        radius *= _STEP
        radius += _HALF
        np.log(radius, out=radius)
        radius *= _MINUS_TWO
        np.sqrt(radius, out=radius)
        if scale != 1.0:
            radius *= np.float32(scale)
        angle = words.view(np.int32)[half:].astype(np.float32)
        angle *= _TURN
        np.cos(angle, out=cosine)
        np.sin(angle, out=sine)
        cosine *= radius
        sine *= radius
