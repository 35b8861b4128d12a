"""Name the law that drawn weights follow: one of the table's, or its family and scale as measured."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import torch

from varprop.adapters.torch.fans import Fans
from varprop.initializers import Law, initializer

_NAMED = (
    "torch.linear_default", "he_normal", "he_uniform", "glorot_normal", "glorot_uniform", "lecun_normal",
    "lecun_uniform", "he_normal(mode=fan_out)", "he_uniform(mode=fan_out)", "orthogonal", "standard_normal",
    "he_truncated", "glorot_truncated", "lecun_truncated",
)  # fmt: skip
_BIASES = ("zeros", "ones", "uniform_fan_in", "standard_normal")
_REACH = 4.0
"""Standard errors within which sampled moments are taken for a law's own."""
_ENOUGH = 200
"""Entries from which a scale is told from its neighbours in the table (relative error of E w² at most 0.1)."""


_SIGNS = 8
"""Entries from which equal sizes are no chance."""


@dataclass
class Sample:
    """Moments of every entry drawn so far of one parameter."""

    count: int = 0
    total: float = 0.0
    square: float = 0.0
    fourth: float = 0.0
    largest: float = 0.0
    orthogonal: bool = True

    def add(self, parameter: torch.Tensor, most: int = 200_000) -> None:
        """Count one draw in; of a large parameter evenly spaced entries, about `most`."""
        entries = parameter.detach().reshape(-1)
        exact = entries[:: max(entries.numel() // most, 1)].double()
        squares = exact * exact
        self.count += exact.numel()
        self.total += float(exact.sum())
        self.square += float(squares.sum())
        self.fourth += float(squares @ squares)
        self.largest = max(self.largest, float(exact.abs().max())) if exact.numel() else self.largest
        self.orthogonal = self.orthogonal and _is_orthogonal(parameter)

    @property
    def mean(self) -> float:
        """Mean of the entries."""
        return self.total / self.count

    @property
    def variance(self) -> float:
        """Variance of the entries."""
        return max(self.square / self.count - self.mean**2, 0.0)

    @property
    def kurtosis(self) -> float:
        """Excess kurtosis of the entries about zero."""
        level = self.square / self.count
        return self.fourth / self.count / level**2 - 3.0 if level else 0.0


def name_law(sample: Sample, fans: Fans | None, bias: bool = False) -> str:
    """Return the spelling of the law that `sample` is consistent with.

    A name of the table is taken where mean, scale, kurtosis and largest entry all fit it within `_REACH` standard
    errors; else ``normal(std=…)``, ``uniform(low=…, high=…)``, ``rademacher(std=…)`` or ``constant(value=…)`` with what
    was measured, if the kurtosis is that of such a law. Nothing is named where it is not: no theory of a law holds.

    Examples
    --------
    >>> drawn = Sample()
    >>> drawn.add(torch.empty(300, 500).normal_(0, (2 / 500) ** 0.5, generator=torch.Generator().manual_seed(0)))
    >>> name_law(drawn, Fans(500, 300, 500, 300))
    'he_normal'
    """
    if sample.count == 0:
        return ""
    if sample.variance <= 1e-14 * sample.square / sample.count:
        level = {0.0: "zeros", 1.0: "ones"}.get(sample.mean)
        return level or f"constant(value={sample.mean:.6g})"
    names = _BIASES if bias else _NAMED
    if fans is not None and sample.count >= (1 if bias else _ENOUGH):
        fan_in, fan_out = max(round(fans.fan_in), 1), max(round(fans.fan_out), 1)
        for name in names:
            if name == "orthogonal" and not sample.orthogonal:
                continue
            if fits(sample, _law(name, fan_in, fan_out)):
                return name
    return _measured(sample)


def fits(sample: Sample, law: Law) -> bool:
    """Whether moments and bounds of `sample` are a chance result of `law`."""
    if law.deterministic:
        return False
    count, level = sample.count, sample.square / sample.count
    spread = math.sqrt(max(law.excess_kurtosis + 2.0, 0.05) / count)
    if abs(level / law.second_moment - 1.0) > _REACH * spread:
        return False
    if abs(sample.mean - law.mean) > _REACH * math.sqrt(law.variance / count):
        return False
    bounds = dict(law.parameters)
    if "high" in bounds and sample.largest > max(abs(bounds["high"]), abs(bounds["low"])) * (1 + 1e-6):
        return False
    # Var of the sample kurtosis is 24/n for a normal law, less for those with bounded tails.
    return abs(sample.kurtosis - law.excess_kurtosis) <= _REACH * math.sqrt(24.0 / count) + 0.01


def _measured(sample: Sample) -> str:
    std, mean = math.sqrt(sample.variance), sample.mean
    centred = abs(mean) <= _REACH * std / math.sqrt(sample.count)
    # Where the mean is chance the mean square is the better estimate of the variance.
    std = math.sqrt(sample.square / sample.count) if centred else std
    if centred and sample.count >= _SIGNS and sample.largest**2 <= std**2 * (1.0 + 1e-6):
        return f"rademacher(std={std:.6g})"
    error = _REACH * math.sqrt(24.0 / sample.count)
    # Var of the sample kurtosis of a uniform law is 1.32/n.
    if abs(sample.kurtosis + 1.2) <= _REACH * math.sqrt(1.32 / sample.count) + 0.01 and centred:
        bound = math.sqrt(3.0) * std
        return f"uniform(low={-bound:.6g}, high={bound:.6g})"
    # E w⁴ = m⁴ + 6 m² s² + 3 s⁴ for a normal law, as an excess over 3 (E w²)².
    level = sample.square / sample.count
    expected = 0.0 if centred else -2.0 * mean**4 / level**2
    if abs(sample.kurtosis - expected) > error + 0.05:
        return ""
    return f"normal(std={std:.6g})" if centred else f"normal(std={std:.6g}, mean={mean:.6g})"


@functools.lru_cache(maxsize=4096)
def _law(name: str, fan_in: int, fan_out: int) -> Law:
    return initializer(name).law(fan_in, fan_out)


def _is_orthogonal(parameter: torch.Tensor) -> bool:
    """Whether two rows or two columns are orthogonal to rounding: enough to tell Haar from iid entries."""
    if parameter.dim() != 2 or min(parameter.shape) < 2:
        return False
    wide = parameter.shape[0] <= parameter.shape[1]
    two = (parameter[:2] if wide else parameter[:, :2].T).detach().double()
    product = two @ two.T
    return abs(float(product[0, 1])) <= 1e-4 * math.sqrt(float(product[0, 0] * product[1, 1])) > 0
