"""Sums over a convolution's windows, and their adjoint: where zero padding loses second moment, and where
it comes back.

A site's second moment after a convolution is fan-in times the weight variance times the mean over its window, zeros
outside counted: at the edge of a 3-wide kernel two of three taps are inside, at a corner four of nine.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def output_sites(sites: tuple[int, ...], geometry: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the spatial shape after a convolution of this geometry.

    Parameters
    ----------
    sites : tuple of int
    geometry : mapping
        ``kernel``, ``stride``, ``dilation`` (one whole number an axis) and ``padding`` (a pair an axis).
    """
    return tuple(
        (size + sum(pad) - dilation * (kernel - 1) - 1) // stride + 1
        for size, kernel, stride, dilation, pad in zip(
            sites,
            geometry["kernel"],
            geometry["stride"],
            geometry["dilation"],
            geometry["padding"],
            strict=True,
        )
    )


def window_sum(profile: Array, geometry: Mapping[str, Any], wrap: bool = False) -> Array:
    """Sum `profile`, shape (…, *sites), over each window; outside is zero, or the other side if `wrap`.

    Examples
    --------
    >>> three = {"kernel": (3,), "stride": (1,), "dilation": (1,), "padding": ((1, 1),)}
    >>> window_sum(np.ones((1, 4)), three)
    array([[2., 3., 3., 2.]])
    """
    axes = len(geometry["kernel"])
    lead = profile.ndim - axes
    padded = np.pad(profile, [(0, 0)] * lead + list(geometry["padding"]), mode="wrap" if wrap else "constant")
    total = np.zeros((*profile.shape[:lead], *output_sites(profile.shape[lead:], geometry)))
    for place in _taps(geometry, total.shape[lead:]):
        total += padded[place]
    return total


def spread_back(profile: Array, sites: tuple[int, ...], geometry: Mapping[str, Any]) -> Array:
    """Return the adjoint of `window_sum`: what each of `sites` receives from the windows it is in.

    Examples
    --------
    >>> three = {"kernel": (3,), "stride": (1,), "dilation": (1,), "padding": ((1, 1),)}
    >>> spread_back(np.ones((1, 4)), (4,), three)
    array([[2., 3., 3., 2.]])
    """
    axes = len(geometry["kernel"])
    lead = profile.ndim - axes
    padding = geometry["padding"]
    padded = np.zeros((*profile.shape[:lead], *(n + sum(pad) for n, pad in zip(sites, padding, strict=True))))
    for place in _taps(geometry, profile.shape[lead:]):
        padded[place] += profile
    inside = (slice(pad[0], pad[0] + size) for size, pad in zip(sites, padding, strict=True))
    inner: tuple[Any, ...] = (Ellipsis, *inside)
    return np.asarray(padded[inner])


def _taps(geometry: Mapping[str, Any], outputs: tuple[int, ...]) -> Iterator[tuple[Any, ...]]:
    for offsets in itertools.product(*(range(k) for k in geometry["kernel"])):
        yield (
            Ellipsis,
            *(
                slice(offset * dilation, offset * dilation + (count - 1) * stride + 1, stride)
                for offset, dilation, stride, count in zip(
                    offsets, geometry["dilation"], geometry["stride"], outputs, strict=True
                )
            ),
        )
