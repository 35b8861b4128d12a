"""How to draw from a law of one's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from varprop._validation import InputError, described, show

Array = NDArray[Any]
Draw = Callable[[tuple[int, ...], np.random.Generator], Any]


@dataclass(frozen=True)
class Drawn:
    """How to draw from a law of one's own; every answer is checked: shape, type, finite values.

    Parameters
    ----------
    draw : callable
        ``draw(shape, rng)``.
    name : str
    factor : float
        What every value is multiplied by.
    """

    draw: Draw
    name: str
    factor: float = 1.0

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Return new values of `shape`, float64, or raise `InputError` in one line."""
        try:
            answer = np.asarray(self.draw(shape, rng))
        except (InputError, KeyboardInterrupt):
            raise
        except BaseException as error:  # whatever a stranger's sampler raises is one clear line
            problem = f"{show(self.name)} raising {type(error).__name__}: {show(str(error))}"
            raise self._refusal(problem, "a sampler of (shape, rng) that does not raise") from error
        if answer.shape != shape:
            problem = f"{show(self.name)} drawing shape {answer.shape} for shape {shape}"
            raise self._refusal(problem, "values of the shape asked for")
        if answer.dtype.kind not in "fiub":
            raise self._refusal(f"{show(self.name)} drawing {answer.dtype}", "real numbers")
        if not np.isfinite(answer).all():
            raise self._refusal(f"{show(self.name)} drawing values that are not finite", "finite values")
        values: Array = answer.astype(np.float64) * self.factor
        return values

    def scaled(self, factor: float) -> Drawn:
        """Return the sampler of `factor` times an entry."""
        return Drawn(self.draw, self.name, self.factor * factor)

    def _refusal(self, problem: str, allowed: str) -> InputError:
        return InputError("sample", described(problem), allowed)
