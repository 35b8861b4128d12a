"""Convolutions and their transposes: zero padding, stride and dilation are followed site by site."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from varprop._validation import InputError
from varprop.analytic.propagation.rules.dense import Read
from varprop.analytic.propagation.rules.maps import Known, back, map_roots, through, unformed
from varprop.analytic.propagation.signal import LARGEST, Array, Gradient, Signal
from varprop.analytic.propagation.walk import Place, Rule
from varprop.analytic.propagation.windows import Index, Windows
from varprop.spec.ops import Convolution


@dataclass(frozen=True)
class _Geometry:
    windows: Windows
    transposed: bool

    def sums(self, second: Array) -> Array:
        return self.windows.pair_spread(second) if self.transposed else self.windows.pair_sum(second)

    def adjoint(self, second: Array) -> Array:
        return self.windows.pair_sum(second) if self.transposed else self.windows.pair_spread(second)

    @property
    def taps(self) -> list[tuple[Index, Index]]:
        """For every tap, output columns and the input columns that they read."""
        found = self.windows.taps
        return [(read, write) for write, read in found] if self.transposed else found

    @property
    def matrix_shape(self) -> tuple[int, int]:
        """Columns behind and before."""
        before, behind = self.windows.columns
        return (before, behind) if self.transposed else (behind, before)

    @property
    def matrix(self) -> Array:
        return self.windows.matrix.T if self.transposed else self.windows.matrix


def _geometry(place: Place) -> _Geometry:
    op = place.node.op
    assert isinstance(op, Convolution)
    before, behind = place.before[0].positions, place.node.shape.positions
    # A transposed convolution is the adjoint of one from its output to its input.
    ends = (behind, before) if op.transposed else (before, behind)
    return _Geometry(Windows(*ends, op.geometry(before), place.examples), op.transposed)


def _forward(place: Place, inputs: list[Signal]) -> Signal:
    op = place.node.op
    assert isinstance(op, Convolution)
    (before,) = inputs
    geometry, n = _geometry(place), before.features // op.groups
    read = _read(before, geometry) if unformed(before) else geometry.sums(before.second)
    weights, biases = op.weight_law(*place.before), op.bias_law(*place.before)
    means, sums = np.zeros(read.shape[0]), read
    if weights.mean != 0.0:
        if unformed(before):
            raise InputError("weights", op.weights.name, f"a mean of 0 above more than {LARGEST} columns")
        means = geometry.matrix @ (n * before.mean)
        sums = geometry.matrix @ (float(n) ** 2 * before.feature_means) @ geometry.matrix.T
    # Weights of one tap meet what that tap reads: the mean over taps.
    kept = Read(read / geometry.windows.count)
    return through(place, before, weights, biases, (n * read, means, sums), kept)


def _read(before: Signal, geometry: _Geometry) -> Array:
    """Return the sum over taps of the products of what they read, from known values."""
    assert isinstance(before.kept, Known)
    values = before.kept.values
    assert values is not None
    n = geometry.matrix_shape[0]
    found = np.zeros((n, n))
    for write, read in geometry.taps:
        x = values[:, read]
        found[np.ix_(write, write)] += x.T @ x
    return found / before.features


def _backward(place: Place, gradient: Gradient, inputs: list[Signal]) -> list[Gradient]:
    op = place.node.op
    assert isinstance(op, Convolution)
    law, fan_out = op.weight_law(*place.before), op.channels // op.groups
    if unformed(inputs[0]):
        geometry = _geometry(place)
        squares = np.zeros(geometry.matrix_shape[1])
        for write, read in geometry.taps:
            np.add.at(squares, read, np.diagonal(gradient.second)[write])
        found = back(gradient, fan_out, law, place.node.name, lambda second: np.zeros((0, 0)))
        return [replace(found, squares=fan_out * law.second_moment * squares)]
    return [back(gradient, fan_out, law, place.node.name, _geometry(place).adjoint)]


RULE = Rule(_forward, _backward, roots=map_roots, reads_known=True)
