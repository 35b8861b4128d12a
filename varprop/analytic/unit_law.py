"""The law of one pre-activation: a Gaussian part, and a bias that need not be Gaussian.

Given the layer below, a pre-activation is a weighted sum of many terms plus one bias. The sum is Gaussian (exactly
for Gaussian weights, in the limit of many inputs otherwise); the bias is one number and keeps its own law. So a
unit follows a mixture of Gaussians: one component for a Gaussian, constant or zero bias, several for any other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from varprop.initializers import Law

Array = NDArray[np.float64]


@dataclass(frozen=True)
class BiasMixture:
    """A bias as a mixture of Gaussians N(offsets, extra) about its mean, shape (K,) each.

    Attributes
    ----------
    offsets : ndarray
        Component means, relative to the mean of the bias.
    extra : ndarray
        Component variances.
    weights : ndarray
        Component probabilities; they sum to 1.
    """

    offsets: Array
    extra: Array
    weights: Array

    @property
    def single(self) -> bool:
        """Whether it is one Gaussian."""
        return self.offsets.size == 1


PANELS = 20
"""Panels over the range of a bias that is wide beside what is added to it."""


def bias_mixture(
    law: Law,
    spread: float,
    kinks: Iterable[float] = (),
    centres: Iterable[float] = (),
    panels: int = PANELS,
) -> BiasMixture:
    """Write a bias law as a mixture of Gaussians.

    Parameters
    ----------
    law : Law
        Of one bias.
    spread : float
        Standard deviation of what is added to it. Averages over the bias are smooth on that scale, which
        decides how many nodes a law with a density needs.
    kinks : iterable of float
        Biases at which averages are not smooth if `spread` is small; panels end there and within some `spread`.
    centres : iterable of float
        Biases about which an activation changes on its own scale, of order 1; panels of a wide law grow from there.
    panels : int
        How many even panels a law gets that is wide beside `spread`.

    Returns
    -------
    BiasMixture
        One component for deterministic and normal laws; atoms for two-valued ones; Gauss-Legendre nodes
        weighted by the density for bounded ones.
    """
    if law.deterministic:
        return _mixture([0.0], [0.0], [1.0])
    if law.gaussian:
        return _mixture([0.0], [law.variance], [1.0])
    if law.family == "rademacher":
        return _mixture([-law["std"], law["std"]], [0.0, 0.0], [0.5, 0.5])
    if law.family == "sparse":
        return _mixture([0.0, 0.0], [0.0, law["std"] ** 2], [law["sparsity"], 1.0 - law["sparsity"]])
    if law.family in ("uniform", "truncated_normal"):
        low, high = law["low"], law["high"]
        if law.family == "truncated_normal":
            low, high = (
                max(low, law["location"] - 9 * law["scale"]),
                min(high, law["location"] + 9 * law["scale"]),
            )
        nodes, weights = _legendre(low, high, spread, kinks, centres, panels)
        if law.family == "truncated_normal":
            weights = weights * np.exp(-0.5 * ((nodes - law["location"]) / law["scale"]) ** 2)
        return _mixture(nodes - law.mean, np.zeros_like(nodes), weights / weights.sum())
    # A law this table does not know keeps its mean and variance.
    return _mixture([0.0], [law.variance], [1.0])


def mixture_is_exact(law: Law) -> bool:
    """Whether `bias_mixture` represents `law` itself rather than a Gaussian of its mean and variance."""
    known = ("rademacher", "sparse", "uniform", "truncated_normal")
    return law.deterministic or law.gaussian or law.family in known


_AROUND = np.array([-9.0, -6.0, -4.0, -2.0, 0.0, 2.0, 4.0, 6.0, 9.0])
"""Where panels end around a kink that is smoothed, in units of the smoothing."""


_ABOUT = np.concatenate([-(2.0 ** np.arange(21.0, -3.0, -0.5)), [0.0], 2.0 ** np.arange(-2.5, 21.5, 0.5)])
"""Where panels end about a centre: they grow with the distance from it, as activations flatten."""


def _legendre(
    low: float, high: float, spread: float, kinks: Iterable[float], centres: Iterable[float], most: int
) -> tuple[Array, Array]:
    # Averages over the bias are smooth on the scale `spread`: ten nodes on three of them leave about 1e-10.
    width = high - low
    wide = spread * 3 * PANELS <= width
    panels = most if wide else max(1, int(np.ceil(width / (3.0 * spread))))
    t, w = np.polynomial.legendre.leggauss(10)
    near: Array = np.zeros(0)
    if wide:
        near = np.add.outer(np.asarray([*kinks], dtype=np.float64), spread * _AROUND).ravel()
        if width > PANELS:  # even panels are wider than an activation's own scale
            about = np.add.outer(np.asarray([*centres], dtype=np.float64), _ABOUT).ravel()
            near = np.concatenate([near, about])
    edges = np.unique(np.concatenate([np.linspace(low, high, panels + 1), np.clip(near, low, high)]))
    half = 0.5 * np.diff(edges)
    nodes = (edges[:-1] + half)[:, None] + half[:, None] * t
    return nodes.ravel(), (half[:, None] * w).ravel() / width


def _mixture(offsets: object, extra: object, weights: object) -> BiasMixture:
    return BiasMixture(*(np.asarray(a, dtype=np.float64) for a in (offsets, extra, weights)))


_NOTHING = _mixture([0.0], [0.0], [1.0])
_BELOW_ROUNDING = np.log(1e-20)


@dataclass(frozen=True)
class UnitLaw:
    """The law of one unit's pre-activation, for each of B inputs.

    Attributes
    ----------
    mean : ndarray
        Mean, shape (B,).
    log_variance : ndarray
        Logarithm of the variance of the Gaussian part (weights, and biases if they are Gaussian), shape (B,);
        -inf where it is 0.
    bias : BiasMixture
        What a non-Gaussian random bias adds.
    bias_variance : float
        Variance of that addition.
    kurtosis : ndarray
        Excess kurtosis of the weights' part as a share of the Gaussian part's squared variance, shape (B,).
    uneven : ndarray or float
        Variance over units of their means, shape (B,) or 0: identity weights.
    positions : ndarray or None
        What is added to `mean` in every unit, shape (n, B), mean 0 over units: identity weights on a known input. The
        law is then that of a unit chosen at random.
    """

    mean: Array
    log_variance: Array
    bias: BiasMixture
    bias_variance: float
    kurtosis: Array
    uneven: Array | float = 0.0
    positions: Array | None = None

    @property
    def single(self) -> bool:
        """Whether it is one Gaussian for every input."""
        return self.bias.single and self.positions is None

    @property
    def unit_means(self) -> Array:
        """Means of the units: shape (n, B) if they differ, else (B,)."""
        return self.mean if self.positions is None else self.mean + self.positions

    @property
    def log_total_variance(self) -> Array:
        """Logarithm of the variance of the pre-activation, shape (B,)."""
        if self.bias_variance == 0.0:
            return self.log_variance
        return np.logaddexp(self.log_variance, np.log(self.bias_variance))

    @property
    def log_second_moment(self) -> Array:
        """Logarithm of E z², shape (B,)."""
        with np.errstate(divide="ignore"):
            # The square of a mean of 1e155 is no double; its logarithm is.
            squares = np.logaddexp(2.0 * np.log(np.abs(self.mean)), np.log(self.uneven))
            return np.logaddexp(self.log_total_variance, squares)

    @property
    def centred(self) -> bool:
        """Whether it is one Gaussian of mean zero for every input."""
        return self.single and not self.mean.any()

    @property
    def gaussian_alone(self) -> NDArray[np.bool_]:
        """Where mean and bias are below the rounding of the Gaussian part, so that they do not count, shape (B,)."""
        if self.positions is not None:
            return np.zeros(self.mean.shape, dtype=bool)
        size = np.abs(self.mean) + np.abs(self.bias.offsets).max() + np.sqrt(self.bias.extra.max())
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(size) < 0.5 * self.log_variance + _BELOW_ROUNDING)

    def centre(self) -> UnitLaw:
        """Return the Gaussian part alone."""
        return replace(self, mean=np.zeros_like(self.mean), bias=_NOTHING, bias_variance=0.0)

    def split(self, size: int) -> Iterator[UnitLaw]:
        """Yield the laws of consecutive inputs, so many at a time that components times inputs stay below `size`."""
        units = 1 if self.positions is None else self.positions.shape[0]
        step = max(1, size // (self.bias.weights.size * units))
        uneven = np.broadcast_to(self.uneven, self.mean.shape)
        for start in range(0, self.mean.size, step):
            part = slice(start, start + step)
            yield UnitLaw(
                self.mean[part], self.log_variance[part], self.bias, self.bias_variance,
                self.kurtosis[part], uneven[part], None if self.positions is None else self.positions[:, part],
            )  # fmt: skip

    def components(self) -> tuple[Array, Array, Array]:
        """Return means (K, B), logarithms of variances (K, B) and probabilities (K, 1) of the components.

        Units of different means are components like those of the bias, one after the other.
        """
        with np.errstate(divide="ignore"):
            logs = np.logaddexp(self.log_variance, np.log(self.bias.extra)[:, None])
        weights = self.bias.weights[:, None]
        if self.positions is None:
            return self.mean + self.bias.offsets[:, None], logs, weights
        units, batch = self.positions.shape
        # First what may be large and cancel: a bias would be lost in it.
        means = (self.unit_means + self.bias.offsets[:, None, None]).reshape(-1, batch)
        return means, np.repeat(logs, units, axis=0), np.repeat(weights, units, axis=0) / units
