"""`Initializer`, the table of names, and how a function that states a law enters it."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from varprop._registry import Registry, Value, spell
from varprop._validation import InputError, check_integer, check_one_of, described
from varprop.initializers.laws import Law, check_size
from varprop.initializers.sampling import sample_law

Rule = Callable[..., Law]
Fan = int | None
"""Number of inputs or outputs of a layer; None where unknown."""
MODES = ("fan_in", "fan_out", "fan_avg")


@dataclass(frozen=True)
class Initializer:
    """What a weight or bias is set to before training.

    Two initializers are equal when their names are. Build one with `initializer`; for a law of your
    own give a name and a picklable function from ``(fan_in, fan_out)`` to a `Law`.

    Parameters
    ----------
    name : str
        Canonical spelling, e.g. ``"he_normal"`` or ``"normal(std=0.01)"``; default arguments are left out.
    rule : callable
        ``rule(fan_in, fan_out) -> Law``.
    preserves, suits, source : str
        What the law keeps constant between layers, the activations it is meant for, where it is stated.
    biases : str or None
        Spelling of the bias initializer, for presets of a whole layer.

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

    def law(self, fan_in: int | None, fan_out: int | None) -> Law:
        """Return the law of one entry of a layer with `fan_in` inputs and `fan_out` outputs.

        Parameters
        ----------
        fan_in, fan_out : int or None
            At least 1; None where unknown, which is refused by a law that needs it.

        Raises
        ------
        InputError
            For a fan below 1, or an unknown one that the law needs.
        """
        return self.rule(_check_fan("fan_in", fan_in), _check_fan("fan_out", fan_out))

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


registry: Registry[Initializer] = Registry("initializer")
examples: dict[str, str] = {}
"""From each canonical name to a spelling with its required arguments filled in, for tables and tests."""


def register(
    name: str, *aliases: str, example: str | None = None, **facts: str | None
) -> Callable[[Rule], Rule]:
    """Enter the decorated ``rule(fan_in, fan_out, **arguments) -> Law`` under `name` and `aliases`.

    The arguments after the fans become the allowed keys of the spelling. A spelling is checked when it is
    read, by trying the rule, and its name is made canonical: arguments in order, defaults left out.
    """

    def enter(rule: Rule) -> Rule:
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
            return Initializer(spell(name, given), bound, **facts)  # type: ignore[arg-type]

        keyword_only = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in listed]
        factory.__signature__ = inspect.Signature(keyword_only)  # type: ignore[attr-defined]
        factory.__doc__ = rule.__doc__
        registry.register(name, *aliases)(factory)
        examples[name] = example or name
        return rule

    return enter


def initializer(spec: str | Initializer, field: str = "weights") -> Initializer:
    """Return the initializer that `spec` names.

    Parameters
    ----------
    spec : str or Initializer
        A spelling ``name`` or ``name(key=value, …)``; an `Initializer` is returned as it is.
    field : str
        What to call it in an error message.

    Raises
    ------
    InputError
        Unknown name or key (with the close match), or a value the initializer refuses.

    Examples
    --------
    >>> initializer("xavier_uniform").name
    'glorot_uniform'
    >>> initializer("keras.truncated_normal(stddev=1)").variance(None, None)  # not corrected for the cut
    0.7737413...
    """
    if isinstance(spec, Initializer):
        return spec
    if not isinstance(spec, str):
        raise InputError(field, spec, "the name of an initializer")
    return registry.make(spec, field)


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
    return None if value is None else check_integer(field, value, minimum=1)
