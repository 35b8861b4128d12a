"""Write activations_moments.csv: Gaussian moments of every activation, computed with mpmath alone.

Nothing of varprop is used: activations and derivatives are defined here anew, at 42 digits. The integrals over
(-inf, k_1), (k_1, k_2), …, cut at the kinks and at the mean, are done by the double-exponential rule, a method
that has nothing in common with Gauss-Legendre panels; its step is halved until all results stand still to 32
digits (relative to the integral of the absolute value; the error is then far smaller). Moments of sin and cos
are polynomials in exponentials and are written down instead.

Run with ``python tests/reference/activations_mpmath.py``; it takes some minutes.
"""

from __future__ import annotations

import csv
from pathlib import Path

from mpmath import cos, cosh, erf, erfc, exp, expm1, log1p, mp, mpf, nstr, pi, sin, sqrt, tanh

mp.dps = 42
FIELDS = [
    "mean",
    "second_moment",
    "variance",
    "derivative_mean",
    "derivative_second_moment",
    "fourth_moment",
    "z_phi_dphi",
]


def phi_cdf(z):
    return erfc(-z / sqrt(mpf(2))) / 2


def phi_pdf(z):
    return exp(-z * z / 2) / sqrt(2 * pi)


def sigma(z):
    return 1 / (1 + exp(-z))


def sigma_slope(z):
    return 1 / (2 * cosh(z / 2)) ** 2


def elu_like(scale, alpha, rate):
    scale, alpha, rate = mpf(scale), mpf(alpha), mpf(rate)
    return (
        lambda z: scale * (z if z > 0 else alpha * expm1(rate * z)),
        lambda z: scale * (1 if z > 0 else alpha * rate * exp(rate * z)),
        [0],
    )


def clip(z, low, high):
    return min(max(z, low), high)


def gelu_tanh_inner(z):
    return 2 * sqrt(2 / pi) * (z + mpf("0.044715") * z**3)


def gelu_tanh_slope(z):
    u = gelu_tanh_inner(z)
    return sigma(u) + z * 2 * sqrt(2 / pi) * (1 + 3 * mpf("0.044715") * z * z) * sigma_slope(u)


def mish_slope(z):
    t = log1p(exp(z))
    return tanh(t) + z * sigma(z) / cosh(t) ** 2


ZERO = mpf(0)
# name: (phi, phi', kinks); the constants of selu and 0.01, 0.2 are the float64 numbers themselves
ACTIVATIONS = {
    "linear": (lambda z: z, lambda z: mpf(1), []),
    "relu": (lambda z: max(z, ZERO), lambda z: mpf(z > 0), [0]),
    "leaky_relu": (lambda z: z if z > 0 else mpf(0.01) * z, lambda z: mpf(1) if z > 0 else mpf(0.01), [0]),
    "leaky_relu(slope=0.2)": (
        lambda z: z if z > 0 else mpf(0.2) * z,
        lambda z: mpf(1) if z > 0 else mpf(0.2),
        [0],
    ),
    "elu": elu_like(1, 1, 1),
    "elu(alpha=0.5)": elu_like(1, 0.5, 1),
    "selu": elu_like(1.0507009873554805, 1.6732632423543772, 1),
    "celu(alpha=2.0)": elu_like(1, 2, 0.5),
    "gelu": (lambda z: z * phi_cdf(z), lambda z: phi_cdf(z) + z * phi_pdf(z), []),
    "gelu_tanh": (lambda z: z * sigma(gelu_tanh_inner(z)), gelu_tanh_slope, []),
    "silu": (lambda z: z * sigma(z), lambda z: sigma(z) + z * sigma_slope(z), []),
    "mish": (lambda z: z * tanh(log1p(exp(z))), mish_slope, []),
    "softplus": (lambda z: log1p(exp(z)) if z < 200 else z + exp(-z), sigma, []),
    "softsign": (lambda z: z / (1 + abs(z)), lambda z: 1 / (1 + abs(z)) ** 2, [0]),
    "sigmoid": (sigma, sigma_slope, []),
    "tanh": (tanh, lambda z: 1 / cosh(z) ** 2, []),
    "erf": (erf, lambda z: 2 / sqrt(pi) * exp(-z * z), []),
    "arctan": (mp.atan, lambda z: 1 / (1 + z * z), []),
    "hardtanh": (lambda z: clip(z, mpf(-1), mpf(1)), lambda z: mpf(abs(z) < 1), [-1, 1]),
    "hard_sigmoid": (lambda z: clip(z / 6 + mpf(0.5), ZERO, mpf(1)), lambda z: mpf(abs(z) < 3) / 6, [-3, 3]),
    "relu6": (lambda z: clip(z, ZERO, mpf(6)), lambda z: mpf(0 < z < 6), [0, 6]),
    "hard_swish": (
        lambda z: z * clip(z / 6 + mpf(0.5), ZERO, mpf(1)),
        lambda z: ZERO if z <= -3 else (mpf(1) if z >= 3 else z / 3 + mpf(0.5)),
        [-3, 3],
    ),
    "step": (lambda z: mpf(z > 0), lambda z: ZERO, [0]),
    "sign": (lambda z: mpf(z > 0) - mpf(z < 0), lambda z: ZERO, [0]),
    "gaussian": (lambda z: exp(-z * z / 2), lambda z: -z * exp(-z * z / 2), []),
    "squared_relu": (lambda z: max(z, ZERO) ** 2, lambda z: 2 * max(z, ZERO), [0]),
}


