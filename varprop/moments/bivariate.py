"""Two correlated pre-activations: E phi(u) phi(v), E phi'(u) phi'(v) and E (phi(u) - phi(v))².

Closed form where there is one; otherwise Mehler's series where its remainder is small enough, nested
quadrature for the rest (kinks at correlations near ±1, large variances).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from varprop._validation import InputError, check_one_of, close_match, described
from varprop.moments.adaptive import check_known, gaussian_arguments
from varprop.moments.closed import PAIR_FIELDS, Pair
from varprop.moments.hermite import Expansion, coefficients
from varprop.moments.nested import Smooth, pair_mean, squared_gap
from varprop.moments.rotated import rotated_pairs
from varprop.moments.rule import Array
from varprop.moments.univariate import METHODS, GaussianMoments

_SLACK = 1e-9  # a covariance may exceed what its variances allow by this share of rounding
_CANCELLED = 0.03  # share of the second moments below which their difference has lost too many digits
_CLOSE = 0.01  # 1 - correlation below which nothing else is tried
_GOOD, _ENOUGH = 1e-12, 1e-8  # relative errors of a squared difference: welcome, and still to be stated
_NOTHING = 1e-15  # a difference of this share of the second moments is a rounding error
_BENT, _SHRINK = 0.3, 2.5  # size of sqrt(q eps) x up to which one panel will do, and how panels shrink beyond


def _unit_rule(order: int) -> tuple[Array, Array]:
    nodes, weights = np.polynomial.legendre.leggauss(order)
    return 0.5 * (nodes + 1), 0.5 * weights


_RULES = (_unit_rule(6), _unit_rule(10))


@dataclass(frozen=True)
class PairMoments:
    """Moments of (phi(u), phi(v)), arrays of one shape; None where not asked for.

    Attributes
    ----------
    product : ndarray
        E phi(u) phi(v).
    derivative_product : ndarray
        E phi'(u) phi'(v).
    squared_difference : ndarray
        E (phi(u) - phi(v))², without cancellation near correlation 1.
    """

    product: Any = None
    derivative_product: Any = None
    squared_difference: Any = None


class GaussianPairs:
    """Evaluates the pair moments of one function, given its `GaussianMoments`."""

    def __init__(self, moments: GaussianMoments) -> None:
        self.moments = moments
        smoothed = moments.forms.smoothed
        self._parts = {
            "product": Smooth(moments.value, moments.kinks, smoothed.get("mean")),
            "derivative_product": Smooth(moments.slope, moments.kinks, smoothed.get("derivative_mean")),
        }

    def __call__(
        self,
        q1: Any,
        q2: Any,
        cov: Any = None,
        fields: Sequence[str] | None = None,
        method: str = "auto",
        *,
        one_minus_correlation: Any = None,
    ) -> PairMoments:
        """Return the pair moments; see `Activation.pair_moments`."""
        check_one_of("method", method, METHODS)
        wanted = ("product", "derivative_product") if fields is None else tuple(fields)
        for field in wanted:
            if field not in PAIR_FIELDS:
                raise InputError("fields", field, close_match(str(field), PAIR_FIELDS))
        a, b, eps = _arguments(q1, q2, cov, one_minus_correlation)
        flat_a, flat_b, flat_eps = a.ravel(), b.ravel(), eps.ravel()
        results = {field: np.empty(a.size) for field in wanted}
        constant = (flat_a == 0) | (flat_b == 0)
        for chosen, route in ((constant, self._with_constant), (~constant, self._spread)):
            if chosen.any():
                pair = Pair.of(flat_a[chosen], flat_b[chosen], flat_eps[chosen])
                with np.errstate(over="ignore", under="ignore", invalid="ignore"):
                    found = route(pair, wanted, method)
                for field, values in found.items():
                    check_known("q1", f"{field} of {self.moments.name}", values, pair.q1)
                    results[field][chosen] = values
        return PairMoments(**{field: values.reshape(a.shape)[()] for field, values in results.items()})

    def _with_constant(self, pair: Pair, wanted: Sequence[str], method: str) -> dict[str, Array]:
        """Handle pairs of which one, or both, have variance 0: that one is phi(0)."""
        other = pair.q1 + pair.q2
        origin = np.zeros(1)
        found = {}
        if "product" in wanted:
            start = float(np.asarray(self.moments.value(origin))[0])
            found["product"] = start * self.moments(other, fields=("mean",)).mean if start else 0.0 * other
        if "derivative_product" in wanted:
            start = float(np.asarray(self.moments.slope(origin))[0])
            mean = self.moments(other, fields=("derivative_mean",)).derivative_mean if start else 0.0 * other
            # both zero: the pair is one point, and its product the square
            found["derivative_product"] = start * np.asarray(mean)
        if "squared_difference" in wanted:
            found["squared_difference"] = self.moments.squared_rise(other)
        return found

    def _spread(self, pair: Pair, wanted: Sequence[str], method: str) -> dict[str, Array]:
        found = {}
        for field in wanted:
            if field == "squared_difference":
                found[field] = self._difference(pair, method)
            else:
                found[field] = self._mean(field, pair, method)
        return found

    def _mean(self, field: str, pair: Pair, method: str) -> Array:
        return self._route(field, pair, method)(pair.eps)

    def _route(self, field: str, pair: Pair, method: str) -> Callable[[Array], Array]:
        """Return the way from 1 - correlation to the field, for the variances of `pair`."""
        form = self.moments.forms.pair.get(field)
        if form is not None and method != "quadrature":
            return lambda eps: np.asarray(form(Pair.of(pair.q1, pair.q2, eps)))
        if method == "formula":
            known = ", ".join(self.moments.forms.pair) or "none"
            raise InputError("fields", field, f"a field with a closed form for {self.moments.name}: {known}")
        return _Series(self, field, pair)

    def norm(self, field: str, q: Array) -> Array:
        """Return E f² of the part behind `field`: what Parseval's identity is checked against."""
        name = "second_moment" if field == "product" else "derivative_second_moment"
        return np.asarray(getattr(self.moments(q, fields=(name,)), name))

    def _difference(self, pair: Pair, method: str) -> Array:
        form = self.moments.forms.pair.get("squared_difference")
        if form is not None and method != "quadrature":
            return np.asarray(form(pair))
        result = np.zeros(pair.q1.size)
        close = (pair.eps < _CLOSE) & self._continuous
        if not close.all():
            rest = _take(pair, ~close)
            norms = self.norm("product", rest.q1) + self.norm("product", rest.q2)
            result[~close] = np.maximum(norms - 2 * self._mean("product", rest, method), 0.0)
            close[~close] = (result[~close] < _CANCELLED * norms) & self._continuous
        if close.any():
            result[close] = self._close_difference(_take(pair, close), method)
        return result

    def _close_difference(self, pair: Pair, method: str) -> Array:
        """Return E (phi(u) - phi(v))² where the second moments cancel: by Price's theorem, or in rotated coordinates.

        Both routes know their error: the first by two orders, the second by its panels and by the rounding of
        phi(u) - phi(v). The second is taken where the first is not good.
        """
        result, error = self._integrated_difference(pair, method)
        bad = ~(error <= _GOOD * result)
        if bad.any():
            rest, zero = _take(pair, bad), np.zeros(int(bad.sum()))
            stds = np.sqrt(rest.q1), np.sqrt(rest.q2)
            part = self._parts["product"].function
            found = rotated_pairs(part, self.moments.slope, self.moments.kinks, (zero, zero), stds, rest.eps)
            size = np.maximum(self.norm("product", rest.q1), self.norm("product", rest.q2))
            rounding = np.finfo(float).eps * np.sqrt(2 * found.distance * size)
            doubt = 2 * found.distance_error + rounding
            better = ~(error[bad] <= doubt)
            result[bad] = np.where(better, 2 * found.distance, result[bad])
            error[bad] = np.where(better, doubt, error[bad])
            lost = ~(error[bad] <= _ENOUGH * result[bad] + _NOTHING * size)
            if lost.any():
                self.refuse("squared_difference", rest, lost)
        return result

    def refuse(self, field: str, pair: Pair, bad: Any) -> None:
        """Raise `InputError` for the first pair that is `bad`."""
        worst = float(pair.q1[np.argmax(bad)])
        raise InputError(
            "q1",
            described(f"{worst:g} for {field} of {self.moments.name}"),
            "a variance at which quadrature reaches 1e-10: here the function oscillates too fast or has "
            "undeclared kinks",
        )

    def _integrated_difference(self, pair: Pair, method: str) -> tuple[Array, Array]:
        """Integrate d/dc E phi(u) phi(v) = E phi'(u) phi'(v) (Price 1958) from correlation 1 down to rho.

        E (phi(u) - phi(v))² is E (phi(s1 g) - phi(s2 g))² plus 2 s1 s2 times the integral of the derivative
        product. From 1 to max(rho, 0) the variable is x with 1 - correlation = eps x², from 0 to a negative
        rho y with 1 + correlation = y²: in both the integrand is smooth though its slope is infinite at ±1. It
        bends where sqrt(q eps) x is about 1. Where the integrand has a closed form panels shrink towards x = 0
        beyond that; elsewhere one panel is tried. The difference of two orders is the error, infinite if there is
        no hope.
        """
        result = np.zeros(pair.q1.size)
        apart = pair.q1 != pair.q2
        if apart.any():
            result[apart] = squared_gap(self._parts["product"], pair.q1[apart], pair.q2[apart])
        scale = np.sqrt(pair.q1) * np.sqrt(pair.q2)
        near = np.minimum(pair.eps, 1.0)
        closed = "derivative_product" in self.moments.forms.pair and method != "quadrature"
        bend = float(np.sqrt(np.max(np.maximum(pair.q1, pair.q2) * near)))
        if not closed and (bend > _BENT or (pair.eps > 1).any()):
            return result, np.full(result.shape, np.inf)
        slope = self._route("derivative_product", pair, method)
        totals = [result.copy(), result.copy()]
        for total, (nodes, weights) in zip(totals, _RULES, strict=True):
            low, high = 0.0, 1.0
            while high > 0.0:
                low = high / _SHRINK if closed and high * bend > _BENT else 0.0
                for t, w in zip(nodes, weights, strict=True):
                    x = low + (high - low) * t
                    total += 4 * scale * near * (high - low) * x * w * slope(near * x * x)
                high = low
        negative = pair.eps > 1
        if negative.any():
            part = _take(pair, negative)
            slope = self._route("derivative_product", part, method)
            end = np.sqrt(2 - part.eps)
            for total, (nodes, weights) in zip(totals, _RULES, strict=True):
                high = 1.0
                while high > 0.0:
                    low = high / _SHRINK if high * bend > _BENT else 0.0
                    for t, w in zip(nodes, weights, strict=True):
                        y = end + (1 - end) * (low + (high - low) * t)
                        total[negative] += (
                            4 * scale[negative] * (1 - end) * (high - low) * w * y * slope(2 - y * y)
                        )
                    high = low
        return totals[1], np.abs(totals[1] - totals[0])

    @cached_property
    def _continuous(self) -> bool:
        """Whether phi has no jumps at its kinks; with a jump Price's theorem has a term that phi' lacks."""
        kinks = np.array(self.moments.kinks, dtype=float)
        if not kinks.size:
            return True
        step = 1e-9 * (1 + np.abs(kinks))
        above, below = (
            np.asarray(self.moments.value(kinks + step)),
            np.asarray(self.moments.value(kinks - step)),
        )
        return bool((np.abs(above - below) < 1e-6 * (1 + np.abs(above))).all())


