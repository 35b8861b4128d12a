"""Predictions for a neuron, for heads, norms and small networks, computed with mpmath alone.

Run ``python tests/reference/analytic_mpmath.py`` to write analytic.csv beside this script (about five minutes).
Nothing here imports varprop: the recursions are written out again, the integrals are mpmath's.
Columns: ``kind`` (which test reads it), ``name`` (which case), ``layer``, ``quantity``, ``value``.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import mpmath as mp

mp.mp.dps = 25
Function = Callable[[mp.mpf], mp.mpf]
Row = tuple[str, str, int, str, mp.mpf]
ZERO = mp.mpf(0)


def sigma(z: mp.mpf) -> mp.mpf:
    return 1 / (1 + mp.exp(-z))


def expect(f: Function, q: mp.mpf, m: mp.mpf = ZERO) -> mp.mpf:
    """E f(z), z ~ N(m, q), on panels of both scales around the mean and around 0."""
    s = mp.sqrt(q)
    edges = {mp.mpf(0), m}
    for e in ("0.5", "1", "2", "3.5", "6", "10", "14"):
        x = mp.mpf(e)
        edges |= {x, -x, m + x * s, m - x * s}
    points = sorted(e for e in edges if abs(e - m) <= 14 * s)
    return mp.fsum(mp.quad(lambda z: f(z) * mp.npdf(z, m, s), [a, b]) for a, b in itertools.pairwise(points))


def neuron() -> Iterator[Row]:
    """A sigmoid neuron on 1000 inputs of which 500 are 1: Nielsen, *Neural networks and deep learning*, ch. 3."""
    for name, q in (("standard", mp.mpf(501)), ("scaled", mp.mpf("1.5"))):
        yield "neuron", name, 1, "preactivation_variance", q
        tail = mp.log(mp.mpf("0.99") / mp.mpf("0.01"))
        yield "neuron", name, 1, "one_percent_tails", mp.erfc(tail / mp.sqrt(2 * q))
        yield "neuron", name, 1, "activation_mean", mp.mpf(1) / 2
        yield "neuron", name, 1, "activation_second_moment", expect(lambda z: sigma(z) ** 2, q)
        yield (
            "neuron", name, 1, "derivative_second_moment",
            expect(lambda z: (sigma(z) * sigma(-z)) ** 2, q),
        )  # fmt: skip


def kurtosis() -> Iterator[Row]:
    """Excess kurtosis of z = sum w_i x_i + b from fourth moments, x = (1, 2, 3, 0.5), s_b = 1/4."""
    x = [mp.mpf(1), mp.mpf(2), mp.mpf(3), mp.mpf("0.5")]
    c = mp.mpf(2)
    density = lambda w: mp.npdf(w) / mp.erf(c / mp.sqrt(2))  # noqa: E731
    second, fourth = (mp.quad(lambda w, k=k: w**k * density(w), [-c, 0, c]) for k in (2, 4))
    excess = {"uniform": mp.mpf(-6) / 5, "truncated": fourth / second**2 - 3, "rademacher": mp.mpf(-2)}
    for name, kappa in excess.items():
        for biased in (0, 1):
            bias = mp.mpf(biased) / 4
            total = mp.fsum(v * v for v in x) / 10 + bias
            cumulant = kappa * mp.fsum(v**4 for v in x) / 100
            yield "kurtosis", f"{name}-{biased}", 1, "kurtosis", cumulant / total**2


def heads() -> Iterator[Row]:
    """Gradient and loss of the heads on logits N(m, q)."""
    for q in (mp.mpf("0.01"), mp.mpf(1), mp.mpf(30)):
        name = f"q={mp.nstr(q)}"
        for y in (0, 1):
            yield "bce", f"{name},y={y}", 1, "gradient", expect(lambda z, y=y: (sigma(z) - y) ** 2, q)
            yield (
                "bce", f"{name},y={y}", 1, "loss",
                expect(lambda z, y=y: mp.log1p(mp.exp(z)) - y * z if z < 50 else z - y * z, q),
            )  # fmt: skip
        # Two classes depend on the difference of the logits alone, N(0, 2q).
        yield "softmax", f"{name},K=2", 1, "gradient", expect(lambda d: sigma(d) ** 2, 2 * q)
        loss = expect(lambda d: mp.log1p(mp.exp(d)) if d < 50 else d, 2 * q)
        yield "softmax", f"{name},K=2", 1, "loss", loss
    for q in (mp.mpf("0.25"), mp.mpf(4)):
        # K = 3 by two nested integrals over the other logits relative to the first.
        yield from softmax_three(q)


def softmax_three(q: mp.mpf) -> Iterator[Row]:
    s, old = mp.sqrt(q), mp.mp.dps
    mp.mp.dps = 15
    edges = [k * s for k in (-9, -4, -2, 0, 2, 4, 9)]

    def inner(f: Callable[[mp.mpf, mp.mpf, mp.mpf], mp.mpf]) -> mp.mpf:
        # Differences a = z_2 - z_1, b = z_3 - z_1 have variance 2q and covariance q.
        def over_b(a: mp.mpf) -> mp.mpf:
            spread = mp.sqrt(mp.mpf(3) / 2) * s
            nodes = [a / 2 + k * spread for k in (-8, -3, 0, 3, 8)]
            return mp.quad(lambda b: f(mp.mpf(0), a, b) * mp.npdf(b, a / 2, spread), nodes)

        root = mp.sqrt(2) * s
        return mp.quad(lambda a: over_b(a) * mp.npdf(a, 0, root), [mp.sqrt(2) * e for e in edges])

    def parts(*z: mp.mpf) -> list[mp.mpf]:
        top = max(z)
        e = [mp.exp(v - top) for v in z]
        return [v / mp.fsum(e) for v in e]

    def loss(*z: mp.mpf) -> mp.mpf:
        top = max(z)
        return top + mp.log(mp.fsum(mp.exp(v - top) for v in z))

    name = f"q={mp.nstr(q)},K=3"
    squares = inner(lambda *z: mp.fsum(p * p for p in parts(*z)))
    yield "softmax", name, 1, "gradient", (1 - mp.mpf(2) / 3 + squares) / 3
    yield "softmax", name, 1, "loss", inner(loss)
    mp.mp.dps = old


PHI: dict[str, tuple[Function, Function]] = {
    "tanh": (mp.tanh, lambda z: mp.sech(z) ** 2),
    "gelu": (lambda z: z * mp.ncdf(z), lambda z: mp.ncdf(z) + z * mp.npdf(z)),
    "sigmoid": (sigma, lambda z: sigma(z) * sigma(-z)),
    "relu": (lambda z: z if z > 0 else mp.mpf(0), lambda z: mp.mpf(1) if z > 0 else mp.mpf(0)),
}
NETWORKS = {
    # name: activation, widths from the input on, weight variance times fan_in, bias mean, bias variance
    "tanh-wide-narrow": ("tanh", (20, 60, 30, 50, 10), mp.mpf(2), mp.mpf(0), mp.mpf("0.09")),
    "gelu-constant-bias": ("gelu", (16, 40, 80, 5), mp.mpf("1.5"), mp.mpf("0.2"), mp.mpf(0)),
    "sigmoid-large": ("sigmoid", (25, 100, 100, 1), mp.mpf(50), mp.mpf(0), mp.mpf(1)),
    "relu-shifted": ("relu", (10, 30, 20, 4), mp.mpf(2), mp.mpf("-0.5"), mp.mpf("0.25")),
}
"""Input of all: x_j = 1 + j/10, j = 0, 1, …; the last layer is linear; unit head."""


def networks() -> Iterator[Row]:
    for name, (phi_name, widths, sw2, shift, sb2) in NETWORKS.items():
        phi, slope = PHI[phi_name]
        x = [1 + mp.mpf(j) / 10 for j in range(widths[0])]
        arriving = mp.fsum(v * v for v in x) / widths[0]
        squares, slopes = [arriving], []
        for layer, _ in enumerate(widths[1:], start=1):
            v = sw2 * squares[-1] + sb2
            last = layer == len(widths) - 1
            yield "network", name, layer, "preactivation_variance", v
            yield "network", name, layer, "preactivation_second_moment", v + shift**2
            f = (lambda z: z) if last else phi
            d = (lambda z: mp.mpf(1)) if last else slope
            mean, square = expect(f, v, shift), expect(lambda z, f=f: f(z) ** 2, v, shift)
            turned = expect(lambda z, d=d: d(z) ** 2, v, shift)
            yield "network", name, layer, "activation_mean", mean
            yield "network", name, layer, "activation_second_moment", square
            yield "network", name, layer, "derivative_second_moment", turned
            squares.append(square)
            slopes.append(turned)
        p = mp.mpf(1)
        for layer in range(len(widths) - 1, 0, -1):
            s = sw2 / widths[layer - 1]
            yield "network", name, layer, "gradient_preactivation", p
            yield "network", name, layer, "gradient_weight", p * squares[layer - 1]
            yield "network", name, layer, "gradient_input", p * widths[layer] * s
            if layer > 1:
                p = p * widths[layer] * s * slopes[layer - 2]


def norms() -> Iterator[Row]:
    """Norm factors X of ReLU, leaky ReLU and linear layers: sums over the number of active units."""
    for n in (1, 2, 8, 100):
        for a in (mp.mpf(0), mp.mpf(1)):
            counts = (
                [(k, mp.binomial(n, k) / mp.mpf(2) ** n) for k in range(n + 1)]
                if a == 0
                else [(n, mp.mpf(1))]
            )
            alive = [(k, p) for k, p in counts if k > 0]
            total = mp.fsum(p for _, p in alive)
            mean = mp.fsum(p * (mp.log(2) + mp.digamma(mp.mpf(k) / 2)) for k, p in alive) / total
            square = mp.fsum(
                p * (mp.psi(1, mp.mpf(k) / 2) + (mp.log(2) + mp.digamma(mp.mpf(k) / 2) - mean) ** 2)
                for k, p in alive
            )
            root = mp.fsum(
                p * mp.sqrt(2) * mp.gamma(mp.mpf(k + 1) / 2) / mp.gamma(mp.mpf(k) / 2) for k, p in alive
            )
            name = f"a={mp.nstr(a)},n={n}"
            yield "norm", name, 1, "log_mean", mean
            yield "norm", name, 1, "log_variance", square / total
            yield "norm", name, 1, "root", root
    # Leaky: n = 2, a = 1/2, by integrals over the plane in polar form: X = r² (a² or 1 by the side of each axis).
    a = mp.mpf(1) / 2
    radial = {
        "log_mean": lambda u: mp.log(u),
        "log_square": lambda u: mp.log(u) ** 2,
    }
    for name, part in radial.items():

        def angle(t: mp.mpf, sx: mp.mpf, sy: mp.mpf, part: Function = part) -> mp.mpf:
            weight = sx**2 * mp.cos(t) ** 2 + sy**2 * mp.sin(t) ** 2
            return mp.quad(
                lambda u: part(u * weight) * mp.exp(-u / 2) / 2,
                [0, mp.mpf("1e-6"), mp.mpf("0.1"), 2, 10, 60, 120],
            )

        value = mp.fsum(
            mp.quad(lambda t, sx=sx, sy=sy: angle(t, sx, sy), [0, mp.pi / 4, mp.pi / 2]) * 2 / mp.pi / 4
            for sx in (a, mp.mpf(1))
            for sy in (a, mp.mpf(1))
        )
        yield "leaky", "a=0.5,n=2", 1, name, value


def pairs() -> Iterator[Row]:
    """Two layers of tanh on two inputs: covariance by nested integrals."""
    old, mp.mp.dps = mp.mp.dps, 15
    q1, q2, c = mp.mpf("1.2"), mp.mpf("0.8"), mp.mpf("0.7")
    rest = mp.sqrt(q2 - c * c / q1)
    edges = [-9, -4, -2, 0, 2, 4, 9]

    def product(f: Function) -> mp.mpf:
        def inner(u: mp.mpf) -> mp.mpf:
            centre = c / q1 * u
            return mp.quad(lambda v: f(v) * mp.npdf(v, centre, rest), [centre + k * rest for k in edges])

        return mp.quad(
            lambda u: f(u) * inner(u) * mp.npdf(u, 0, mp.sqrt(q1)), [k * mp.sqrt(q1) for k in edges]
        )

    yield "pair", "tanh", 1, "product", product(mp.tanh)
    yield "pair", "tanh", 1, "slopes", product(lambda z: mp.sech(z) ** 2)
    mp.mp.dps = old


def main() -> None:
    target = Path(__file__).with_name("analytic.csv")
    with target.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["kind", "name", "layer", "quantity", "value"])
        for part in (neuron, kurtosis, heads, networks, norms, pairs):
            for kind, name, layer, quantity, value in part():
                writer.writerow([kind, name, layer, quantity, mp.nstr(value, 17)])


if __name__ == "__main__":
    main()
