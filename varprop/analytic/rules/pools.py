"""Pooling over windows that tile the plane.

A maximum of k Gaussian sites of equal correlation rho is sqrt(rho) g + sqrt(1 - rho) max(g_1..g_k) in law, so

    E max = sqrt(q (1 - rho)) m_1,    E max² = q (rho + (1 - rho) m_2),

with the moments m of the maximum of k independent standard normals. The correlation of sites is measured at the
pool's input: it is a property of the images as much as of the network.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from scipy.special import ndtr

from varprop.analytic.rules.signal import Array, Facts, Signal, reasons
from varprop.spec.traced import Node

_EQUAL = "sites of a window taken as equally correlated, as measured at the pool's input"


def max_pool(node: Node, inputs: list[Signal], facts: Facts) -> Signal | None:
    """Maximum over a window of Gaussian entries of mean zero."""
    before = inputs[0]
    count = _count(node, before)
    correlation = facts.measured.get((node.index, "site_correlation"))
    if count is None or correlation is None or not before.gaussian or np.any(before.mean != 0):
        return None
    rho = min(max(correlation, 0.0), 1.0)
    first, second = maximum_moments(count)
    level = _coarse(before.second, node)
    return Signal(
        level * (rho + (1 - rho) * second),
        np.sqrt(level * (1 - rho)) * first,
        node.shape,
        order="approximate",
        mean_order="approximate",
        why=reasons(before.why, _EQUAL),
    )


def max_pool_back(node: Node, gradient: Array, inputs: list[Signal], facts: Facts) -> Array | None:
    """One site of every window gets the whole gradient: its energy is kept."""
    count = _count(node, inputs[0])
    return None if count is None else _fine(gradient / count, inputs[0])


def average_pool(node: Node, inputs: list[Signal], facts: Facts) -> Signal | None:
    """Average over a window: of k sites with normalised second moment rho, (1 + (k - 1) rho)/k of E h² is kept."""
    before = inputs[0]
    count = _count(node, before)
    correlation = facts.measured.get((node.index, "site_correlation"))
    if count is None or correlation is None:
        return None
    kept = (1 + (count - 1) * min(max(correlation, -1 / max(count - 1, 1)), 1.0)) / count
    return Signal(
        _coarse(before.second, node) * kept,
        _coarse(before.mean, node),
        node.shape,
        order="approximate",
        mean_order=before.mean_order,
        why=reasons(before.why, _EQUAL),
    )


def average_pool_back(node: Node, gradient: Array, inputs: list[Signal], facts: Facts) -> Array | None:
    """Every one of k sites gets a k-th of the gradient."""
    count = _count(node, inputs[0])
    return None if count is None else _fine(gradient / count**2, inputs[0])


@functools.lru_cache(maxsize=64)
def maximum_moments(count: int) -> tuple[float, float]:
    """Return mean and second moment of the maximum of `count` independent standard normals.

    Examples
    --------
    >>> tuple(round(m, 10) for m in maximum_moments(4))
    (1.029375373, 1.5513288954)
    """
    nodes, weights = np.polynomial.legendre.leggauss(400)
    x = 12.0 * nodes
    density = count * np.exp(-x * x / 2) / math.sqrt(2 * math.pi) * ndtr(x) ** (count - 1)
    return float(12.0 * weights @ (x * density)), float(12.0 * weights @ (x * x * density))


def _count(node: Node, before: Signal) -> int | None:
    """Entries a window holds, if the windows tile the plane."""
    inside, outside = math.prod(before.shape[2:]), math.prod(node.shape[2:])
    whole = all(a % b == 0 for a, b in zip(before.shape[2:], node.shape[2:], strict=False))
    tiled = len(before.shape) == len(node.shape) > 2 and outside > 0 and whole
    return inside // outside if tiled else None


def _coarse(profile: Array, node: Node) -> Array:
    """Average a profile over the windows."""
    sites = node.shape[2:]
    if profile.ndim == 1:
        return profile
    shape: list[int] = [profile.shape[0]]
    for size, count in zip(profile.shape[1:], sites, strict=True):
        shape += [count, size // count]
    return np.asarray(profile.reshape(shape).mean(tuple(range(2, len(shape), 2))))


def _fine(gradient: Array, before: Signal) -> Array:
    """Give every site of a window its window's value."""
    if gradient.ndim == 1 or not before.sites:
        flat = gradient.reshape(gradient.shape[0], -1).mean(1)
        return np.broadcast_to(
            flat.reshape(-1, *(1,) * len(before.sites)), (flat.shape[0], *before.sites)
        ).copy()
    for axis, size in enumerate(before.sites, start=1):
        gradient = np.repeat(gradient, size // gradient.shape[axis], axis=axis)
    return gradient