class _Series:
    """Mehler's series of given pairs, with nested quadrature where it does not suffice."""

    def __init__(self, owner: GaussianPairs, field: str, pair: Pair) -> None:
        self._owner, self._field, self._pair = owner, field, pair
        part = owner._parts[field]
        values, index = np.unique(np.concatenate([pair.q1, pair.q2]), return_inverse=True)
        table = coefficients(part.function, values, part.kinks)
        norms = owner.norm(field, values)
        first, second = index[: pair.q1.size], index[pair.q1.size :]
        self._expansion = Expansion(table[first], table[second], norms[first], norms[second])

    def __call__(self, eps: Array) -> Array:
        """Return E f(u) f(v) for correlations 1 - eps."""
        part, owner = self._owner._parts[self._field], self._owner
        rho = 1 - eps
        result = self._expansion(rho)
        good = self._expansion.accepts(rho, result)
        if not good.all():
            rest = ~good
            pair = Pair.of(self._pair.q1[rest], self._pair.q2[rest], eps[rest])
            value, error = pair_mean(part, pair)
            size = np.sqrt(owner.norm(self._field, pair.q1) * owner.norm(self._field, pair.q2))
            bad = ~(error <= 1e-10 * np.maximum(np.abs(value), 1e-3 * size))
            if bad.any():
                owner.refuse(self._field, pair, bad)
            result[rest] = value
        return result