def pieces(m, s, kinks):
    """Cut the line at kinks, at 0 and at the mean; what lies beyond 15 standard deviations is dropped."""
    low, high = m - 15 * s, m + 15 * s
    cuts = sorted({k for k in [mpf(k) for k in kinks] + [m, ZERO] if low < k < high})
    return list(zip([low, *cuts], [*cuts, high], strict=True))


def nodes(a, b, h, only_odd):
    """Return double-exponential (tanh-sinh) nodes and weights on (a, b) for step h.

    The distance from the nearer end is kept to relative precision: the mean or a kink sits there, and the
    integrand varies on every scale from there.
    """
    steps = int(mpf("4.3") / h)
    for k in range(-steps, steps + 1):
        if only_odd and k % 2 == 0:
            continue
        t = k * h
        grow = exp(pi * mp.sinh(t))
        share, rest = grow / (1 + grow), 1 / (1 + grow)
        x = a + (b - a) * share if t < 0 else b - (b - a) * rest
        yield x, (b - a) * pi * mp.cosh(t) * share * rest


def sums(phi, slope, m, q, a, b, h, only_odd, shift):
    """Return the sums of weight times integrand, and of their absolute values."""
    totals, sizes = [ZERO] * 8, [ZERO] * 8
    scale = 1 / sqrt(2 * pi * q)
    for x, w in nodes(a, b, h, only_odd):
        w *= exp(-((x - m) ** 2) / (2 * q)) * scale
        if w < mpf(10) ** -75:
            continue
        f, d = phi(x), slope(x)
        rise, square = f - shift, f * f
        for i, value in enumerate((f, square, rise, rise * rise, d, d * d, square * square, x * f * d)):
            totals[i] += w * value
            sizes[i] += w * abs(value)
    return totals, sizes


def integrate(phi, slope, m, q, a, b, shift):
    """Halve the step until nothing changes by more than 1e-32 of the integral of the absolute value."""
    h = mpf(1) / 8
    totals, sizes = sums(phi, slope, m, q, a, b, h, False, shift)
    before = [h * x for x in totals]
    while h > mpf(1) / 600:
        h /= 2
        more, larger = sums(phi, slope, m, q, a, b, h, True, shift)
        totals = [x + y for x, y in zip(totals, more, strict=True)]
        sizes = [x + y for x, y in zip(sizes, larger, strict=True)]
        after = [h * x for x in totals]
        if all(abs(x - y) <= mpf(10) ** -32 * h * z for x, y, z in zip(before, after, sizes, strict=True)):
            return after
        before = after
    raise RuntimeError(f"the integral over ({a}, {b}) at variance {q}, mean {m} does not converge")


def moments(name, q, m):
    phi, slope, kinks = ACTIVATIONS[name]
    shift = phi(m)
    parts = [integrate(phi, slope, m, q, a, b, shift) for a, b in pieces(m, sqrt(q), kinks)]
    mean, second, rise, squared, dmean, dsecond, fourth, crossed = (
        mp.fsum(column) for column in zip(*parts, strict=True)
    )
    return [mean, second, squared - rise * rise, dmean, dsecond, fourth, crossed]


def wave(name, q, m):
    """Return the moments of sin or cos from E e^{ikz} = e^{ikm - k² q/2}."""

    def c(k):
        return exp(-k * k * q / 2) * cos(k * m)

    def s(k):
        return exp(-k * k * q / 2) * sin(k * m)

    sign = -1 if name == "sin" else 1
    mean, other = (s(1), c(1)) if name == "sin" else (c(1), -s(1))
    second = (1 + sign * c(2)) / 2
    dsecond = (1 - sign * c(2)) / 2
    fourth = mpf(3) / 8 + sign * c(2) / 2 + c(4) / 8
    crossed = -sign * exp(-2 * q) * (m * sin(2 * m) + 2 * q * cos(2 * m)) / 2
    return [mean, second, second - mean**2, other, dsecond, fourth, crossed]


def main():
    variances = ["1e-6", "1e-4", "1e-2", "0.1", "1", "3", "10", "100", "1e4", "1e6"]
    points = [(q, "0") for q in variances]
    points += [("1e-4", "0.5"), ("0.25", "-2"), ("1", "0.5"), ("30", "-2")]
    path = Path(__file__).with_name("activations_moments.csv")
    with path.open("w", newline="") as stream:
        out = csv.writer(stream, lineterminator="\n")
        out.writerow(["activation", "q", "m", *FIELDS])
        for name in [*ACTIVATIONS, "sin", "cos"]:
            for q, m in points:
                # the numbers that a float64 holds, so that nothing is lost between the two sides
                arguments = mpf(float(q)), mpf(float(m))
                with mp.workdps(42 if name not in ("sin", "cos") else 90):
                    found = (wave if name in ("sin", "cos") else moments)(name, *arguments)
                out.writerow([name, q, m, *(nstr(+x, 32) for x in found)])
            stream.flush()


if __name__ == "__main__":
    main()
