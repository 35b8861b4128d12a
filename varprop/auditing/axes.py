"""Which axis of a traced tensor holds what: examples, positions, features, or parts of them.

Views only rename: they are followed as factors of axes, so that heads split off features and sites that are flattened
are known again where an op reads them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

EXAMPLES, POSITION, FEATURES = "examples", "position", "features"


@dataclass(frozen=True)
class Factor:
    """A factor of an axis.

    Attributes
    ----------
    kind : str
        `EXAMPLES`, `POSITION` or `FEATURES`.
    place : tuple of int
        Orders the factors of one kind, as row-major digits.
    size : int
    """

    kind: str
    place: tuple[int, ...]
    size: int


Axis = tuple[Factor, ...]
Axes = tuple[Axis, ...]


def plain(examples: int, features: int, positions: tuple[int, ...], channel_axis: bool) -> Axes:
    """Return axes of a batch with its features first (images) or last (sequences, vectors)."""
    own = ((Factor(FEATURES, (0,), features),),)
    sites = tuple((Factor(POSITION, (i,), n),) for i, n in enumerate(positions))
    return ((Factor(EXAMPLES, (0,), examples),), *((*own, *sites) if channel_axis else (*sites, *own)))


def viewed(axes: Axes, shape: tuple[int, ...]) -> Axes | None:
    """Return the axes of the same numbers in row-major order under another shape; None where they cannot be told.

    Examples
    --------
    >>> split = viewed(plain(2, 12, (5,), False), (2, 5, 3, 4))
    >>> [[factor.size for factor in axis] for axis in split]
    [[2], [5], [3], [4]]
    """
    waiting = [factor for axis in axes for factor in axis]
    found: list[Axis] = []
    for size in shape:
        axis: list[Factor] = []
        left = size
        while left > 1 or (size == 1 and not axis and waiting and waiting[0].size == 1):
            if not waiting:
                return None
            factor = waiting.pop(0)
            if left % factor.size:
                first, rest = left, factor.size // left
                if factor.kind != FEATURES or factor.size % left:
                    return None
                waiting.insert(0, replace(factor, place=(*factor.place, 1), size=rest))
                factor = replace(factor, place=(*factor.place, 0), size=first)
            axis.append(factor)
            left //= factor.size
        found.append(tuple(axis))
    if any(factor.size > 1 for factor in waiting):
        return None
    if waiting:
        found[-1] = (*found[-1], *waiting)
    return tuple(found)


def holds(axis: Axis, kind: str, axes: Axes) -> bool:
    """Return whether an axis holds all factors of one kind in order, and nothing else but factors of size 1."""
    own = [factor for factor in axis if factor.kind == kind]
    everything = [factor for other in axes for factor in other if factor.kind == kind]
    others = [factor for factor in axis if factor.kind != kind and factor.size > 1]
    return bool(own) and not others and own == sorted(everything, key=lambda factor: factor.place)


def holds_rest(axis: Axis, axes: Axes) -> bool:
    """Return whether an axis holds everything but the examples."""
    inside = sum(factor.kind != EXAMPLES for factor in axis)
    return len(axis) == inside == sum(f.kind != EXAMPLES for other in axes for f in other)


def is_image(axes: Axes) -> bool:
    """Return whether axes are examples, features, and one axis for each position's, in order."""
    if len(axes) < 3 or not (holds(axes[0], EXAMPLES, axes) and holds(axes[1], FEATURES, axes)):
        return False
    sites = [factor for axis in axes[2:] for factor in axis if factor.kind == POSITION]
    alone = all(len(axis) == 1 and axis[0].kind == POSITION for axis in axes[2:])
    return alone and sites == sorted(sites, key=lambda factor: factor.place)


def heads_of(axes: Axes) -> int | None:
    """Return how many heads there are in (examples, heads, tokens, features of a head); None if that is not it."""
    if len(axes) != 4 or not (holds(axes[0], EXAMPLES, axes) and holds(axes[2], POSITION, axes)):
        return None
    both = (*axes[1], *axes[3])
    if any(factor.kind != FEATURES for factor in both) or not both:
        return None
    ordered = list(both) == sorted(both, key=lambda factor: factor.place)
    return math.prod(factor.size for factor in axes[1]) if ordered else None