def _take(pair: Pair, chosen: Any) -> Pair:
    return Pair.of(pair.q1[chosen], pair.q2[chosen], pair.eps[chosen])


def _arguments(q1: Any, q2: Any, cov: Any, eps: Any) -> tuple[Array, Array, Array]:
    """Return q1, q2 and 1 - correlation, broadcast; the covariance must be one that the variances allow."""
    if (cov is None) == (eps is None):
        raise InputError("cov", cov, "a covariance, or one_minus_correlation= instead of it")
    a, b = gaussian_arguments(q1, 0.0)[0], gaussian_arguments(q2, 0.0)[0]
    try:
        third = np.asarray(cov if eps is None else eps, dtype=np.float64)
        a, b, third = np.broadcast_arrays(a, b, third)
    except (TypeError, ValueError):
        raise InputError(
            "cov", cov if eps is None else eps, "numbers in a shape that fits q1 and q2"
        ) from None
    if eps is not None:
        if not ((third >= 0) & (third <= 2)).all():
            wrong = third[~((third >= 0) & (third <= 2))].ravel()[0]
            raise InputError("one_minus_correlation", float(wrong), "a number from 0 to 2")
        return a, b, third
    # equal variances must give exactly 0 at cov = q; sqrt(q) sqrt(q) would not
    scale = np.where(a == b, a, np.sqrt(a) * np.sqrt(b))
    allowed = np.isfinite(third) & (
        np.abs(third) <= scale * (1 + _SLACK) + 1e-12 * np.maximum(a, b) * (scale == 0)
    )
    if not allowed.all():
        wrong = third[~allowed].ravel()[0]
        raise InputError("cov", float(wrong), "a covariance of size at most sqrt(q1 q2)")
    safe = np.where(scale > 0, scale, 1.0)
    return a, b, np.where(scale > 0, np.clip((scale - third) / safe, 0.0, 2.0), 1.0)
