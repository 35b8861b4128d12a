"""Collects, while a group is walked, the sums that the control estimator needs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from varprop.montecarlo import control
from varprop.montecarlo.control import Sums
from varprop.montecarlo.samplers.program import Program, Step
from varprop.montecarlo.samplers.reductions import Columns, dot
from varprop.montecarlo.scaled import Power, shifted

Array = NDArray[Any]


class Watch:
    """The sums of one group of networks, layer by layer.

    Parameters
    ----------
    program : Program
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.sums: list[Sums] = []
        self._last: tuple[Array, Power] | None = None
        self._start: tuple[Array, Array] | None = None

    def layer(
        self, step: Step, h: Columns, w: Array, shift: Power, value: Array, slope: Array, out_shift: Power
    ) -> None:
        """Take in one layer: input h and weights' part w in units of 2**shift, phi(z) in units of 2**out_shift."""
        size, power = h.squares
        length = shifted(size, power + 2 * shift)
        steep, inner = slope * value, slope * w
        self.sums.append(
            Sums(
                k=step.weight.variance * length + step.bias.variance,
                h=length,
                a=shifted(dot(steep, steep), 2 * out_shift),
                c=shifted(dot(w, steep), shift + out_shift),
                d=dot(slope, slope),
                z=shifted(dot(inner, inner), 2 * shift),
            )
        )
        self._last = w, shift

    def head(self, delta: Array | None, shift: Power) -> None:
        """Take in dL/dz of the last layer, in units of 2**shift; None for independent N(0, 1) entries."""
        assert self._last is not None
        w, own = self._last
        if delta is None:
            p = np.full(len(w), float(self.program.steps[-1].fan_out))
            s = shifted(dot(w, w), 2 * own)
        else:
            p = shifted(dot(delta, delta), 2 * shift)
            s = shifted(dot(w, delta), own + shift) ** 2
        self._start = p, s

    def values(self) -> tuple[control.Values, Array]:
        """Return every quantity that the control estimator gives, and its relative innovations."""
        assert self._start is not None
        forward, new = control.forward_values(self.program, self.sums)
        backward = control.backward_values(self.program, self.sums, *self._start, new)
        return forward | backward, new.relative
