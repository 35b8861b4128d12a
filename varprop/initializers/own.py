"""Laws of one's own: any object with `sample`, `mean` and `variance`, or a frozen distribution of scipy.stats.

Such an object says how to draw entries and what their moments are; `own_law` makes it a `Law` once what it says has
been checked against what it draws. Entries are independent and identically distributed, whatever the shape. What the
object does not say is not assumed: without ``excess_kurtosis`` there are no 1/n corrections, without
``symmetric = True`` no formula for symmetric laws, without ``continuous = True`` no formula for laws without atoms.
"""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from varprop._validation import InputError, check_real, described, show
from varprop.initializers.drawn import Drawn
from varprop.initializers.laws import Law, check_size, constant, normal, uniform

Array = NDArray[Any]

_SYMMETRIC = frozenset(
    ("anglit", "arcsine", "cosine", "dgamma", "dweibull", "gennorm", "hypsecant", "laplace", "logistic", "norm",
     "semicircular", "t", "tukeylambda", "uniform", "Normal", "Uniform", "Logistic")
)  # fmt: skip
"""Distributions of scipy.stats that are symmetric about their mean, whatever their parameters."""

_CHECKED = 1 << 16
_DECISIVE = 0.005
"""Share of a sum of squares from which one value decides it; of 65,536 normal values the largest has 0.0003."""
_REACH = 7.0
"""Standard errors by which a sample's moments may miss the stated ones: 3e-12 of normal samples do."""


def is_law(thing: object) -> bool:
    """Say whether `thing` is a law of one's own: an object (no class) that draws and states its moments."""
    if isinstance(thing, type):
        return False
    return (
        isinstance(thing, Law)
        or _is_frozen(thing)
        or all(hasattr(thing, n) for n in ("sample", "mean", "variance"))
    )


def law_name(thing: Any) -> str:
    """Return what to call a law of one's own in tables."""
    if _is_frozen(thing):
        listed = [f"{v:g}" if isinstance(v, float) else str(v) for v in getattr(thing, "args", ())]
        named = getattr(thing, "kwds", {})
        listed += [f"{k}={v:g}" if isinstance(v, float) else f"{k}={v}" for k, v in named.items()]
        return f"scipy.stats.{_scipy_name(thing)}({', '.join(listed)})"
    stated = getattr(thing, "name", None)
    if isinstance(stated, str) and stated.strip():
        return stated
    if isinstance(thing, Law):
        return thing.family
    return f"{type(thing).__module__}:{type(thing).__qualname__}"


def own_law(thing: Any, name: str) -> Law:
    """Return the law that `thing` is, its statements checked against 65,536 of its values.

    Parameters
    ----------
    thing : Law, frozen distribution of scipy.stats, or any object with `sample`, `mean` and `variance`
        ``sample(shape, rng=rng)`` returns values; `mean`, `variance` and, optionally, `excess_kurtosis`,
        `symmetric` and `continuous` are numbers and flags, or methods without arguments that return them.
    name : str
        For messages.

    Raises
    ------
    InputError
        If it has no finite mean and variance, draws what is not finite or of another shape, or its values do not
        have the moments and flags it states. A right law is refused with a probability below 1e-10.
    """
    if isinstance(thing, Law):
        if thing.sampler is not None:
            _check_sample(thing, name)
        return thing
    if not is_law(thing):
        allowed = "an object with sample, mean and variance, or a frozen distribution of scipy.stats"
        raise InputError("law", described(f"{show(name)}, a {type(thing).__name__}"), allowed)
    mean, variance, kurtosis = _moments(thing, name)
    if variance == 0.0:
        return constant(mean)
    known = _known(thing, mean, variance)
    if known is not None:
        return known
    symmetric = _flag(thing, "symmetric", _scipy_name(thing) in _SYMMETRIC and mean == 0.0)
    if symmetric and mean != 0.0:
        problem = described(f"{show(name)}, symmetric with mean {mean:g}")
        raise InputError("law.symmetric", problem, "symmetric laws about 0 only")
    law = Law(
        family=(_scipy_name(thing) or type(thing).__name__),
        mean=mean,
        variance=variance,
        excess_kurtosis=kurtosis,
        iid=True,
        gaussian=False,
        symmetric=symmetric,
        deterministic=False,
        continuous=_flag(thing, "continuous", _is_continuous(thing)),
        sampler=Drawn(_Sampling(thing), name),
    )
    _check_sample(law, name)
    return law


@dataclass(frozen=True)
class _Sampling:
    """The sampler of an object, however it wants to be called."""

    thing: Any

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
        if _is_frozen(self.thing):
            return self.thing.rvs(size=shape, random_state=rng)
        sample = self.thing.sample
        try:
            parameters = inspect.signature(sample).parameters
        except (TypeError, ValueError):
            return sample(shape, rng=rng)
        anything = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
        for key in ("rng", "random_state", "generator"):
            if key in parameters:
                return sample(shape, **{key: rng})
        return sample(shape, rng=rng) if anything else sample(shape, rng)


def _is_frozen(thing: object) -> bool:
    return all(hasattr(thing, name) for name in ("rvs", "stats", "support"))


def _scipy_name(thing: Any) -> str:
    if _is_frozen(thing):
        return str(getattr(thing, "dist", thing).name)
    return type(thing).__name__ if type(thing).__module__.startswith("scipy.stats") else ""


