"""Rows that say the same by definition, so that a table's error rate counts them once."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from varprop._validation import InputError
from varprop.comparison.joining import Pairs

_ALWAYS = (
    # A bias enters its pre-activation with slope 1.
    ("gradient_bias", "gradient_preactivation"),
    # The mean over one example is that example; the same holds of "inactive for every one of them".
    ("gradient_weight_batch", "gradient_weight"),
    ("dead_fraction", "inactive_fraction"),
)

_OF_THE_IDENTITY = (
    ("activation_mean", "preactivation_mean"),
    ("activation_second_moment", "preactivation_second_moment"),
)


def first_of_each(pairs: Pairs) -> npt.NDArray[np.int_]:
    """Return for every row the place of the row that it repeats, its own place where it repeats none.

    Two rows are one statement where definitions make them so (a bias's gradient is its pre-activation's; of a single
    example, the batch's gradient is the example's; the identity passes its moments on; relu is saturated where it is
    inactive) *and* prediction, measurement and error are the same numbers to the last bit. Equal numbers alone say
    nothing, and rows that definitions make equal but that differ, in a table from elsewhere, are both tested.
    """
    description = pairs.description
    keys = zip(
        description["case"].tolist(),
        description["node"].tolist(),
        description["layer"].tolist(),
        description["quantity"].tolist(),
        strict=True,
    )
    place = {key: i for i, key in enumerate(keys)}
    first = np.arange(len(pairs))
    numbers = np.column_stack([pairs.predicted, pairs.measured, pairs.std_error, pairs.draws])
    for (case, node, layer, quantity), i in place.items():
        for other in _equals(quantity, description["activation"][i]):
            j = place.get((case, node, layer, other), i)
            if j != i and np.array_equal(numbers[i], numbers[j]):
                first[i] = j
                break
    while not np.array_equal(first, first[first]):
        first = first[first]
    return first


def _equals(quantity: str, activation: str) -> Iterator[str]:
    """Yield the quantities that may be `quantity` by another name."""
    yield from (other for name, other in _ALWAYS if name == quantity)
    if activation in ("linear", "identity"):
        yield from (other for name, other in _OF_THE_IDENTITY if name == quantity)
    if quantity == "inactive_fraction" and _off_where_saturated(activation):
        yield "saturated_fraction"


@lru_cache(maxsize=256)
def _off_where_saturated(spelling: str) -> bool:
    """Say whether a named activation is saturated exactly where it declares itself inactive."""
    from varprop.activations import activation

    try:
        phi = activation(spelling)
        tails = phi.saturation()
    except InputError:  # no name of ours: what it does is not known here
        return False
    rays: tuple[tuple[float, float], ...] = ((-np.inf, tails.low),) if tails.high == np.inf else ()
    return bool(rays) and tuple(phi.inactive) == rays
