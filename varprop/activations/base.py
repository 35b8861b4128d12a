"""What an activation is: its value, its derivative, and everything that follows from the two."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from varprop._registry import Registry
from varprop.activations.saturation import DEFAULT_SHARE, Tails, find_tails
from varprop.moments.bivariate import GaussianPairs, PairMoments
from varprop.moments.closed import ClosedForms
from varprop.moments.univariate import GaussianMoments, Moments

Array = npt.NDArray[Any]
Function = Callable[[Array], Array]


class Origin(Protocol):
    """What an activation that stands in no table was made from, and how to make it again."""

    def build(self) -> Activation:
        """Return the activation."""

    def digest(self) -> str:
        """Return the SHA-256 of everything that decides its values."""

    def parts(self) -> tuple[object, ...]:
        """Return the functions it was made from."""

    def check_unchanged(self) -> None:
        """Raise `InputError` if its functions do something else than when the activation was made."""


@dataclass(frozen=True, eq=False)
class Activation:
    """A scalar function applied to every pre-activation, with its derivative and its Gaussian moments.

    Build one with `varprop.activation`, not by hand. Two activations are equal if their names and their
    origins are.

    Attributes
    ----------
    name : str
        Canonical spelling; arguments at their defaults are left out (``"relu"``,
        ``"leaky_relu(slope=0.2)"``).
    kinks : tuple of float
        Where value or derivative is not smooth, ascending. Quadrature splits there.
    inactive : tuple of (float, float)
        Closed intervals in which a unit passes no gradient, *declared*, never found by a float test. Smooth
        activations have none.
    slopes : (float, float) or None
        Slopes for z < 0 and z > 0 if the activation is positively homogeneous of degree 1, otherwise None.
    degree : float or None
        k if phi(s z) = s^k phi(z) for all s > 0, *declared*: 1 for those with `slopes`, None for others.
    slope_of_value : callable or None
        phi' as a function of phi, where that is cheap; right to rounding of the greatest slope, not relatively in
        the tails.
    quick : callable or None
        phi and phi' at once in single precision, where the two share their costly part; right to rounding of the
        greatest slope, as `slope_of_value`.
    forms : ClosedForms
        The Gaussian moments known in closed form.
    origin : Origin or None
        None for a registered activation, what it was made from for a user's callable.
    exact_derivative : bool
        False if the derivative comes from finite differences of a user's callable.

    Examples
    --------
    >>> import varprop as vp
    >>> relu = vp.activation("relu")
    >>> relu([-1.0, 2.0]), relu.derivative([-1.0, 2.0])
    (array([0., 2.]), array([0., 1.]))
    """

    name: str
    value: Function = field(repr=False)
    slope: Function = field(repr=False)
    kinks: tuple[float, ...] = ()
    inactive: tuple[tuple[float, float], ...] = ()
    slopes: tuple[float, float] | None = None
    forms: ClosedForms = field(default_factory=ClosedForms, repr=False)
    origin: Origin | None = field(default=None, repr=False)
    exact_derivative: bool = field(default=True, repr=False)
    slope_of_value: Function | None = field(default=None, repr=False)
    degree: float | None = None
    quick: Callable[[Array], tuple[Array, Array]] | None = field(default=None, repr=False)
    _cache: dict[Any, Any] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        """Let two slopes be homogeneous of degree 1."""
        if self.slopes is not None:
            object.__setattr__(self, "degree", 1.0)

    def __call__(self, z: npt.ArrayLike) -> Array:
        """Return phi(z), in the shape and floating type of `z` (anything else becomes float64)."""
        return self.value(_floating(z))

    def derivative(self, z: npt.ArrayLike) -> Array:
        """Return phi'(z) almost everywhere; at a kink the value on the flatter side (relu: 0 at 0)."""
        return self.slope(_floating(z))

    def is_inactive(self, z: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Say which entries of `z` lie in the declared inactive set."""
        z = np.asarray(z)
        inside = np.zeros(z.shape, dtype=bool)
        for low, high in self.inactive:
            inside |= (z >= low) & (z <= high)
        return inside

    @cached_property
    def zeros(self) -> tuple[tuple[float, float], ...]:
        """Closed intervals in which phi is 0, ascending: from `inactive`, in which phi is constant between kinks.

        A single number is one as well: (0, 0) if phi(0) = 0, which is all that is looked for.

        Examples
        --------
        >>> import varprop as vp
        >>> vp.activation("relu6").zeros, vp.activation("step").zeros, vp.activation("tanh").zeros
        (((-inf, 0.0),), ((-inf, 0.0),), ((0.0, 0.0),))
        """
        found: list[tuple[float, float]] = []
        for low, high in self.inactive:
            ends = [low, *(k for k in self.kinks if low < k < high), high]
            for a, b in pairwise(ends):
                inside = _between(a, b)
                if self._value_at(inside) == 0.0:
                    own = (e if self._value_at(e) == 0.0 else float(np.nextafter(e, inside)) for e in (a, b))
                    found.append(tuple(own))  # type: ignore[arg-type]
        if self._value_at(0.0) == 0.0 and not any(low <= 0.0 <= high for low, high in found):
            found.append((0.0, 0.0))
        merged: list[tuple[float, float]] = []
        for low, high in sorted(found):
            if merged and low <= merged[-1][1]:
                first, last = merged.pop()
                low, high = first, max(last, high)
            merged.append((low, high))
        return tuple(merged)

    def _value_at(self, z: float) -> float:
        # An unbounded interval is constant to its end.
        return float(self(np.array([z]))[0]) if math.isfinite(z) else 0.0

    def saturation(self, share: float = DEFAULT_SHARE) -> Tails:
        """Return the unbounded tails where ``|phi'| <= share * sup |phi'|``.

        If the supremum is 0 or infinite they are the tails where phi' is exactly 0; sin and cos have none.

        Parameters
        ----------
        share : float
            Between 0 and 1. The default makes a sigmoid saturated within 1 % of its asymptotes.

        Examples
        --------
        >>> import varprop as vp
        >>> tails = vp.activation("sigmoid").saturation()
        >>> round(float(vp.activation("sigmoid")(tails.high)), 12)
        0.99
        """
        key = ("tails", share)
        if key not in self._cache:
            slope = getattr(self.slope, "unchecked", self.slope)  # the search goes far out
            self._cache[key] = find_tails(slope, self.kinks, share)
        tails: Tails = self._cache[key]
        return tails

    def is_saturated(self, z: npt.ArrayLike, share: float = DEFAULT_SHARE) -> npt.NDArray[np.bool_]:
        """Say which entries of `z` lie in `saturation(share)`."""
        return self.saturation(share).contains(z)

    def moments(
        self,
        variance: npt.ArrayLike,
        mean: npt.ArrayLike = 0.0,
        method: str = "auto",
        fields: Sequence[str] | None = None,
    ) -> Moments:
        """Return the Gaussian moments of phi at z ~ N(mean, variance).

        They are right to 1e-12 relative for variances from 1e-6 to 1e6 (E phi: relative to at least 1e-3 of
        root E phi²), and usually far beyond. Variance 0 means the point `mean`.

        Parameters
        ----------
        variance, mean : array_like
            Broadcast together.
        method : {"auto", "formula", "quadrature"}
            "auto" takes the closed form where there is one. "formula" refuses where there is none.
        fields : sequence of str, optional
            The fields of `Moments` to compute, all by default. A tuple is fastest.

        Raises
        ------
        InputError
            Negative or non-finite variance, unknown field or method, no closed form (``method="formula"``),
            or no way for quadrature to reach the accuracy: the function oscillates too fast for the variance,
            or the moment diverges.

        Examples
        --------
        >>> import varprop as vp
        >>> float(vp.activation("relu").moments(2.0).second_moment)
        1.0
        >>> m = vp.activation("tanh").moments([0.5, 2.0], fields=("derivative_second_moment",))
        >>> [round(float(d), 6) for d in m.derivative_second_moment], m.mean
        ([0.592426, 0.349508], None)
        """
        return self._moments(variance, mean, method, fields)

    def pair_moments(
        self,
        q1: npt.ArrayLike,
        q2: npt.ArrayLike,
        cov: npt.ArrayLike | None = None,
        fields: Sequence[str] | None = None,
        method: str = "auto",
        *,
        one_minus_correlation: npt.ArrayLike | None = None,
    ) -> PairMoments:
        """Return the moments of (phi(u), phi(v)) for zero-mean Gaussian u, v with the given covariance.

        Parameters
        ----------
        q1, q2 : array_like
            Variances of u and v; 0 is welcome.
        cov : array_like
            Covariance; by rounding it may exceed sqrt(q1 q2) a little.
        fields : sequence of str, optional
            Of ``"product"``, ``"derivative_product"`` (the default: these two) and ``"squared_difference"``,
            which is E (phi(u) - phi(v))² and keeps its digits near correlation 1.
        method : {"auto", "formula", "quadrature"}
            As in `moments`.
        one_minus_correlation : array_like, optional
            Instead of `cov`: 1 - cov/sqrt(q1 q2), from 0 to 2, for those who carry that number because it
            drowns in `cov` near correlation 1. With equal variances the next layer's is
            ``sigma_w² · squared_difference / (2 q)``.

        Raises
        ------
        InputError
            As `moments`; also a covariance that no pair of these variances has.

        Examples
        --------
        >>> import varprop as vp
        >>> pair = vp.activation("relu").pair_moments(1.0, 1.0, 0.0)
        >>> round(float(pair.product) * 6.283185307179586, 12), float(pair.derivative_product)
        (1.0, 0.25)
        """
        return self._pairs(q1, q2, cov, fields, method, one_minus_correlation=one_minus_correlation)

    @cached_property
    def _moments(self) -> GaussianMoments:
        return GaussianMoments(self.name, self.value, self.slope, self.kinks, self.forms)

    @cached_property
    def _pairs(self) -> GaussianPairs:
        return GaussianPairs(self._moments)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Activation):
            return NotImplemented
        return (self.name, self.origin) == (other.name, other.origin)

    def __hash__(self) -> int:
        return hash(self.name)

    def __varprop_digest__(self) -> str:
        return self.name if self.origin is None else f"{self.name} {self.origin.digest()}"

    def __reduce__(self) -> tuple[Any, ...]:
        if self.origin is None:
            return (registry.make, (self.name,))
        return (self.origin.build, ())


def _between(low: float, high: float) -> float:
    if math.isinf(low):
        return high - 1.0 if math.isfinite(high) else 0.0
    return low + 1.0 if math.isinf(high) else 0.5 * (low + high)


def _floating(z: npt.ArrayLike) -> Array:
    z = np.asarray(z)
    return z if np.issubdtype(z.dtype, np.floating) else z.astype(np.float64)


registry: Registry[Activation] = Registry("activation")
"""The one table of activations; each family's file enters its own."""
