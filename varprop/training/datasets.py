"""Small classification problems in the plane, and a split into training and test examples."""

from __future__ import annotations

import numpy as np

from varprop._random import generator
from varprop._validation import check_integer, check_real
from varprop.spec import Input

MOST_POINTS = 1_000_000
"""Largest number of points of a made data set: 16 MB of coordinates."""


def circles(n: int = 300, noise: float = 0.05, factor: float = 0.8, seed: int = 0) -> Input:
    """Two noisy concentric circles, class 0 outside and class 1 inside.

    Points are evenly spaced on each circle; the outer one has radius 1.

    Parameters
    ----------
    n : int
        Number of points, 2 to 1,000,000; half of them (rounded down) on the outer circle.
    noise : float
        Standard deviation of the Gaussian noise on both coordinates, 0 to 1e6.
    factor : float
        Radius of the inner circle, between 0 and 1.
    seed : int
        Names the noise.

    Returns
    -------
    Input
        Shape (2, n), with labels.

    Examples
    --------
    >>> x = circles(300)
    >>> x.array().shape, float(x.labels.mean())
    ((2, 300), 0.5)
    """
    n, noise = _checked(n, noise)
    factor = check_real("factor", factor, minimum=0.0, maximum=1.0)
    labels = (np.arange(n) >= n // 2).astype(int)
    turn = np.concatenate([np.arange(m) / m for m in (n // 2, n - n // 2)])
    radius = np.where(labels == 0, 1.0, factor)
    points = radius * np.stack([np.cos(2 * np.pi * turn), np.sin(2 * np.pi * turn)])
    return _noisy(points, labels, noise, seed, f"circles({n}, noise={noise:g}, factor={factor:g})")


def moons(n: int = 300, noise: float = 0.1, seed: int = 0) -> Input:
    """Two interleaved half circles of radius 1, the second turned around and moved by (1, 0.5).

    Parameters
    ----------
    n : int
        Number of points, 2 to 1,000,000; half of them (rounded down) of class 0.
    noise : float
        Standard deviation of the Gaussian noise on both coordinates, 0 to 1e6.
    seed : int
        Names the noise.

    Examples
    --------
    >>> moons(100).array().shape
    (2, 100)
    """
    n, noise = _checked(n, noise)
    labels = (np.arange(n) >= n // 2).astype(int)
    angle = np.concatenate([np.linspace(0, np.pi, m) for m in (n // 2, n - n // 2)])
    upper = np.stack([np.cos(angle), np.sin(angle)])
    points = np.where(labels == 0, upper, np.array([[1.0], [0.5]]) - upper)
    return _noisy(points, labels, noise, seed, f"moons({n}, noise={noise:g})")


def spirals(n: int = 300, noise: float = 0.02, turns: float = 1.5, arms: int = 2, seed: int = 0) -> Input:
    """Interleaved Archimedean spirals, one class per arm.

    Parameters
    ----------
    n : int
        Number of points, from `arms` to 1,000,000; they are dealt to the arms in turn.
    noise : float
        Standard deviation of the Gaussian noise on both coordinates, 0 to 1e6.
    turns : float
        Revolutions of an arm from radius 0.1 to radius 1.
    arms : int
        Number of classes, at least 2.
    seed : int
        Names the noise.

    Examples
    --------
    >>> int(spirals(90, arms=3).labels.max())
    2
    """
    arms = check_integer("arms", arms, minimum=2, maximum=MOST_POINTS)
    n, noise = _checked(n, noise, minimum=arms)
    turns = check_real("turns", turns, minimum=-1e6, maximum=1e6)
    labels = np.arange(n) % arms
    radius = 0.1 + 0.9 * (np.arange(n) // arms) / max(1, (n - 1) // arms)
    angle = 2 * np.pi * (turns * radius + labels / arms)
    points = radius * np.stack([np.cos(angle), np.sin(angle)])
    return _noisy(points, labels, noise, seed, f"spirals({n}, noise={noise:g}, turns={turns:g}, arms={arms})")


def split(data: Input, test: float = 0.2, seed: int = 0) -> tuple[Input, Input]:
    """Return `data` in two parts at random: for training, and a share `test` for testing.

    Parameters
    ----------
    data : Input
        At least two examples.
    test : float
        Between 0 and 1; each part gets at least one example.
    seed : int
        Names the split.

    Examples
    --------
    >>> [part.batch for part in split(circles(100), test=0.25)]
    [75, 25]
    """
    check_integer("data.batch", data.batch, minimum=2)
    share = check_real("test", test, minimum=0.0, maximum=1.0, exclusive=True)
    held = min(max(1, round(share * data.batch)), data.batch - 1)
    order = generator(seed, 0).permutation(data.batch)
    parts = []
    for name, columns in (("train", np.sort(order[held:])), ("test", np.sort(order[:held]))):
        labels = None if data.labels is None else data.labels[columns]
        parts.append(Input(data.array()[:, columns], f"{data.name}, {name}", labels))
    return parts[0], parts[1]


def _checked(n: int, noise: float, minimum: int = 2) -> tuple[int, float]:
    """Return number of points and noise within their bounds, before anything is allocated."""
    count = check_integer("n", n, minimum=minimum, maximum=MOST_POINTS)
    return count, check_real("noise", noise, minimum=0.0, maximum=1e6)


def _noisy(points: np.ndarray, labels: np.ndarray, noise: float, seed: int, name: str) -> Input:
    rng = generator(check_integer("seed", seed, minimum=0), 0)
    name = name if seed == 0 else f"{name[:-1]}, seed={seed})"
    return Input(points + noise * rng.standard_normal(points.shape), name, labels)
