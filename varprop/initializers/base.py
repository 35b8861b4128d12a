"""`Initializer`, the table of names, and how a function that states a law enters it."""

from __future__ import annotations

import contextlib
import functools
import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from varprop._code import import_named
from varprop._identity import identity
from varprop._registry import Registry, Value, spell
from varprop._validation import InputError, check_integer, check_one_of, described, show
from varprop.initializers.drawn import Drawn
from varprop.initializers.laws import Law, check_size
from varprop.initializers.own import is_law, law_name, own_law
from varprop.initializers.sampling import sample_law

Rule = Callable[..., Any]
"""From (fan_in, fan_out) to a law."""
R = TypeVar("R", bound=Callable[..., Law])
Fan = int | None
"""Number of inputs or outputs of a layer; None where unknown."""
LARGEST_FAN = 2**53
"""Largest fan: the whole numbers up to here are exact in double precision."""

MODES = ("fan_in", "fan_out", "fan_avg")


@dataclass(frozen=True, eq=False)
class Initializer:
    """What a weight or bias is set to before training.

    Build one with `initializer`; for a law of your own that depends on the fans give a name and a function from
    ``(fan_in, fan_out)`` to a law. Two initializers are equal when their names are and, for those of your own, their
    functions do the same.

    Parameters
    ----------
    name : str
        Canonical spelling, e.g. ``"he_normal"`` or ``"normal(std=0.01)"``; default arguments are left out.
    rule : callable
        ``rule(fan_in, fan_out)`` returns a `Law`, or any law of your own as `initializer` takes it.
    preserves, suits, source : str
        What the law keeps constant between layers, the activations it is meant for, where it is stated.
    biases : str or None
        Spelling of the bias initializer, for presets of a whole layer.
    registered : bool
        Whether the name says everything, as that of an initializer of the table does.

    Examples
    --------
    >>> import numpy as np
    >>> he = initializer("he_normal")
    >>> he.variance(fan_in=500, fan_out=100)
    0.004
    >>> he.sample((100, 500), rng=np.random.default_rng(0)).shape
    (100, 500)
    """

    name: str
    rule: Rule = field(repr=False, compare=False)
    preserves: str = field(default="", repr=False, compare=False)
    suits: str = field(default="", repr=False, compare=False)
    source: str = field(default="", repr=False, compare=False)
    biases: str | None = field(default=None, repr=False, compare=False)
    registered: bool = field(default=False, repr=False, compare=False)
    _made_as: str = field(default="", init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.registered:
            with contextlib.suppress(InputError):  # only what needs the identity refuses a law without one
                object.__setattr__(self, "_made_as", self._identity())

    @property
    def origin(self) -> Initializer | None:
        """None for an initializer of the table, itself for one of the user's own."""
        return None if self.registered else self

    def digest(self) -> str:
        """Return the SHA-256 of everything that decides the law.

        Raises
        ------
        InputError
            If it cannot be told apart from others, or has changed since the initializer was made.
        """
        if self.registered:
            return identity(self.name)
        self.check_unchanged()
        return self._made_as or self._identity()

    def parts(self) -> tuple[object, ...]:
        """Return what it was made from."""
        return getattr(self.rule, "law", self.rule), self

    def check_unchanged(self) -> None:
        """Raise `InputError` if its law is another than when the initializer was made."""
        if self._made_as and self._made_as != self._identity():
            found = described(f"{show(self.name)}, whose law has changed since the initializer was made")
            raise InputError("initializer", found, "an initializer made anew from the changed law")

    def _identity(self) -> str:
        own_class = None if type(self) is Initializer else type(self)
        held = {k: v for k, v in vars(self).items() if k not in ("_made_as", "preserves", "suits", "source")}
        return identity((own_class, held), "initializer")

    def __varprop_digest__(self) -> str:
        return self.name if self.registered else f"{self.name} {self.digest()}"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Initializer):
            return NotImplemented
        if (self.name, self.registered) != (other.name, other.registered):
            return False
        if self.registered or self is other:
            return True
        if self._made_as and other._made_as:
            return self._made_as == other._made_as
        return type(self) is type(other) and self.rule is other.rule

    def __hash__(self) -> int:
        return hash(self.name)

    def law(self, fan_in: int | None, fan_out: int | None) -> Law:
        """Return the law of one entry of a layer with `fan_in` inputs and `fan_out` outputs.

        Parameters
        ----------
        fan_in, fan_out : int or None
            1 to 2**53; None where unknown, which is refused by a law that needs it.

        Raises
        ------
        InputError
            For a fan below 1, or an unknown one that the law needs.
        """
        fans = _check_fan("fan_in", fan_in), _check_fan("fan_out", fan_out)
        return self.rule(*fans) if self.registered else _checked_law(self, *fans)

    def mean(self, fan_in: int | None, fan_out: int | None) -> float:
        """Return the mean of one entry."""
        return self.law(fan_in, fan_out).mean

    def variance(self, fan_in: int | None, fan_out: int | None) -> float:
        """Return the variance of one entry."""
        return self.law(fan_in, fan_out).variance

    def excess_kurtosis(self, fan_in: int | None, fan_out: int | None) -> float:
        """Return the excess kurtosis of one entry."""
        return self.law(fan_in, fan_out).excess_kurtosis

    def sample(
        self,
        shape: tuple[int, ...],
        *,
        rng: np.random.Generator,
        fan_in: int | None = None,
        fan_out: int | None = None,
        dtype: DTypeLike = np.float64,
    ) -> NDArray[Any]:
        """Draw values.

        Parameters
        ----------
        shape : tuple of int
            ``(fan_out, fan_in)`` for a weight matrix, ``(draws, fan_out, fan_in)`` for several at once, or
            ``(width,)`` for biases.
        rng : numpy.random.Generator
            Where the randomness comes from.
        fan_in, fan_out : int, optional
            Fans of the layer. Default: the last two sizes of a `shape` that has two; state them for biases.
        dtype : {float64, float32}
            Type of the values. Single precision is drawn in single precision, hence faster.

        Returns
        -------
        ndarray
            New array of `shape` and `dtype`.

        Raises
        ------
        InputError
            For an impossible shape or dtype, a missing fan, or a vector where the law needs a matrix.
        """
        if not isinstance(rng, np.random.Generator):
            raise InputError("rng", rng, "a numpy.random.Generator")
        sizes = tuple(check_integer(f"shape[{i}]", size, minimum=1) for i, size in enumerate(shape))
        if len(sizes) >= 2:
            fan_in = sizes[-1] if fan_in is None else fan_in
            fan_out = sizes[-2] if fan_out is None else fan_out
        kind = np.dtype(dtype)
        if kind not in (np.float32, np.float64):
            raise InputError("dtype", described(str(kind)), "float32 or float64")
        return sample_law(self.law(fan_in, fan_out), sizes, rng, kind)

    def __str__(self) -> str:
        return self.name


