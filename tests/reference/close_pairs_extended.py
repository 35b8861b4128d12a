"""Write close_pairs.csv: E (phi(u) - phi(v))² for large variances and correlations near 1, without varprop.

With u = s1 g and v = s2 (rho g + sqrt(1 - rho²) h), rho = 1 - eps, the double integral over independent standard
normal g, h is done in 80-bit floating point by the double-exponential rule nested in itself. Both lines are cut where
u, or v, crosses the places in `CUTS`, where the functions bend; steps are halved until two results agree to 12 digits
(10 for eps = 1e-16, where phi(u) - phi(v) has lost that many).

Run with ``python tests/reference/close_pairs_extended.py``; it takes a quarter of an hour on one core, and replaces the
table when it is whole.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

LONG = np.longdouble
ZERO, ONE = LONG(0), LONG(1)
PI = LONG("3.14159265358979323846264338327950288")
REACH = LONG(10)
SMOOTH = (-30, -10, -3, 0, 3, 10, 30)
RATIONAL = (-3000, -300, -30, -3, 0, 3, 30, 300, 3000)
FUNCTIONS = {  # name: (phi, where it bends)
    "tanh": (np.tanh, SMOOTH),
    "sigmoid": (lambda z: ONE / (ONE + np.exp(-np.clip(z, LONG(-4000), LONG(4000)))), SMOOTH),
    "softplus": (lambda z: np.maximum(z, ZERO) + np.log1p(np.exp(-abs(z))), SMOOTH),
    "silu": (lambda z: z / (ONE + np.exp(-np.clip(z, LONG(-4000), LONG(4000)))), SMOOTH),
    "arctan": (np.arctan, RATIONAL),
    "softsign": (lambda z: z / (ONE + abs(z)), RATIONAL),
    "gaussian": (lambda z: np.exp(-z * z / 2), SMOOTH),
    "elu": (lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, ZERO))), SMOOTH),
    "hardtanh": (lambda z: np.clip(z, -ONE, ONE), (-1, 1)),
    "relu6": (lambda z: np.clip(z, ZERO, 6 * ONE), (0, 6)),
    "hard_swish": (lambda z: z * np.clip(z / 6 + ONE / 2, ZERO, ONE), (-3, 3)),
    "squared_relu": (lambda z: np.maximum(z, ZERO) ** 2, (0,)),
}
CASES = [  # q1, q2, 1 - correlation
    (1.0, 1.0, 1e-16), (1.0, 1.0, 1e-4), (1.0, 1.3, 1e-3), (1e2, 1e2, 5e-3), (1.5e4, 1.5e4, 2.8e-5),
    (1.5e4, 1.2e4, 5e-3), (1e6, 1e6, 1e-16), (1e6, 1e6, 2.8e-5), (1e6, 1e6, 5e-3), (1e6, 1e6, 0.1), (1e4, 1e4, 1.9),
]  # fmt: skip


def line(cuts, h):
    """Double-exponential nodes and weights, density included, on the pieces of (-REACH, REACH) between the cuts."""
    inside = sorted({x for x in cuts if -REACH < x < REACH})
    t = np.arange(-int(3.6 / h), int(3.6 / h) + 1) * LONG(h)
    grow = np.exp(PI * np.sinh(t))
    share, rest = grow / (1 + grow), 1 / (1 + grow)
    nodes, weights = [], []
    for a, b in zip([-REACH, *inside], [*inside, REACH], strict=True):
        x = np.where(t < 0, a + (b - a) * share, b - (b - a) * rest)
        nodes.append(x)
        weights.append(h * (b - a) * PI * np.cosh(t) * share * rest * np.exp(-x * x / 2) / np.sqrt(2 * PI))
    return np.concatenate(nodes), np.concatenate(weights)


def squared_difference(phi, bends, q1, q2, eps, h):
    s1, s2, eps = np.sqrt(LONG(q1)), np.sqrt(LONG(q2)), LONG(eps)
    rho, root = 1 - eps, np.sqrt(eps * (2 - eps))
    cuts = [b / s1 for b in bends] + [b / (s2 * rho) for b in bends]
    smear = root / abs(rho)
    cuts += [b / (s2 * rho) + k * smear for b in bends for k in (-6, -2, 2, 6)]
    g, weights = line(cuts, h)
    total = ZERO
    for one, weight in zip(g, weights, strict=True):
        if weight < 1e-24:
            continue
        x = s2 * rho * one
        k, v = line([(b - x) / (s2 * root) for b in bends] + [ZERO], h)
        # the gap itself, so that nothing cancels before phi is taken
        z = s1 * one + ((s2 - s1) * one - s2 * eps * one + s2 * root * k)
        total += weight * (v * np.square(phi(z) - phi(np.array([s1 * one]))[0])).sum()
    return total


def converged(name, case):
    phi, bends = FUNCTIONS[name]
    digits = 10 if case[2] == 1e-16 else 12
    h, before = 0.25, None
    while True:
        after = squared_difference(phi, bends, *case, h)
        if before is not None and abs(after - before) <= LONG(10) ** -digits * abs(after):
            return after
        if h < 1 / 70:
            raise RuntimeError(f"{name} {case} does not converge: {before} {after}")
        before, h = after, h / 2


def main():
    path = Path(__file__).with_name("close_pairs.csv")
    part = path.with_suffix(".part")
    with part.open("w", newline="") as stream:
        out = csv.writer(stream, lineterminator="\n")
        out.writerow(["activation", "q1", "q2", "eps", "squared_difference"])
        for name in FUNCTIONS:
            for case in CASES:
                value = converged(name, case)
                out.writerow([name, *case, np.format_float_scientific(value, 15, unique=False)])
                stream.flush()
    part.replace(path)


if __name__ == "__main__":
    main()
