"""The spectrum of the input-output Jacobian J = prod_l D_l W_l at initialization.

Mean and variance of the squared singular values (infinite width for any activation, exact at finite width
for linear and leaky-ReLU networks), the upper edge, and the density by the S-transform of free probability.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from varprop._validation import check_integer, check_one_of, check_real
from varprop.activations import Activation

if TYPE_CHECKING:
    pass

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]
Ensemble = Literal["gaussian", "orthogonal"]

_ENSEMBLES = ("gaussian", "orthogonal")
_NODES = 128
_VARIANCES, _SECOND_MOMENTS, _DEEPEST = (1e-30, 1e30), (1e-100, 1e100), 100_000


@dataclass(frozen=True)
class Jacobian:
    """J of `depth` equal layers, each phi'(z) ∘ W with z ~ N(0, q).

    Parameters
    ----------
    activation : Activation
    weight_variance : float
        sigma_w² (gain² for orthogonal weights), from 1e-30 to 1e30.
    depth : int
        Number of factors D W, from 1 to 100,000.
    q : float
        Second moment of the pre-activations in every layer (a fixed point), from 1e-100 to 1e100.
    ensemble : {"gaussian", "orthogonal"}
        Law of the square weight matrices.
    """

    activation: Activation
    weight_variance: float
    depth: int
    q: float = 1.0
    ensemble: Ensemble = "gaussian"

    def __post_init__(self) -> None:
        for name, allowed in (("weight_variance", _VARIANCES), ("q", _SECOND_MOMENTS)):
            value = check_real(name, getattr(self, name), minimum=allowed[0], maximum=allowed[1])
            object.__setattr__(self, name, value)
        object.__setattr__(self, "depth", check_integer("depth", self.depth, minimum=1, maximum=_DEEPEST))
        check_one_of("ensemble", self.ensemble, _ENSEMBLES)

    def derivative_law(self) -> tuple[Array, Array]:
        """Return atoms d = phi'(z)² and their probabilities (exact for piecewise-linear activations)."""
        if self.activation.slopes is not None:
            low, high = self.activation.slopes
            return (
                (np.array([high**2]), np.ones(1))
                if low == high
                else (
                    np.array([low**2, high**2]),
                    np.array([0.5, 0.5]),
                )
            )
        # Probability-uniform Gauss-Legendre nodes: the transform needs E f(d) for smooth f only.
        from scipy.special import ndtri

        x, w = np.polynomial.legendre.leggauss(_NODES)
        z = math.sqrt(self.q) * ndtri((x + 1) / 2)
        return np.asarray(self.activation.derivative(z), dtype=float) ** 2, w / 2

    def moments(self) -> tuple[float, float]:
        """Mean and variance of the squared singular values at infinite width.

        m_1 = chi_1^L and Var = m_1² L (mu_2/mu_1² - 1 - s_1), mu_k = E phi'^{2k}, s_1 = -1 (Gaussian) or 0
        (orthogonal): Pennington, Schoenholz, Ganguli, *Resurrecting the sigmoid in deep learning through
        dynamical isometry* (2017), eqs. 17-18.
        """
        with np.errstate(over="ignore", under="ignore"):
            mean = np.float64(self.weight_variance * self._slope_square()) ** self.depth
            # The square first would leave the range where the product does not.
            return float(mean), float(mean * (mean * self.relative_variance())) if mean else 0.0

    def relative_variance(self) -> float:
        """Variance over squared mean of the squared singular values, NaN where phi' is 0 almost everywhere."""
        d, p = self.derivative_law()
        mu1 = self._slope_square()
        if mu1 == 0.0:
            return math.nan
        return self.depth * (float(p @ (d / mu1) ** 2) - 1.0 + (1.0 if self.ensemble == "gaussian" else 0.0))

    def _slope_square(self) -> float:
        moments = self.activation.moments(self.q, fields=("derivative_second_moment",))
        return float(moments.derivative_second_moment)

    def _map(self, w: Complex | Array, d: Array, p: Array) -> tuple[Complex, Complex]:
        """Return (log zeta, m) as functions of w, the argument of the derivative's own transform.

        With m = E[d / (w - d)], S_D = (1 + m)/(m w), S_W = 1/(sigma_w² (1 + m)) for Gaussian weights and
        1/sigma_w² for orthogonal ones; zeta = (1 + m)/(m S_D^L S_W^L).
        """
        m = (p * d / (w[..., None] - d)).sum(-1)
        base = self.weight_variance * m * w
        if self.ensemble == "orthogonal":
            base = base / (1 + m)
        return np.log((1 + m) / m) + self.depth * np.log(base), m

    def upper_edge(self) -> float:
        """Largest squared singular value at infinite width: the least zeta over real w above d's support.

        Examples
        --------
        >>> from varprop.activations import activation
        >>> round(Jacobian(activation("relu"), 2.0, 4).upper_edge(), 4)
        21.8582
        """
        d, p = self.derivative_law()
        top = float(d.max())
        if top == 0.0:
            return 0.0

        def height(x: float) -> float:
            return float(self._map(np.array([top * (1 + math.exp(x))]), d, p)[0][0])

        if self.ensemble == "orthogonal" and d.size == 1:
            with np.errstate(over="ignore", under="ignore"):  # J is a scaled rotation
                return float(np.float64(self.weight_variance * top) ** self.depth)
        coarse = np.linspace(-14, 14, 141)
        best = coarse[int(np.argmin([height(x) for x in coarse]))]
        result = minimize_scalar(
            height, bounds=(best - 0.3, best + 0.3), method="bounded", options={"xatol": 1e-9}
        )
        with np.errstate(over="ignore", under="ignore"):
            return float(np.exp(result.fun))

    def density(self, x: Array) -> Array:
        """Density of the squared singular values (without their atom at 0) at the points `x` > 0.

        zeta(w) = x + i eta is followed from far above the axis, where w is known, down to it by Newton's
        method; then rho = -Im[(1 + m)/zeta]/pi.
        """
        d, p = self.derivative_law()
        x = np.asarray(x, dtype=float)
        mean, _ = self.moments()
        mu1 = float(p @ d)
        height = 1e3 * max(self.upper_edge(), float(x.max()))
        zeta = x + 1j * height
        w: Complex = np.asarray(mu1 * zeta / mean)
        for t in np.linspace(0, 1, 160):
            zeta = x + 1j * height ** (1 - t) * (1e-7 * x) ** t
            for _ in range(3):
                log_value, m = self._map(w, d, p)
                slope_m = -(p * d / (w[..., None] - d) ** 2).sum(-1)
                # d log zeta / dw
                log_slope = slope_m / (1 + m) - slope_m / m + self.depth * (slope_m / m + 1 / w)
                if self.ensemble == "orthogonal":
                    log_slope = log_slope - self.depth * slope_m / (1 + m)
                gap = log_value - np.log(zeta)
                # Logarithms agree up to turns of 2 pi i.
                gap -= 2j * math.pi * np.round(gap.imag / (2 * math.pi))
                step = gap / log_slope
                # A step longer than w itself would leave the branch.
                w = np.asarray(w - step / np.maximum(1.0, 2 * np.abs(step / w)))
        _, m = self._map(w, d, p)
        return np.maximum(-((1 + m) / zeta).imag / math.pi, 0.0)

    def atom_at_zero(self) -> float:
        """Share of singular values that are exactly 0 at infinite width (units whose derivative is 0)."""
        d, p = self.derivative_law()
        return float(p[d == 0].sum())
