"""Write activations_pairs.csv: E phi(u) phi(v) and E phi'(u) phi'(v), without varprop.

With u = s1 g and v = (c/s1) g + sigma h the
double integral over independent standard normal g, h is done

- for analytic activations by the trapezoidal rule on the plane, which converges exponentially there, in mpmath
  with the definitions of activations_mpmath.py;
- for the others by the double-exponential rule nested in itself, the inner line cut at the kinks of v, the outer
  one at the kinks of u and around their images, in 80-bit floating point (mpmath would take hours).

Steps are halved until two results agree to 15 (14) digits.

Run with ``python tests/reference/activations_pairs_mpmath.py``; it takes some minutes.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
from mpmath import exp, mp, mpf, nstr, pi, sqrt

sys.path.insert(0, str(Path(__file__).parent))
from activations_mpmath import ACTIVATIONS

mp.dps = 26
REACH = mpf(11)
ANALYTIC = ("tanh", "sigmoid", "silu", "mish", "softplus", "gelu", "gelu_tanh", "erf", "arctan", "gaussian")
CASES = [  # variances and covariance, as float64 numbers; correlations 0.5, -0.6, 0.849, 0.99, 0.707
    (1.0, 1.0, 0.5),
    (1.0, 1.0, -0.6),
    (0.25, 2.0, 0.6),
    (1.5, 1.5, 1.485),
    (8.0, 4.0, 4.0),
]


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


LONG = np.longdouble
ZERO, ONE = LONG(0), LONG(1)
SELU, ALPHA = LONG(1.0507009873554805), LONG(1.6732632423543772)
# name: (phi, phi', kinks), on arrays of 80-bit numbers
KINKED = {
    "relu": (lambda z: np.maximum(z, ZERO), lambda z: (z > 0) * ONE, [0]),
    "leaky_relu(slope=0.2)": (
        lambda z: np.where(z > 0, z, LONG(0.2) * z),
        lambda z: np.where(z > 0, ONE, LONG(0.2)),
        [0],
    ),
    "squared_relu": (lambda z: np.maximum(z, ZERO) ** 2, lambda z: 2 * np.maximum(z, ZERO), [0]),
    "hardtanh": (lambda z: np.clip(z, -ONE, ONE), lambda z: (abs(z) < 1) * ONE, [-1, 1]),
    "relu6": (lambda z: np.clip(z, ZERO, 6 * ONE), lambda z: ((z > 0) & (z < 6)) * ONE, [0, 6]),
    "hard_swish": (
        lambda z: z * np.clip(z / 6 + ONE / 2, ZERO, ONE),
        lambda z: np.where(z <= -3, ZERO, np.where(z >= 3, ONE, z / 3 + ONE / 2)),
        [-3, 3],
    ),
    "selu": (
        lambda z: SELU * np.where(z > 0, z, ALPHA * np.expm1(np.minimum(z, ZERO))),
        lambda z: SELU * np.where(z > 0, ONE, ALPHA * np.exp(np.minimum(z, ZERO))),
        [0],
    ),
    "softsign": (lambda z: z / (1 + abs(z)), lambda z: 1 / (1 + abs(z)) ** 2, [0]),
}


def line(cuts, h):
    """Return double-exponential nodes and weights on the pieces of (-REACH, REACH) between the cuts."""
    reach = LONG(11)
    cuts = sorted({x for x in cuts if -reach < x < reach})
    t = np.arange(-int(3.6 / h), int(3.6 / h) + 1) * LONG(h)
    grow = np.exp(LONG(pi_long) * np.sinh(t))
    share, rest = grow / (1 + grow), 1 / (1 + grow)
    nodes, weights = [], []
    for a, b in zip([-reach, *cuts], [*cuts, reach], strict=True):
        x = np.where(t < 0, a + (b - a) * share, b - (b - a) * rest)
        nodes.append(x)
        weights.append(h * (b - a) * pi_long * np.cosh(t) * share * rest * np.exp(-x * x / 2) / root_two_pi)
    return np.concatenate(nodes), np.concatenate(weights)


pi_long = LONG("3.14159265358979323846264338327950288")
root_two_pi = np.sqrt(2 * pi_long)


def nested(phi, slope, kinks, q1, q2, c, h):
    q1, q2, c = LONG(q1), LONG(q2), LONG(c)
    s1 = np.sqrt(q1)
    sigma = np.sqrt(q2 - c * c / q1)
    spread = sigma * s1 / abs(c)
    cuts = [k / s1 for k in kinks]
    cuts += [k * s1 / c + d * spread for k in kinks for d in (-6, -3, 0, 3, 6)]
    g, w = line([*cuts, ZERO], h)
    totals = [ZERO, ZERO]
    for one, weight in zip(g, w, strict=True):
        if weight < 1e-25:
            continue
        x = c / s1 * one
        k, v = line([*((e - x) / sigma for e in kinks), ZERO], h)
        z = x + sigma * k
        u = np.array([s1 * one])
        totals[0] += weight * phi(u)[0] * (v * phi(z)).sum()
        totals[1] += weight * slope(u)[0] * (v * slope(z)).sum()
    return totals


def converged(rule, h, digits):
    before = rule(h)
    while True:
        h /= 2
        after = rule(h)
        if all(abs(x - y) <= 10**-digits * (abs(y) + 0.01) for x, y in zip(before, after, strict=True)):
            return after
        if h < 1 / 130:
            raise RuntimeError("does not converge")
        before = after


def pair(name, case):
    """Return both moments as text; the step before the last agreed, so the last is far better than that."""
    if name in ANALYTIC:
        phi, slope, _ = ACTIVATIONS[name]
        q1, q2, c = map(mpf, case)
        found = converged(lambda h: trapezoid(phi, slope, q1, q2, c, h), mpf(1) / 3, 15)
        return [nstr(x, 18) for x in found]
    phi, slope, kinks = KINKED[name]
    found = converged(lambda h: nested(phi, slope, kinks, *case, h), 1 / 6, 14)
    return [np.format_float_positional(x, 18, unique=False, fractional=False) for x in found]


def main():
    path = Path(__file__).with_name("activations_pairs.csv")
    with path.open("w", newline="") as stream:
        out = csv.writer(stream, lineterminator="\n")
        out.writerow(["activation", "q1", "q2", "covariance", "product", "derivative_product"])
        for name in (*ANALYTIC, *KINKED):
            for case in CASES:
                out.writerow([name, *case, *pair(name, case)])
                stream.flush()


if __name__ == "__main__":
    main()
