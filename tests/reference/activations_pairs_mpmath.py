"""Write activations_pairs.csv: E phi(u) phi(v) and E phi'(u) phi'(v), computed with mpmath alone.

The definitions are those of activations_mpmath.py, not varprop's. With u = s1 g and v = (c/s1) g + sigma h the
double integral over independent standard normal g, h is done

- for analytic activations by the trapezoidal rule on the plane, which converges exponentially there;
- for the others by the double-exponential rule nested in itself, the inner line cut at the kinks of v, the
  outer one at the kinks of u and where the inner result bends (the images of the kinks).

Steps are halved until two results agree to 16 digits of the integral of the absolute value.

Run with ``python tests/reference/activations_pairs_mpmath.py``; it takes some minutes.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

from mpmath import exp, mp, mpf, nstr, pi, sinh, sqrt

sys.path.insert(0, str(Path(__file__).parent))
from activations_mpmath import ACTIVATIONS

mp.dps = 26
REACH = mpf(11)
ANALYTIC = ("tanh", "sigmoid", "silu", "mish", "softplus", "gelu", "gelu_tanh", "erf", "arctan", "gaussian")
KINKED = ("relu", "hardtanh", "relu6", "hard_swish", "selu", "softsign")
CASES = [  # variances and covariance, as float64 numbers; correlations 0.5, -0.6, 0.849, 0.99, 0.707
    (1.0, 1.0, 0.5),
    (1.0, 1.0, -0.6),
    (0.25, 2.0, 0.6),
    (1.5, 1.5, 1.485),
    (8.0, 4.0, 4.0),
]
KINKED_CASES = [CASES[0], CASES[2], CASES[3]]


def bell(g):
    return exp(-g * g / 2) / sqrt(2 * pi)


def trapezoid(phi, slope, q1, q2, c, h):
    s1 = sqrt(q1)
    sigma = sqrt(q2 - c * c / q1)
    grid = [k * h for k in range(-int(REACH / h), int(REACH / h) + 1)]
    weights = [h * bell(g) for g in grid]
    totals = [mpf(0), mpf(0)]
    for g, w in zip(grid, weights, strict=True):
        x = c / s1 * g
        inner = [mpf(0), mpf(0)]
        for k, v in zip(grid, weights, strict=True):
            if w * v < mpf(10) ** -24:
                continue
            z = x + sigma * k
            inner[0] += v * phi(z)
            inner[1] += v * slope(z)
        totals[0] += w * phi(s1 * g) * inner[0]
        totals[1] += w * slope(s1 * g) * inner[1]
    return totals


def line(cuts, h):
    """Return double-exponential nodes and weights on the pieces of (-REACH, REACH) between the cuts."""
    cuts = sorted({x for x in cuts if -REACH < x < REACH})
    for a, b in zip([-REACH, *cuts], [*cuts, REACH], strict=True):
        for k in range(-int(mpf("3.4") / h), int(mpf("3.4") / h) + 1):
            t = k * h
            grow = exp(pi * sinh(t))
            share, rest = grow / (1 + grow), 1 / (1 + grow)
            x = a + (b - a) * share if t < 0 else b - (b - a) * rest
            w = h * (b - a) * pi * mp.cosh(t) * share * rest * bell(x)
            if w > mpf(10) ** -24:
                yield x, w


def nested(phi, slope, kinks, q1, q2, c, h):
    s1 = sqrt(q1)
    sigma = sqrt(q2 - c * c / q1)
    spread = sigma * s1 / abs(c)
    images = [k * s1 / c for k in kinks]
    cuts = [mpf(k) / s1 for k in kinks]
    cuts += [i + d * spread for i in images for d in (-3, 0, 3)]
    totals = [mpf(0), mpf(0)]
    for g, w in line([*cuts, mpf(0)], h):
        x = c / s1 * g
        inner = [mpf(0), mpf(0)]
        for k, v in line([*((e - x) / sigma for e in kinks), mpf(0)], h):
            if w * v < mpf(10) ** -22:
                continue
            z = x + sigma * k
            inner[0] += v * phi(z)
            inner[1] += v * slope(z)
        totals[0] += w * phi(s1 * g) * inner[0]
        totals[1] += w * slope(s1 * g) * inner[1]
    return totals


def converged(rule, h):
    before = rule(h)
    while True:
        h /= 2
        after = rule(h)
        if all(
            abs(x - y) <= mpf(10) ** -15 * (abs(y) + mpf(1) / 100) for x, y in zip(before, after, strict=True)
        ):
            return after
        if h < mpf(1) / 130:
            raise RuntimeError("does not converge")
        before = after


def pair(name, case):
    phi, slope, kinks = ACTIVATIONS[name]
    q1, q2, c = map(mpf, case)
    if name in ANALYTIC:
        return converged(lambda h: trapezoid(phi, slope, q1, q2, c, h), mpf(1) / 3)
    return converged(lambda h: nested(phi, slope, kinks, q1, q2, c, h), mpf(1) / 6)


def main():
    path = Path(__file__).with_name("activations_pairs.csv")
    with path.open("w", newline="") as stream:
        out = csv.writer(stream, lineterminator="\n")
        out.writerow(["activation", "q1", "q2", "covariance", "product", "derivative_product"])
        for name in (*ANALYTIC, *KINKED):
            for case in CASES if name in ANALYTIC else KINKED_CASES:
                out.writerow([name, *case, *(nstr(x, 18) for x in pair(name, case))])
                stream.flush()


if __name__ == "__main__":
    main()
