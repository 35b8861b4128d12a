"""What a rule is, what it is told beside numbers, and the table of rules by op."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from varprop.montecarlo.samplers.reductions import Columns

if TYPE_CHECKING:
    from varprop.montecarlo.normals import Noise
    from varprop.spec.ops import Op, Shape

Array = NDArray[Any]


@dataclass(frozen=True)
class Place:
    """An op at its place in a network.

    Attributes
    ----------
    op : Op
    inputs : tuple of Shape
        Of what it reads, for one example.
    output : Shape
    examples : int
        B; the columns of a value are its B T positions.
    node, table : int
        Its index in the graph, and that of the node whose weights it uses (its own, but for an unembedding).
    """

    op: Any
    inputs: tuple[Shape, ...]
    output: Shape
    examples: int
    node: int = 0
    table: int = 0


@dataclass
class Context:
    """What rules share while one group of networks is walked.

    Attributes
    ----------
    noise : Noise
    draws : int
        Networks in the group.
    explicit : bool
        Whether every linear map is drawn entry by entry, even where that is not needed.
    keep : bool
        Whether such matrices are kept for the way back; otherwise they are drawn again, bit for bit.
    bare : bool
        Whether only values are wanted: nothing will be measured and nothing goes back.
    tables : dict
        From an embedding's node to what is known of its table.
    """

    noise: Noise
    draws: int
    explicit: bool = False
    keep: bool = True
    bare: bool = False
    tables: dict[int, Any] = field(default_factory=dict)


class WeightUse(Protocol):
    """What an op's use of weights keeps for the way back."""

    inputs: Columns
    """What the weights were multiplied with, shape (draws · groups, columns of the matrix, N)."""


Forward = Callable[[Place, Sequence[Columns], Context], tuple[Array, Any]]
Backward = Callable[[Place, Any, Columns, Context], Sequence[Array]]


@dataclass(frozen=True)
class Rule:
    """How an op acts on arrays of shape (draws, features, B T).

    Attributes
    ----------
    forward : callable
        ``forward(place, inputs, context)`` returns the output and what `vjp` needs.
    vjp : callable
        ``vjp(place, saved, gradient, context)`` returns the gradients at the inputs, given that at the output. An
        array may be the gradient itself; nobody changes it in place.
    weight_gradients : callable or None
        For ops with weights on an input of numbers: ``weight_gradients(place, saved, gradient)`` returns each draw's
        sum over examples of the squared norm of dL_b/dW, that of the sum over examples, and the number of entries.
    measure : callable or None
        ``measure(saved)`` returns further quantities by name, one number per draw.
    """

    forward: Forward
    vjp: Backward
    weight_gradients: Callable[[Place, Any, Columns], tuple[Array, Array, int]] | None = None
    measure: Callable[[Any], dict[str, Array]] | None = None


RULES: dict[type[Op], Rule] = {}


def register(op: type[Op], rule: Rule) -> None:
    """Enter the rule of an op."""
    RULES[op] = rule


def column_sums(x: Array) -> Array:
    """Return the sums over features, shape (draws, 1, N)."""
    sums: Array = np.matmul(np.ones((1, x.shape[1]), x.dtype), x)
    return sums


def column_dots(x: Array, y: Array) -> Array:
    """Return the inner products of columns, shape (draws, 1, N)."""
    return np.einsum("rij,rij->rj", x, y)[:, None, :]  # type: ignore[no-any-return]