@functools.lru_cache(maxsize=256)
def _checked_law(made: Initializer, fan_in: int | None, fan_out: int | None) -> Law:
    """Return the law of an initializer of the user's own, checked once against what it draws."""
    try:
        given = made.rule(fan_in, fan_out)
    except (InputError, KeyboardInterrupt):
        raise
    except BaseException as error:  # whatever a stranger's rule raises is one clear line
        problem = described(f"{show(made.name)} raising {type(error).__name__}: {show(str(error))}")
        raise InputError("initializer", problem, "a rule of (fan_in, fan_out) that returns a law") from error
    law = own_law(given, made.name)
    if type(made).sample is Initializer.sample:
        return law
    # A class that overrides `sample` draws in its own way, whatever family its rule names.
    own = Drawn(_OwnMethod(made, fan_in, fan_out), made.name)
    own_family = replace(
        law, family=f"own {law.family}", gaussian=False, continuous=False, parameters=(), sampler=own
    )
    return own_law(own_family, made.name)


@dataclass(frozen=True)
class _OwnMethod:
    """The `sample` of a class derived from `Initializer`, for stated fans."""

    made: Initializer
    fan_in: int | None
    fan_out: int | None

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
        return self.made.sample(shape, rng=rng, fan_in=self.fan_in, fan_out=self.fan_out)


@dataclass(frozen=True)
class Always:
    """The rule of a law that does not depend on the fans."""

    law: Any

    def __call__(self, fan_in: Fan, fan_out: Fan) -> Any:
        """Return the law."""
        return self.law


registry: Registry[Initializer] = Registry("initializer")
examples: dict[str, str] = {}
"""From each canonical name to a spelling with its required arguments filled in, for tables and tests."""


