"""Explicit networks in plain NumPy: no code of the package but the description of inputs.

Weights are drawn, values written down op by op, gradients written down by hand; what the tests compare are averages
over draws, with standard errors from the draws alone.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def averaged(
    draw: Callable[[np.random.Generator], dict[str, Array]], draws: int, seed: int
) -> dict[str, tuple[Array, Array]]:
    """Return mean and standard error over draws of every array that `draw` returns."""
    rng = np.random.default_rng(seed)
    found = [draw(rng) for _ in range(draws)]
    result = {}
    for name in found[0]:
        values = np.stack([one[name] for one in found])
        result[name] = (values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(draws))
    return result


def close(predicted: Array, measured: tuple[Array, Array], allowance: float = 0.0) -> None:
    """Assert that every entry is within 4.5 standard errors, and `allowance` times the largest entry.

    An entry that is right fails with probability 7e-6; with 200 entries a test has a false alarm rate below 2e-3.
    """
    mean, error = measured
    bound = 4.5 * error + allowance * np.abs(mean).max() + 1e-12
    worst = np.max(np.abs(predicted - mean) / bound)
    assert worst <= 1.0, f"{worst:.2f} times the bound: predicted {predicted}, measured {mean} ± {error}"


def gram(x: Array) -> Array:
    """Mean over features (rows) of the products of columns."""
    return x.T @ x / x.shape[0]
