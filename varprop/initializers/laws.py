"""The laws a weight can follow, each with its exact moments and flags.

A constructor of this file turns parameters into a `Law`; the same parameters drive the sampler of that family
in `varprop.initializers.sampling`. Degenerate parameters (zero deviation, equal bounds, nothing kept) give
the constant law, so that ``variance == 0`` and `deterministic` always agree.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from varprop._validation import InputError, check_integer, check_real, described
from varprop.initializers.drawn import Draw, Drawn
from varprop.initializers.truncation import truncated_moments

SPREAD_AT_TWO = 0.87962566103423978
"""Standard deviation of N(0,1) truncated at ±2, as Keras, TensorFlow and JAX write it."""


FAMILIES = frozenset(
    ("constant", "normal", "uniform", "truncated_normal", "rademacher", "sparse", "sparse_columns", "identity",
     "orthogonal")
)  # fmt: skip
"""The families that `varprop.initializers.sampling` knows how to draw."""


@dataclass(frozen=True)
class Law:
    """The law of one weight, as exact numbers and checked flags.

    Parameters
    ----------
    family : str
        Name of the family, the key of the sampler.
    mean : float
        Mean of one entry. For a matrix whose entries differ (``identity``), the mean over positions.
    variance : float
        Variance over draws of one entry, at least 0; 0 for everything deterministic.
    excess_kurtosis : float
        Fourth cumulant over squared variance (0 for a normal law); infinite too where it is not known. 0 where the
        variance is 0: the fourth cumulant vanishes there too, and formulas that weigh the kurtosis by the variance
        stay right.
    iid : bool
        Entries are independent and identically distributed.
    gaussian : bool
        Entries are normal with positive variance, hence jointly Gaussian when also `iid`.
    symmetric : bool
        An entry and its negative have the same law (so the mean is 0).
    deterministic : bool
        Every draw is the same.
    continuous : bool
        The law of an entry has a density (no value has positive probability).
    parameters : tuple of (str, float)
        What a sampler of this family needs; ``law["std"]`` reads one.
    sampler : callable or None
        For a law of your own: ``sampler(shape, rng)`` returns entries. None for the families of this package.

    Examples
    --------
    >>> law = uniform(-1.0, 1.0)
    >>> round(law.variance, 4), law.excess_kurtosis, law["high"]
    (0.3333, -1.2, 1.0)
    """

    family: str
    mean: float
    variance: float
    excess_kurtosis: float
    iid: bool
    gaussian: bool
    symmetric: bool
    deterministic: bool
    continuous: bool
    parameters: tuple[tuple[str, float], ...] = ()
    sampler: Draw | None = None

    def __post_init__(self) -> None:
        if self.sampler is None:
            return
        if self.family in FAMILIES:
            raise InputError("law.family", self.family, "another name for a law with a sampler of its own")
        if not isinstance(self.sampler, Drawn):
            object.__setattr__(self, "sampler", Drawn(self.sampler, self.family))

    def __getitem__(self, key: str) -> float:
        return dict(self.parameters)[key]

    @property
    def own(self) -> Drawn | None:
        """The sampler of a law of the user's own, None for the families of this package."""
        return self.sampler if isinstance(self.sampler, Drawn) else None

    @property
    def std(self) -> float:
        """Standard deviation over draws of one entry."""
        return math.sqrt(self.variance)

    @property
    def finite_kurtosis(self) -> float:
        """`excess_kurtosis`, but a very large number for an infinite one, so that nothing of it stays nothing."""
        return min(self.excess_kurtosis, 1e30)

    @property
    def second_moment(self) -> float:
        """Mean square of an entry, averaged over positions of the matrix where entries differ."""
        return self["mean_square"] if self.family == "identity" else self.variance + self.mean**2


LEAST, GREATEST = 1e-140, 1e140
"""Sizes whose squares, and sums of such, a double can hold."""


def check_size(field: str, value: object, minimum: float | None = None) -> float:
    """Return a parameter whose square stays in range: 0, or of a size between `LEAST` and `GREATEST`."""
    number = check_real(field, value, minimum=minimum)
    if number and not LEAST <= abs(number) <= GREATEST:
        raise InputError(field, value, f"0, or a size from {LEAST:g} to {GREATEST:g}")
    return number


def constant(value: float) -> Law:
    """Every entry equals `value`."""
    value = check_size("value", value)
    return Law(
        "constant", value, 0.0, 0.0, True, False, value == 0.0, True, False, parameters=(("value", value),)
    )


def normal(std: float, mean: float = 0.0) -> Law:
    """Independent N(mean, std²) entries."""
    std, mean = check_size("std", std, minimum=0.0), check_size("mean", mean)
    if std == 0.0:
        return constant(mean)
    return _independent("normal", mean, std**2, 0.0, gaussian=True, mean=mean, std=std)


def uniform(low: float, high: float) -> Law:
    """Independent U(low, high) entries."""
    low, high = check_real("low", low), check_real("high", high)
    if low > high:
        raise InputError("low", low, f"at most the upper bound {high:g}")
    if low == high:
        return constant(low)
    if max(abs(low), abs(high)) > GREATEST or high - low < LEAST:
        allowed = f"bounds of a size up to {GREATEST:g}, at least {LEAST:g} apart"
        raise InputError("low", described(f"{low:g} with high {high:g}"), allowed)
    return _independent("uniform", (low + high) / 2, (high - low) ** 2 / 12, -1.2, low=low, high=high)


