"""The exact law of one layer's norm: X = sum of phi(g_i)² over n independent standard normal g_i.

For Gaussian weights, zero biases and phi with slopes a (z < 0) and b (z > 0), |h^l|² = |h^{l-1}|² s_l X_l with
independent X_l (Hanin and Nica 2020 for ReLU). Everything follows from

    M(t) = E exp(-t phi(g)²) = [(1 + 2a²t)^{-1/2} + (1 + 2b²t)^{-1/2}]/2:

    E sqrt X = (1/2 sqrt pi) ∫ (1 - M^n) t^{-3/2} dt,

and, with E ~ Exp(1) independent of X, T = E/X has P(T > t) = M(t)^n, so log X = log E - log T gives

    E log X = -gamma - E log T,      Var log X = Var log T - pi²/6.

(own derivation). In v = log t the integrands are smooth and the trapezoidal rule converges geometrically.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

_STEP = 1.0 / 16.0


@dataclass(frozen=True)
class NormFactor:
    """Moments of X.

    Attributes
    ----------
    mean : float
        E X.
    square_ratio : float
        E X² / (E X)² = 1 + c/n.
    root : float
        E sqrt X.
    log_mean, log_variance : float
        Mean and variance of log X given X > 0.
    dead : float
        P(X = 0): 2^-n for ReLU, 0 if no slope is 0.

    Examples
    --------
    >>> factor = norm_factor((0.0, 1.0), 100)
    >>> round(factor.square_ratio, 12), round(float(factor.log_mean - np.log(50.0)), 6)
    (1.05, -0.025421)
    """

    mean: float
    square_ratio: float
    root: float
    log_mean: float
    log_variance: float
    dead: float

    @property
    def log_root_ratio(self) -> float:
        """Logarithm of E sqrt X / sqrt E X, by which a layer lowers the next one's mean of |z|."""
        return float(np.log(self.root) - 0.5 * np.log(self.mean))


@lru_cache(maxsize=4096)
def norm_factor(slopes: tuple[float, float], n: int) -> NormFactor:
    """Return the moments of X for slopes (a, b), not both 0, and n units."""
    low, high = (abs(s) for s in slopes)
    scale = max(low, high)
    a, b = low / scale, high / scale
    second, fourth = 0.5 * (a**2 + b**2), 1.5 * (a**4 + b**4)
    dead = 0.5**n if min(a, b) == 0.0 else 0.0
    # X/n concentrates near `second`: centre the grid there, and reach far enough for one unit's tails.
    centre = -np.log(n * second)
    v = np.arange(-45.0, 42.0 + 80.0 / n, _STEP) + centre
    t = np.exp(v)
    log_m = np.where(
        t < 1.0,
        # 1 - M keeps its digits at small t, M itself at large t.
        np.log1p(
            0.5 * sum(np.expm1(-0.5 * np.log1p(2.0 * slope**2 * np.minimum(t, 1.0))) for slope in (a, b))
        ),
        np.log(0.5 * sum((1.0 + 2.0 * slope**2 * t) ** -0.5 for slope in (a, b))),
    )
    power = n * log_m
    # Beyond both ends the sum is geometric: 1 - M^n is n t E phi² on the left and 1 - P(X = 0) on the right.
    rest = np.exp(-0.5 * _STEP) / -np.expm1(-0.5 * _STEP)
    ends = n * second * np.exp(0.5 * v[0]) + (1.0 - dead) * np.exp(-0.5 * v[-1])
    root = _STEP * (float(np.sum(-np.expm1(power) * np.exp(-0.5 * v))) + rest * ends) / (2.0 * np.sqrt(np.pi))
    survival = (np.exp(power) - dead) / (1.0 - dead)
    w = v - centre
    # E w = ∫ (S - 1(w < 0)) dw and E w² = 2 ∫ w (S - 1(w < 0)) dw jump at 0; the logistic law has mean 0 and
    # variance pi²/3, so the smooth difference to its survival function takes the place of the jump.
    reference = 1.0 / (1.0 + np.exp(np.clip(w, -700.0, 700.0)))
    first = _STEP * float(np.sum(survival - reference))
    square = 2.0 * _STEP * float(np.sum(w * (survival - reference))) + np.pi**2 / 3.0
    log_mean = -np.euler_gamma - (first + centre)
    log_variance = square - first**2 - np.pi**2 / 6.0
    shift = 2.0 * np.log(scale)
    return NormFactor(
        n * second * scale**2,
        1.0 + (fourth / second**2 - 1.0) / n,
        root * scale,
        float(log_mean + shift),
        float(log_variance),
        dead,
    )