def register(name: str, *aliases: str, example: str | None = None, **facts: str | None) -> Callable[[R], R]:
    """Enter the decorated ``rule(fan_in, fan_out, **arguments) -> Law`` under `name` and `aliases`.

    The arguments after the fans become the allowed keys of the spelling. A spelling is checked when it is
    read, by trying the rule, and its name is made canonical: arguments in order, defaults left out.
    """

    def enter(rule: R) -> R:
        listed = list(inspect.signature(rule).parameters.values())[2:]
        reals = {p.name for p in listed if p.annotation == "float"}

        def factory(**arguments: Value) -> Initializer:
            values = {k: check_size(k, v) if k in reals else v for k, v in arguments.items()}
            stated = {p.name: p.default for p in listed} | values
            given = {p.name: stated[p.name] for p in listed if stated[p.name] != p.default}
            bound = functools.partial(rule, **given)
            # Whole-number arguments count groups, which must divide the fans.
            trial = max(1, math.prod(v for v in given.values() if isinstance(v, int)))
            bound(trial, trial)
            return Initializer(spell(name, given), bound, registered=True, **facts)  # type: ignore[arg-type]

        keyword_only = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in listed]
        factory.__signature__ = inspect.Signature(keyword_only)  # type: ignore[attr-defined]
        factory.__doc__ = rule.__doc__
        registry.register(name, *aliases)(factory)
        examples[name] = example or name
        return rule

    return enter


def initializer(spec: Any, field: str = "weights") -> Initializer:
    """Return the initializer that `spec` names or is.

    Parameters
    ----------
    spec : str, Initializer, or a law of your own
        A spelling ``name`` or ``name(key=value, …)``; ``"package.module:name"`` of an initializer or a law; an
        `Initializer`, returned as it is; or a law: a `Law`, a frozen distribution of scipy.stats, any object with
        ``sample(shape, rng=rng)``, `mean` and `variance` (see `varprop.initializers.own`). A law that depends on the
        fans is an `Initializer` with a rule.
    field : str
        What to call it in an error message.

    Raises
    ------
    InputError
        Unknown name or key (with the close match), a value the initializer refuses, or a law whose values do not
        have the moments it states.

    Examples
    --------
    >>> initializer("xavier_uniform").name
    'glorot_uniform'
    >>> initializer("keras.truncated_normal(stddev=1)").variance(None, None)  # not corrected for the cut
    0.7737413...
    >>> import scipy.stats
    >>> student = initializer(scipy.stats.t(5, scale=0.1))
    >>> student.name, round(student.variance(None, None), 6), round(student.excess_kurtosis(None, None), 6)
    ('scipy.stats.t(5, scale=0.1)', 0.016667, 6.0)
    """
    if isinstance(spec, Initializer):
        return spec
    if isinstance(spec, str) and ":" in spec:
        found = import_named(spec, field)
        if isinstance(found, Initializer):
            return found
        if not is_law(found):
            raise InputError(field, spec, "an Initializer, or an object with sample, mean and variance")
        return _own(found, spec, field)
    if isinstance(spec, str):
        return registry.make(spec, field)
    if is_law(spec):
        return _own(spec, law_name(spec), field)
    allowed = "the name of an initializer, an Initializer, or an object with sample, mean and variance"
    raise InputError(field, spec, allowed)


def _own(law: Any, name: str, field: str) -> Initializer:
    made = Initializer(name, Always(law))
    try:
        made.law(None, None)
    except InputError as error:
        raise error.under(field) from None
    return made


def bias_of(weights: Initializer) -> Initializer | None:
    """Return the bias law a whole-layer preset brings with it, None for any other initializer.

    Examples
    --------
    >>> bias_of(initializer("torch.linear_default")).name
    'uniform_fan_in'
    >>> bias_of(initializer("he_normal")) is None
    True
    """
    return None if weights.biases is None else initializer(weights.biases, "biases")


def fan(mode: str, fan_in: int | None, fan_out: int | None) -> float:
    """Return the fan that `mode` (``fan_in``, ``fan_out`` or their average ``fan_avg``) selects."""
    check_one_of("mode", mode, MODES)
    if mode == "fan_in":
        return known("fan_in", fan_in)
    if mode == "fan_out":
        return known("fan_out", fan_out)
    return (known("fan_in", fan_in) + known("fan_out", fan_out)) / 2


def known(field: str, value: int | None) -> int:
    """Return a fan the law cannot do without."""
    if value is None:
        raise InputError(field, value, "a whole number of at least 1 (this law depends on it)")
    return value


def _check_fan(field: str, value: int | None) -> int | None:
    return None if value is None else check_integer(field, value, minimum=1, maximum=LARGEST_FAN)