def truncated_normal(mean: float, std: float, low: float, high: float) -> Law:
    """Independent entries of N(mean, std²) conditioned on ``low <= w <= high`` (all four absolute)."""
    mean, std = (
        check_size("mean", mean),
        check_size("std", check_real("std", std, minimum=0.0, exclusive=True)),
    )
    low, high = check_real("low", low), check_real("high", high)
    if low >= high:
        raise InputError("low", low, f"less than the upper bound {high:g}")
    ends = (low - mean) / std, (high - mean) / std
    if ends[0] == ends[1]:
        allowed = f"bounds that can be told apart {max(map(abs, ends)):.3g} standard deviations from the mean"
        raise InputError("low", described(f"{low:g} with high {high:g}"), allowed)
    shift, variance, kurtosis = truncated_moments(*ends)
    law = _independent(
        "truncated_normal", mean + std * shift, std**2 * variance, kurtosis,
        location=mean, scale=std, low=low, high=high,
    )  # fmt: skip
    # Opposite bounds around 0 make the mean exactly 0; the quadrature leaves a rounding error.
    return replace(law, mean=0.0, symmetric=True) if mean == 0.0 and low == -high else law


def rademacher(std: float) -> Law:
    """Independent fair signs, ±std."""
    std = check_size("std", std, minimum=0.0)
    if std == 0.0:
        return constant(0.0)
    return replace(_independent("rademacher", 0.0, std**2, -2.0, std=std), continuous=False)


def sparse(sparsity: float, std: float) -> Law:
    """Independent entries: 0 with probability `sparsity`, else N(0, std²)."""
    sparsity = check_real("sparsity", sparsity, minimum=0.0, maximum=1.0)
    std, keep = check_size("std", std, minimum=0.0), 1.0 - sparsity
    if std == 0.0 or keep == 0.0:
        return constant(0.0)
    if keep == 1.0:
        return normal(std)
    # E w² = keep std², E w⁴ = 3 keep std⁴
    law = _independent("sparse", 0.0, keep * std**2, 3.0 / keep - 3.0, sparsity=sparsity, std=std)
    return replace(law, continuous=False)


def sparse_columns(sparsity: float, std: float, rows: int) -> Law:
    """N(0, std²) entries, ``ceil(sparsity·rows)`` of each column, chosen at random, set to 0."""
    sparsity = check_real("sparsity", sparsity, minimum=0.0, maximum=1.0)
    zeros = math.ceil(sparsity * rows)
    law = sparse(zeros / rows, std)
    if law.family != "sparse":
        return law
    # Each entry has the spike-and-slab law, but the zeros of a column exclude each other.
    return replace(law, family="sparse_columns", iid=False, parameters=(("sparsity", sparsity), ("std", std)))


def identity(gain: float, fan_in: int, fan_out: int, groups: int = 1) -> Law:
    """`gain` on the diagonal of each of `groups` equal blocks of rows, 0 elsewhere.

    Deterministic; entries differ by position, so `mean` is the mean over positions.
    """
    gain, groups = check_size("gain", gain), check_integer("groups", groups, minimum=1)
    if fan_out % groups:
        raise InputError("groups", groups, f"a divisor of the fan_out {fan_out}")
    share = groups * min(fan_out // groups, fan_in) / (fan_in * fan_out)
    if gain == 0.0 or share == 1.0:
        return constant(gain)
    parameters = (("gain", gain), ("groups", float(groups)), ("mean_square", gain**2 * share))
    return Law("identity", gain * share, 0.0, 0.0, False, False, False, True, False, parameters)


def orthogonal(gain: float, fan_in: int, fan_out: int) -> Law:
    """`gain` times a corner of a Haar-distributed orthogonal matrix of order n = max(fan_in, fan_out).

    Then WᵀW = gain²·I (tall) or WWᵀ = gain²·I (wide). A squared entry is Beta(1/2, (n−1)/2), hence
    E w² = gain²/n and E w⁴ = 3 gain⁴/(n(n+2)): excess kurtosis −6/(n+2).
    """
    gain = check_size("gain", gain)
    if gain == 0.0:
        return constant(0.0)
    order = max(fan_in, fan_out)
    law = _independent("orthogonal", 0.0, gain**2 / order, -6.0 / (order + 2), gain=gain)
    return replace(law, iid=order == 1, continuous=order > 1)


def scaled(distribution: str, variance: float) -> Law:
    """Zero-mean ``normal``, ``uniform`` or ``truncated`` (at two parent deviations) law of `variance`."""
    return replace(_SCALED[distribution](math.sqrt(variance)), variance=variance)


def _truncated_to(std: float) -> Law:
    parent = std / SPREAD_AT_TWO
    return truncated_normal(0.0, parent, -2 * parent, 2 * parent)


_SCALED: dict[str, Callable[[float], Law]] = {
    "normal": normal,
    "uniform": lambda std: uniform(-math.sqrt(3.0) * std, math.sqrt(3.0) * std),
    "truncated": _truncated_to,
}


def _independent(
    family: str, centre: float, variance: float, kurtosis: float, gaussian: bool = False, **parameters: float
) -> Law:
    """Law of independent entries with a density that is symmetric about `centre`."""
    return Law(
        family,
        centre,
        variance,
        kurtosis,
        iid=True,
        gaussian=gaussian,
        symmetric=centre == 0.0,
        deterministic=False,
        continuous=True,
        parameters=tuple(parameters.items()),
    )
