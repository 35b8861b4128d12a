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

# Sums are taken in single precision over so many numbers, and in double precision over the stretches.
_STRETCH = 1024


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
def sfc64(state: Any, words: Any) -> None:
    """Fill `words` with 64-bit words of NumPy's SFC64 (Doty-Humphrey 2010) and move its four words of state on."""
    one, three, eleven = np.uint64(1), np.uint64(3), np.uint64(11)
    left, right = np.uint64(24), np.uint64(40)
    a, b, c, counter = state[0], state[1], state[2], state[3]
    for i in range(words.size):
        word = a + b + counter
        counter += one
        a = b ^ (b >> eleven)
        b = c + (c << three)
        c = ((c << left) | (c >> right)) + word
        words[i] = word
    state[0], state[1], state[2], state[3] = a, b, c, counter


@numba.njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def normals(state: Any, words: Any, out: Any, scale: Any) -> None:
    """Fill `out` with N(0, scale²) numbers, as many words at a time as `words` has room for."""
    for start in range(0, out.size, 2 * words.size):
        part = out[start : start + 2 * words.size]
        used = words[: part.size // 2]
        sfc64(state, used)
        box_muller(used.view(np.uint32), used.view(np.int32), part, scale)


@numba.njit(fastmath={"contract", "reassoc"}, nogil=True, cache=True)  # type: ignore[untyped-decorator]
def survey(z: Any, words: Any, low: Any, high: Any, shift: Any, tables: Any, sums: Any) -> None:
    """Look once at z, and at the same numbers as `words`, both of shape (draws, size).

    Puts each row's sum, sum of squares and number of entries outside (low, high) into `sums` of shape (draws, 3),
    and adds the words' leading bits, ``words >> shift``, to the four tables of shape (4, keys), unless shift is 0.
    """
    draws, size = z.shape
    for r in range(draws):
        total: Any = 0.0
        squares: Any = 0.0
        outside: Any = 0
        for start in range(0, size, _STRETCH):
            end = min(start + _STRETCH, size)
            part: Any = f(0.0)
            square: Any = f(0.0)
            number: Any = np.int32(0)
            for i in range(start, end):
                x = z[r, i]
                part += x
                square += x * x
                number += np.int32((x <= low) | (x >= high))
            total += part
            squares += square
            outside += number
            if shift > 0:
                # Four tables, because the same bin twice in a row would wait for its own last addition.
                whole = end - (end - start) % 4
                for i in range(start, whole, 4):
                    tables[0, words[r, i] >> shift] += 1
                    tables[1, words[r, i + 1] >> shift] += 1
                    tables[2, words[r, i + 2] >> shift] += 1
                    tables[3, words[r, i + 3] >> shift] += 1
                for i in range(whole, end):
                    tables[0, words[r, i] >> shift] += 1
        sums[r, 0], sums[r, 1], sums[r, 2] = total, squares, outside


@numba.njit(fastmath={"contract", "reassoc"}, nogil=True, cache=True)  # type: ignore[untyped-decorator]
def dot(a: Any, b: Any) -> Any:
    """Return Σ a b, in single precision within a stretch and in double between them."""
    total: Any = 0.0
    for start in range(0, a.size, _STRETCH):
        part: Any = f(0.0)
        for i in range(start, min(start + _STRETCH, a.size)):
            part += a[i] * b[i]
        total += part
    return total


@numba.njit(fastmath={"contract", "reassoc"}, nogil=True, cache=True)  # type: ignore[untyped-decorator]
def reflect(h: Any, product: Any, delta: Any, noise: Any, length: Any, size: Any, std: Any) -> None:
    """Turn noise of shape (draws, n_in) into Wᵀ delta of a Gaussian W of which ``product = W h`` is known.

    `h` has one row for all draws or one for each; `length` and `size` are the lengths of h and delta.
    """
    draws, columns = noise.shape
    for r in range(draws):
        own = r if len(h) > 1 else 0
        inner, along = dot(product[r], delta[r]), dot(h[own], noise[r])
        inverse = 1.0 / length[r] if length[r] > 0.0 else 0.0
        fresh = f(std * size[r])
        known = f((inner * inverse - std * size[r] * along * inverse) * inverse)
        for i in range(columns):
            noise[r, i] = noise[r, i] * fresh + h[own, i] * known
