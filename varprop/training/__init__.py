"""Training: what the first values do to learning, seen on many networks at a time.

`train` runs gradient descent from many seeds and returns tidy tables; `symmetry` says which gradients vanish
and which units stay alike, and holds it beside the theory. Both work on any spec with a loss.
"""

from __future__ import annotations

from varprop.training.breaking import symmetry
from varprop.training.datasets import circles, moons, spirals, split
from varprop.training.replication import Restarts, restarts, variance_components
from varprop.training.trainer import Training, train

__all__ = [
    "Restarts",
    "Training",
    "circles",
    "moons",
    "restarts",
    "spirals",
    "split",
    "symmetry",
    "train",
    "variance_components",
]
