"""What is known of a node's output before it is measured, and what rules may ask about the node."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from varprop.spec.traced import Node

Array = NDArray[np.float64]

_SEVERITY = {"exact": 0, "1/n": 1, "infinite": 2, "approximate": 3}


@dataclass(frozen=True)
class Signal:
    """Moments of the entries of one activation.

    Attributes
    ----------
    second, mean : ndarray, shape (examples, *sites)
        E h² and E h of an entry, over draws and the units that stand at one site.
    shape : tuple of int
        Of the tensor itself.
    data, spread : float or None
        Variance of a unit over examples (ddof = 1), and of a channel over examples and sites together (ddof = 0);
        None where no rule gives it.
    fresh : bool
        Flipping the signs of the last weights that were applied flips the sign of every entry: the entry
        has a symmetric law and no correlation with anything computed before those weights.
    gaussian : bool
        An entry at a fixed example and site is Gaussian in the limit of a large fan-in.
    order : str
        How exact `second` is; `mean_order` and `spread_order` say so for the others.
    why : str
        The assumption that makes it inexact.
    spread_why : str
        The assumption that makes `data` and `spread` inexact.
    tail : str
        Why an entry is not one Gaussian however large the fan-in: what a nonlinear function makes of it is approximate.
    """

    second: Array
    mean: Array
    shape: tuple[int, ...]
    data: float | None = None
    spread: float | None = None
    fresh: bool = False
    gaussian: bool = False
    order: str = "exact"
    mean_order: str = "exact"
    spread_order: str = "exact"
    why: str = ""
    spread_why: str = ""
    tail: str = ""

    @property
    def level(self) -> float:
        """Second moment averaged over examples and sites."""
        return float(self.second.mean())

    @property
    def sites(self) -> tuple[int, ...]:
        """Spatial shape of the profile; empty where sites are not told apart."""
        return self.second.shape[1:]

    @property
    def units(self) -> int:
        """Entries of one example."""
        return max(math.prod(self.shape[1:]), 1)

    def flat(self) -> Signal:
        """The same without its sites."""
        axes = tuple(range(1, self.second.ndim))
        return replace(self, second=self.second.mean(axes), mean=self.mean.mean(axes))


@dataclass(frozen=True)
class ParameterFact:
    """Moments of the entries of one parameter, from its law where that has a name, else as drawn.

    Attributes
    ----------
    mean, second_moment : float
    gaussian, symmetric : bool
        Whether the law is known to be normal, or a single value; and to be symmetric about 0.
    """

    mean: float
    second_moment: float
    gaussian: bool = True
    symmetric: bool = True

    @property
    def variance(self) -> float:
        """Variance of an entry."""
        return max(self.second_moment - self.mean**2, 0.0)


@dataclass(frozen=True)
class Facts:
    """What rules may ask about a node besides its attributes.

    Attributes
    ----------
    parameters : mapping
        From a parameter's full name to its moments.
    measured : mapping
        From (node, quantity) to the measured value.
    examples : int
    copied : bool
        Whether some weights are copies of others, so that branches are not independent.
    """

    parameters: Mapping[str, ParameterFact] = field(default_factory=dict)
    measured: Mapping[tuple[int, str], float] = field(default_factory=dict)
    examples: int = 1
    copied: bool = False

    def of(self, node: Node, own: str) -> ParameterFact | None:
        """Return the facts of a node's own parameter, None if it has none of that name."""
        if own == "weight" and "parameter" in node.attributes:
            return self.parameters.get(str(node.attributes["parameter"]))
        prefix = "" if node.module == "(model)" else f"{node.module}."
        return self.parameters.get(f"{prefix}{own}") if own in node.parameters else None


def worst(*orders: str) -> str:
    """Return the least exact of some orders.

    Examples
    --------
    >>> worst("exact", "infinite", "1/n")
    'infinite'
    """
    return max(orders, key=lambda order: _SEVERITY[order])


def reasons(*texts: str, limit: int = 4) -> str:
    """Join assumptions, each once and not more than `limit`.

    Examples
    --------
    >>> reasons("a; b", "", "b")
    'a; b'
    """
    parts = list(dict.fromkeys(part for text in texts for part in text.split("; ") if part))
    return "; ".join([*parts[:limit], *(["…"] if len(parts) > limit else [])])


def uniform(signal: Signal, level: float, **changes: object) -> Signal:
    """Return `signal` with the same second moment everywhere."""
    return replace(signal, second=np.full_like(signal.second, level), **changes)  # type: ignore[arg-type]
