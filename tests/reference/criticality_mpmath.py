"""Fixed points, edge-of-chaos points and depth scales, computed with mpmath alone.

Run ``python tests/reference/criticality_mpmath.py`` to write criticality.csv beside this script (about two
minutes). Nothing here imports varprop: activations, integrals and root finding are mpmath's.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Callable
from pathlib import Path

import mpmath as mp

mp.mp.dps = 30
Function = Callable[[mp.mpf], mp.mpf]

SELU_SCALE = mp.mpf("1.0507009873554804934193349852946")
SELU_ALPHA = mp.mpf("1.6732632423543772848170429916717")


def sigma(z: mp.mpf) -> mp.mpf:
    return 1 / (1 + mp.exp(-z))


PHI: dict[str, tuple[Function, Function]] = {
    "tanh": (mp.tanh, lambda z: mp.sech(z) ** 2),
    "erf": (mp.erf, lambda z: 2 / mp.sqrt(mp.pi) * mp.exp(-z * z)),
    "sigmoid": (sigma, lambda z: sigma(z) * sigma(-z)),
    "gelu": (lambda z: z * mp.ncdf(z), lambda z: mp.ncdf(z) + z * mp.npdf(z)),
    "silu": (lambda z: z * sigma(z), lambda z: sigma(z) * (1 + z * sigma(-z))),
    "elu": (
        lambda z: z if z > 0 else mp.expm1(z),
        lambda z: mp.mpf(1) if z > 0 else mp.exp(z),
    ),
    "selu": (
        lambda z: SELU_SCALE * (z if z > 0 else SELU_ALPHA * mp.expm1(z)),
        lambda z: SELU_SCALE * (mp.mpf(1) if z > 0 else SELU_ALPHA * mp.exp(z)),
    ),
    "arctan": (mp.atan, lambda z: 1 / (1 + z * z)),
}


def expect(f: Function, q: mp.mpf) -> mp.mpf:
    """E f(z), z ~ N(0, q): panels in z = 0, ±1/2, ±1, … and in units of the standard deviation."""
    s = mp.sqrt(q)
    edges = {mp.mpf(0)}
    for e in ("0.5", "1", "2", "3", "5", "8", "13"):
        edges |= {mp.mpf(e), mp.mpf(e) * s}
    points = sorted(e for e in edges if e <= 13 * s)
    total = mp.mpf(0)
    for a, b in itertools.pairwise(points):
        total += mp.quad(lambda z: (f(z) + f(-z)) * mp.npdf(z, 0, s), [a, b])
    return total


def second(name: str, q: mp.mpf) -> mp.mpf:
    return expect(lambda z: PHI[name][0](z) ** 2, q)


def chi(name: str, q: mp.mpf) -> mp.mpf:
    return expect(lambda z: PHI[name][1](z) ** 2, q)


def tilt(name: str, q: mp.mpf) -> mp.mpf:
    return expect(lambda z: z * PHI[name][0](z) * PHI[name][1](z), q) / q


def pair(f: Function, q: mp.mpf, c: mp.mpf) -> mp.mpf:
    """E f(u) f(v) at correlation c ≥ 0 by the trapezoidal rule, exponentially accurate for analytic f."""
    h, n = mp.mpf(1) / 8, 80
    nodes = [h * k for k in range(-n, n + 1)]
    weights = [mp.npdf(x) * h for x in nodes]
    s, shared, own = mp.sqrt(q), mp.sqrt(c), mp.sqrt(1 - c)
    total = mp.mpf(0)
    for x, w in zip(nodes, weights, strict=True):
        inner = mp.fsum(v * f(s * (shared * x + own * y)) for y, v in zip(nodes, weights, strict=True))
        total += w * inner**2
    return total


def fixed_point(name: str, sw2: str, sb2: str, guess: str) -> dict[str, str]:
    w, b = mp.mpf(sw2), mp.mpf(sb2)
    q = mp.findroot(lambda x: (b + w * second(name, x)) / x - 1, mp.mpf(guess))
    row = {
        "kind": "fixed_point",
        "activation": name,
        "weight_variance": sw2,
        "bias_variance": sb2,
        "q_star": q,
        "length_slope": w * tilt(name, q),
        "chi_1": w * chi(name, q),
    }
    if row["chi_1"] > 1 and name in ("tanh", "erf"):
        mp.mp.dps = 20
        c = mp.mpf(0)  # odd activations without bias forget their inputs altogether
        if b > 0:
            c = mp.findroot(
                lambda x: (b + w * pair(PHI[name][0], q, x)) / q - x,
                (mp.mpf("0.2"), mp.mpf("0.7")),
                solver="anderson",
            )
        row |= {"c_star": c, "correlation_slope": w * pair(PHI[name][1], q, c)}
        mp.mp.dps = 30
    return row


def edge(name: str, sb2: str, guess: str) -> dict[str, object]:
    """Find the point of the edge of chaos at bias variance `sb2` near second moment `guess`."""
    b = mp.mpf(sb2)
    q = mp.findroot(lambda x: (x - second(name, x) / chi(name, x) - b) / x, mp.mpf(guess))
    w = 1 / chi(name, q)
    return {
        "kind": "edge",
        "activation": name,
        "weight_variance": w,
        "bias_variance": sb2,
        "q_star": q,
        "length_slope": w * tilt(name, q),
        "chi_1": 1,
    }


def half_stable(name: str, guess: str) -> dict[str, object]:
    """Find the point where chi_1 = F' = 1."""
    q = mp.findroot(lambda x: tilt(name, x) / chi(name, x) - 1, mp.mpf(guess))
    w = 1 / chi(name, q)
    return {
        "kind": "half_stable",
        "activation": name,
        "weight_variance": w,
        "bias_variance": q - w * second(name, q),
        "q_star": q,
        "length_slope": 1,
        "chi_1": 1,
    }


def main() -> None:
    rows = [
        fixed_point("tanh", "2.5", "0.05", "1.06"),
        fixed_point("tanh", "3.58", "0", "1.6"),
        fixed_point("tanh", "1.2", "0.3", "0.8"),
        fixed_point("erf", "2", "0.1", "0.9"),
        fixed_point("sigmoid", "4", "0.2", "1.5"),
        fixed_point("selu", "1", "0", "1.0"),
        fixed_point("elu", "1.3", "0.2", "1.1"),
        fixed_point("gelu", "1.5", "0.2", "0.5"),
        fixed_point("arctan", "2", "0.1", "0.9"),
        edge("tanh", "0.05", "0.5"),
        edge("tanh", "0.04", "0.5"),
        edge("elu", "0.04", "0.5"),
        edge("gelu", "0.04", "0.5"),
        edge("silu", "0.04", "0.5"),
        edge("sigmoid", "0", "45"),
        half_stable("gelu", "3.5"),
        half_stable("silu", "14"),
    ]
    fields = [
        "kind",
        "activation",
        "weight_variance",
        "bias_variance",
        "q_star",
        "length_slope",
        "chi_1",
        "c_star",
        "correlation_slope",
    ]
    with Path(__file__).with_name("criticality.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, fields, restval="")
        writer.writeheader()
        for row in rows:
            writer.writerow({k: mp.nstr(v, 17) if isinstance(v, mp.mpf) else v for k, v in row.items()})


if __name__ == "__main__":
    main()