def _is_continuous(thing: Any) -> bool:
    if _is_frozen(thing):
        return hasattr(getattr(thing, "dist", thing), "pdf")
    return type(thing).__name__ in ("Normal", "Uniform", "Logistic") and bool(_scipy_name(thing))


def _moments(thing: Any, name: str) -> tuple[float, float, float]:
    """Return mean, variance and excess kurtosis (infinite if it is not stated)."""
    if _is_frozen(thing):
        try:
            with np.errstate(all="ignore"):
                stated = [np.asarray(part, dtype=float) for part in thing.stats(moments="mvk")]
        except Exception as error:  # an unfrozen one lacks its parameters
            problem = described(f"{show(name)}: {type(error).__name__}: {show(str(error))}")
            raise InputError("law", problem, "a frozen distribution, with its parameters") from None
        if any(part.shape for part in stated):
            raise InputError(
                "law", described(f"{show(name)} with arrays of parameters"), "one law, of one entry"
            )
        mean, variance, kurtosis = (float(part) for part in stated)
    else:
        mean, variance = _number(thing, "mean", name), _number(thing, "variance", name)
        kurtosis = math.inf
        if hasattr(thing, "excess_kurtosis"):
            kurtosis = _number(thing, "excess_kurtosis", name, finite=False)
        elif _scipy_name(thing):
            kurtosis = float(thing.kurtosis(convention="excess"))
    if not (math.isfinite(mean) and math.isfinite(variance)):
        problem = described(f"{show(name)}, with mean {mean:g} and variance {variance:g}")
        raise InputError("law", problem, "a law with a finite mean and variance")
    check_size("law.std", math.sqrt(check_real("law.variance", variance, minimum=0.0)))
    check_size("law.mean", mean)
    if kurtosis < -2.0 - 1e-9:
        raise InputError("law.excess_kurtosis", kurtosis, "at least -2")
    return mean, variance, math.inf if math.isnan(kurtosis) else kurtosis


def _number(thing: Any, key: str, name: str, finite: bool = True) -> float:
    value = getattr(thing, key)
    try:
        value = value() if callable(value) else value
        number = float(value)
    except Exception as error:
        problem = described(f"{show(name)}: {type(error).__name__}: {show(str(error))}")
        raise InputError(
            f"law.{key}", problem, "a number, or a method without arguments that returns one"
        ) from None
    return check_real(f"law.{key}", number) if finite else number


def _flag(thing: Any, key: str, default: bool) -> bool:
    stated = getattr(thing, key, default)
    stated = stated() if callable(stated) else stated
    if not isinstance(stated, bool | np.bool_):
        raise InputError(f"law.{key}", stated, "true or false")
    return bool(stated)


def _known(thing: Any, mean: float, variance: float) -> Law | None:
    """Return the table's own law for a normal or uniform distribution of scipy.stats."""
    kind = _scipy_name(thing).lower()
    if kind in ("norm", "normal"):
        return normal(math.sqrt(variance), mean)
    if kind == "uniform":
        half = math.sqrt(3.0 * variance)
        return uniform(mean - half, mean + half)
    return None


def _check_sample(law: Law, name: str) -> None:
    """Refuse a law whose values do not have the moments it states, on one fixed stream; see `own_law`."""
    assert law.sampler is not None
    law.sampler((3, 2, 2), np.random.default_rng(0))
    values = law.sampler((_CHECKED,), np.random.default_rng(1))
    if not np.array_equal(values, law.sampler((_CHECKED,), np.random.default_rng(1))):
        problem = described(f"{show(name)}, whose values do not depend on the generator alone")
        raise InputError(
            "sample", problem, "a sampler that draws from the rng it is given, and from nothing else"
        )
    found = _contradiction(law, values)
    if found:
        # A rare value may decide a moment: more values settle it.
        found = _contradiction(law, law.sampler((16 * _CHECKED,), np.random.default_rng(2)))
    if found:
        raise InputError(
            "law", described(f"{show(name)}, {found}"), "statements that the law's own values bear out"
        )


def _contradiction(law: Law, values: Array) -> str:
    n = len(values)
    mean_error = law.std / math.sqrt(n)
    if abs(values.mean() - law.mean) > _REACH * mean_error:
        return f"with mean {law.mean:g} but values of mean {values.mean():.4g}"
    square = np.square((values - law.mean) / law.std)
    own = float(square.std()) / math.sqrt(n)
    stated = math.sqrt(max(law.excess_kurtosis + 2.0, 0.0) / n) if math.isfinite(law.excess_kurtosis) else 0.0
    slack = 1e-9
    if not math.isfinite(law.excess_kurtosis):
        # Where few values decide the sum, the sample's own error says little, and only a gross mistake is certain.
        slack = 0.75 if float(square.max() / square.sum()) > _DECISIVE else 0.02
    if abs(square.mean() - 1.0) > _REACH * max(own, stated) + slack:
        return f"with variance {law.variance:g} but values of variance {square.mean() * law.variance:.4g}"
    if law.symmetric and _distance(values, -values) > math.sqrt(-math.log(0.5e-12) / n):
        return "symmetric but with values that are not"
    if law.continuous and len(np.unique(values)) < 0.99 * n:
        return "continuous but with values that repeat"
    return ""


def _distance(one: Array, two: Array) -> float:
    grid = np.concatenate([one, two])
    shares = (np.searchsorted(np.sort(v), grid, side="right") / len(v) for v in (one, two))
    return float(np.abs(next(shares) - next(shares)).max())
