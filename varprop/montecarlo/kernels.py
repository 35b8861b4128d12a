"""Optional compiled kernels (extra ``fast``): the same transforms of the same random words, in one pass each.

They give the numbers of `varprop.montecarlo.normals` and `varprop.montecarlo.histograms` from the same bits, the
normals up to rounding in the last places, so the law is the one documented there. Logarithm, sine and cosine are
the single-precision polynomials of Cephes (Moshier 1992), good to 1.2e-7, written without branches so that the
compiler turns them into vector instructions. Importing this module needs numba;
`varprop.montecarlo.normals.kernels_available` says whether it is there.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

f = np.float32


@numba.njit(fastmath={"contract"}, error_model="numpy", nogil=True, cache=True)  # type: ignore[untyped-decorator]
def box_muller(words: Any, signed: Any, out: Any, scale: Any) -> None:
    """Fill `out` with N(0, scale²) numbers from as many 32-bit words, seen unsigned and signed."""
    half = out.size // 2
    for i in range(half):
        u = f(words[i]) * f(2.0**-32) + f(2.0**-33)
        # u = m 2^e with m in [sqrt(1/2), sqrt(2))
        bits = np.int32(np.float32(u).view(np.int32) - np.int32(0x3F3504F3))
        e = np.int32(bits >> np.int32(23))
        m = np.int32((bits & np.int32(0x007FFFFF)) + np.int32(0x3F3504F3)).view(np.float32) - f(1.0)
        p = f(7.0376836292e-2)
        p = p * m + f(-1.1514610310e-1)
        p = p * m + f(1.1676998740e-1)
        p = p * m + f(-1.2420140846e-1)
        p = p * m + f(1.4249322787e-1)
        p = p * m + f(-1.6668057665e-1)
        p = p * m + f(2.0000714765e-1)
        p = p * m + f(-2.4999993993e-1)
        p = p * m + f(3.3333331174e-1)
        square = m * m
        log = p * m * square - f(0.5) * square + m + f(e) * f(0.69314718056)
        radius = np.sqrt(max(f(-2.0) * log, f(0.0))) * scale
        # Angle in quarter turns: the nearest whole number and what is left, at most an eighth of a turn.
        turn = f(signed[half + i]) * f(2.0**-30)
        quarter = np.floor(turn + f(0.5))
        x = (turn - quarter) * f(1.57079632679)
        y = x * x
        sine = ((f(-1.9515295891e-4) * y + f(8.3321608736e-3)) * y + f(-1.6666654611e-1)) * y * x + x
        cosine = (f(2.443315711809948e-5) * y + f(-1.388731625493765e-3)) * y + f(4.166664568298827e-2)
        cosine = cosine * y * y - f(0.5) * y + f(1.0)
        q = np.int32(quarter)
        swap = (q & np.int32(1)) != 0
        first, second = (sine, cosine) if swap else (cosine, sine)
        first = -first if ((q + np.int32(1)) & np.int32(2)) != 0 else first
        second = -second if (q & np.int32(2)) != 0 else second
        out[i] = first * radius
        out[half + i] = second * radius


@numba.njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def count_keys(words: Any, shift: Any, counts: Any) -> None:
    """Add the words' leading bits, ``words >> shift``, to the four tables `counts` of shape (4, keys)."""
    # Four tables, because the same bin twice in a row would wait for its own last addition.
    size = words.size
    for i in range(0, size - size % 4, 4):
        counts[0, words[i] >> shift] += 1
        counts[1, words[i + 1] >> shift] += 1
        counts[2, words[i + 2] >> shift] += 1
        counts[3, words[i + 3] >> shift] += 1
    for i in range(size - size % 4, size):
        counts[0, words[i] >> shift] += 1
