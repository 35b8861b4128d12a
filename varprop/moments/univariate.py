"""The seven Gaussian moments of an activation: formula if there is one, quadrature otherwise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from varprop._validation import InputError, check_one_of, close_match
from varprop.moments.adaptive import check_known, check_reached, gaussian_arguments
from varprop.moments.closed import FIELDS, ClosedForms
from varprop.moments.panels import Panels, integrate, resolve
from varprop.moments.rule import RUNNING, Array, nodes_of
from varprop.moments.table import Table, refined_rise

METHODS = ("auto", "formula", "quadrature")
_SIGNED = ("derivative_mean", "z_phi_dphi")


@dataclass(frozen=True)
class Moments:
    """Gaussian moments of an activation, arrays of one shape; None where not asked for.

    Attributes
    ----------
    mean, second_moment, variance : ndarray
        E phi, E phi², Var phi.
    derivative_mean, derivative_second_moment : ndarray
        E phi', E phi'².
    fourth_moment : ndarray
        E phi⁴.
    z_phi_dphi : ndarray
        E z phi phi'.
    """

    mean: Any = None
    second_moment: Any = None
    variance: Any = None
    derivative_mean: Any = None
    derivative_second_moment: Any = None
    fourth_moment: Any = None
    z_phi_dphi: Any = None


class GaussianMoments:
    """Evaluates the moments of one function.

    Parameters
    ----------
    name : str
        For messages.
    value, slope : callable
        phi and phi', vectorised.
    kinks : tuple of float
        Where they are not smooth.
    forms : ClosedForms
        What is known in closed form.
    """

    def __init__(
        self,
        name: str,
        value: Callable[[Array], Any],
        slope: Callable[[Array], Any],
        kinks: tuple[float, ...],
        forms: ClosedForms,
    ) -> None:
        self.name, self.value, self.slope, self.kinks, self.forms = name, value, slope, kinks, forms
        self._plans: dict[tuple[str, ...], tuple[list[tuple[str, Any]], tuple[str, ...]]] = {}

    @cached_property
    def table(self) -> Table:
        """The zero-mean table, built at first use."""
        value, slope = (getattr(f, "unchecked", f) for f in (self.value, self.slope))
        return Table(value, slope, self.kinks)

    def __call__(
        self,
        variance: Any,
        mean: npt.ArrayLike = 0.0,
        method: str = "auto",
        fields: Sequence[str] | None = None,
    ) -> Moments:
        """Return the moments; see `Activation.moments`."""
        if isinstance(variance, float) and method == "auto" and isinstance(fields, tuple):
            quick = self._quick(variance, mean, fields)
            if quick is not None:
                return quick
        check_one_of("method", method, METHODS)
        wanted = FIELDS if fields is None else tuple(fields)
        for field in wanted:
            if field not in FIELDS:
                raise InputError("fields", field, close_match(str(field), FIELDS))
        q, m = gaussian_arguments(variance, mean)
        flat_q, flat_m = q.ravel(), m.ravel()
        results = {field: np.empty(flat_q.shape) for field in wanted}
        point = flat_q == 0
        if point.any():
            for field, values in self._at_points(flat_m[point], wanted).items():
                results[field][point] = values
        if not point.all():
            spread = ~point
            for field, values in self._spread(flat_q[spread], flat_m[spread], method, wanted).items():
                results[field][spread] = values
        return Moments(**{field: values.reshape(q.shape)[()] for field, values in results.items()})

    def _quick(self, variance: float, mean: Any, fields: tuple[str, ...]) -> Moments | None:
        """Take the short way for one positive variance and mean 0: some ten microseconds."""
        if not (isinstance(mean, float) and mean == 0.0):
            return None
        plan = self._plans.get(fields)
        if plan is None:
            if not fields or any(f not in FIELDS for f in fields):
                return None
            formulas = {f: self._centred(f) for f in fields}
            rest = tuple(f for f in fields if formulas[f] is None)
            plan = self._plans[fields] = ([(f, g) for f, g in formulas.items() if g is not None], rest)
        closed, rest = plan
        if any(f in _CANCELLING for f in rest) or not 1e-300 < variance < 1e300:
            return None
        found = {}
        if rest:
            if not self.table.lowest <= variance <= self.table.highest:
                return None
            found = dict(zip(rest, self.table.evaluate_one(rest, variance), strict=True))
        if closed:
            q = np.float64(variance)
            with np.errstate(over="ignore", under="ignore"):
                for field, formula in closed:
                    found[field] = float(formula(q))
        return Moments(**found)

    def _centred(self, field: str) -> Callable[[Any], Any] | None:
        if field in self.forms.centred:
            return self.forms.centred[field]
        if field in self.forms.general:
            general = self.forms.general[field]
            return lambda q: general(q, 0.0 * q)
        return None

    def _at_points(self, z: Array, wanted: Sequence[str]) -> dict[str, Array]:
        with np.errstate(over="ignore", invalid="ignore"):
            a, d = np.asarray(self.value(z)), np.asarray(self.slope(z))
            known = {
                "mean": a,
                "second_moment": a * a,
                "variance": np.zeros_like(a),
                "derivative_mean": d,
                "derivative_second_moment": d * d,
                "fourth_moment": np.square(a * a),
                "z_phi_dphi": z * a * d,
            }
        return {field: known[field] for field in wanted}

    def _spread(self, q: Array, m: Array, method: str, wanted: Sequence[str]) -> dict[str, Array]:
        found: dict[str, Array] = {}
        centred = not m.any()
        for field in wanted if method != "quadrature" else ():
            with np.errstate(over="ignore", under="ignore", invalid="ignore"):
                formula = self._centred(field) if centred else None
                if formula is not None:
                    found[field] = formula(q)
                elif field in self.forms.general:
                    found[field] = self.forms.general[field](q, m)
                elif method == "formula":
                    place = "mean 0" if centred else "a mean other than 0"
                    known = sorted({*self.forms.general, *(self.forms.centred if centred else ())})
                    raise InputError(
                        "fields",
                        field,
                        f"a closed form; {self.name} at {place} has: {', '.join(known) or 'none'}",
                    )
        for field, values in found.items():
            check_known("variance", f"{field} of {self.name}", values, q)
        rest = [field for field in wanted if field not in found]
        if rest:
            by_table = self.table.serves(q) & (m == 0)
            for field in rest:
                found[field] = np.empty(q.shape)
            for chosen, route in ((by_table, self._by_table), (~by_table, self._by_panels)):
                if chosen.any():
                    for field, values in route(q[chosen], m[chosen], rest).items():
                        found[field][chosen] = values
        return found

    def _by_table(self, q: Array, m: Array, wanted: Sequence[str]) -> dict[str, Array]:
        plain = [f for f in wanted if f != "variance"]
        signed = [f for f in wanted if f in _SIGNED]
        spread = ["mean", "second_moment", "rise", "rise squared"] if "variance" in wanted else []
        names = (*plain, *(f"abs {f}" for f in signed), *(n for n in spread if n not in plain))
        columns = dict(zip(names, self.table.evaluate(names, q).T, strict=True))
        for field in signed:
            check_reached(f"{field} of {self.name}", columns[field], columns[f"abs {field}"], 0.0 * q, 0.0, q)
        if spread:
            columns["variance"] = _variance(*(columns[name] for name in spread))
        return {field: columns[field] for field in wanted}

    def _by_panels(self, q: Array, m: Array, wanted: Sequence[str]) -> dict[str, Array]:
        plain = tuple(dict.fromkeys([*(f for f in wanted if f != "variance"), "mean", "second_moment"]))

        def integrands(z: Array) -> Array:
            a, d = np.asarray(self.value(z)), np.asarray(self.slope(z))
            square = a * a
            known = {
                "mean": a,
                "second_moment": square,
                "derivative_mean": d,
                "derivative_second_moment": d * d,
                "fourth_moment": square * square,
                "z_phi_dphi": z * a * d,
            }
            return np.stack([known[name] for name in plain])

        panels = resolve(integrands, q, m, self.kinks)
        values, sizes = integrate(integrands, panels, q, m)
        root = np.sqrt(values[plain.index("second_moment")])
        for name, value, size, error in zip(plain, values, sizes, panels.error, strict=True):
            reference = root if name == "mean" else size
            floor = 1e-3 if name == "mean" else 0.0
            check_reached(f"{name} of {self.name}", value, np.maximum(reference, size), error, floor, q)
        found = dict(zip(plain, values, strict=True))
        if "variance" in wanted:
            rise, squared = self._rise_moments(panels, q, m)
            found["variance"] = _variance(found["mean"], found["second_moment"], rise, squared)
        return {field: found[field] for field in wanted}

    def squared_rise(self, q: Array) -> Array:
        """Return E (phi(z) - phi(0))² for z ~ N(0, q); 0 for variance 0."""
        result = np.zeros(q.shape)
        by_table = (q > 0) & self.table.serves(q)
        result[by_table] = self.table.evaluate(("rise squared",), q[by_table])[:, 0]
        rest = (q > 0) & ~by_table
        if rest.any():
            found = self(q[rest], fields=("mean", "variance"))
            start = np.asarray(self.value(np.zeros(1)))[0]
            result[rest] = found.variance + np.square(found.mean - start)
        return result

    def _rise_moments(self, panels: Panels, q: Array, m: Array) -> tuple[Array, Array]:
        """Return E[phi(z) - phi(m)] and its square's mean, the rise integrated outwards from z = m."""
        start = np.asarray(self.value(m))
        rise, squared = np.empty(q.size), np.empty(q.size)
        bounds = np.searchsorted(panels.item, np.arange(q.size + 1))
        for i, (first, last) in enumerate(pairwise(bounds)):
            low, high = panels.low[first:last], panels.high[first:last]
            g, w = nodes_of(low, high)
            z = m[i] + np.sqrt(q[i]) * g
            slopes = np.sqrt(q[i]) * np.asarray(self.slope(z))
            local = 0.5 * (high - low)[:, None] * (slopes @ RUNNING)
            whole = (slopes * w).sum(axis=1)
            middle = int(np.searchsorted(low, 0.0))  # z = m is always an edge
            right = (
                np.concatenate([[0.0], np.cumsum(whole[middle:])[:-1]]) if middle < low.size else whole[:0]
            )
            left = -np.cumsum(whole[:middle][::-1])[::-1]
            integrated = local + np.concatenate([left, right])[:, None]
            psi = refined_rise(integrated, np.asarray(self.value(z)), start[i])
            weight = w * np.exp(-0.5 * g * g) / np.sqrt(2 * np.pi)
            rise[i], squared[i] = (weight * psi).sum(), (weight * psi * psi).sum()
        return rise, squared


_CANCELLING = (*_SIGNED, "variance")


def _variance(mean: Array, second: Array, rise: Array, squared: Array) -> Array:
    """Return the variance from the second moment about 0 or about phi at the mean, whichever is smaller."""
    return np.where(squared < second, squared - rise * rise, second - mean * mean)
